import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { committedByDefinition } from '../rafttest/quorum-script.ts';
import { JointConfig } from './joint.ts';
import {
  type AckedIndexer,
  formatIndex,
  MajorityConfig,
  quorumIndex,
  quorumSize,
  UNACKED,
  VoteResult,
} from './majority.ts';

const ids = fc.uniqueArray(fc.bigInt({ min: 1n, max: 12n }), { maxLength: 9 });
const acks = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.nat({ max: 6 }));

function indexer(indexes: Readonly<Record<string, number>>): AckedIndexer {
  return { ackedIndex: (id) => indexes[String(id)] ?? UNACKED };
}

test('what a majority commits is what its definition says', () => {
  fc.assert(
    fc.property(ids, acks, (voters, indexes) => {
      const config = MajorityConfig.of(voters);
      const acked = indexer(indexes);
      assert.equal(config.committedIndex(acked), committedByDefinition(config, acked));
    }),
    { numRuns: 2000 },
  );
});

test('a joint quorum commits what both halves commit, and neither half counts more', () => {
  fc.assert(
    fc.property(ids, ids, acks, (a, b, indexes) => {
      const [incoming, outgoing] = [MajorityConfig.of(a), MajorityConfig.of(b)];
      const acked = indexer(indexes);
      const committed = new JointConfig(incoming, outgoing).committedIndex(acked);
      assert.equal(committed, new JointConfig(outgoing, incoming).committedIndex(acked));
      assert.equal(
        committed,
        Math.min(committedByDefinition(incoming, acked), committedByDefinition(outgoing, acked)),
      );
    }),
  );
});

test('an election is won, lost or open as the votes that are still out can or can not change', () => {
  const votes = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.boolean());
  fc.assert(
    fc.property(ids, ids, votes, (a, b, given) => {
      const config = new JointConfig(MajorityConfig.of(a), MajorityConfig.of(b));
      const cast = new Map(Object.entries(given).map(([id, vote]) => [BigInt(id), vote]));
      const withRest = (vote: boolean): VoteResult => {
        const all = new Map(config.ids().ids.map((id) => [id, cast.get(id) ?? vote]));
        return config.voteResult(all);
      };
      const [best, worst] = [withRest(true), withRest(false)];
      const expected =
        worst === VoteResult.won
          ? VoteResult.won
          : best === VoteResult.won
            ? VoteResult.pending
            : VoteResult.lost;
      assert.equal(config.voteResult(cast), expected);
    }),
    { numRuns: 2000 },
  );
});

test('two quorums of the same voters have a voter in common', () => {
  for (let count = 1; count < 20; count++) assert.ok(2 * quorumSize(count) > count);
});

test('the index of a quorum does not depend on the order of the voters', () => {
  assert.equal(quorumIndex(Float64Array.of(9, 1, 5), 3), 5);
  assert.equal(quorumIndex(Float64Array.of(1, 5, 9, 100), 3), 5);
  assert.equal(quorumIndex(Float64Array.of(), 0), Infinity);
  assert.throws(() => quorumIndex(Float64Array.of(1), 2), /more voters than indexes/);
  assert.equal(formatIndex(Infinity), '∞');
});

test('more than eight voters are counted like few', () => {
  const config = MajorityConfig.of(Array.from({ length: 21 }, (_, i) => BigInt(i + 1)));
  assert.equal(config.committedIndex({ ackedIndex: Number }), 11);
});

test('a set of voters is ordered, distinct and unchangeable', () => {
  const config = MajorityConfig.of([3n, 0xfn, 1n, 3n]);
  assert.equal(String(config), '(1 3 f)');
  assert.equal(config.with(3n), config);
  assert.equal(config.without(2n), config);
  assert.equal(String(config.with(2n)), '(1 2 3 f)');
  assert.equal(String(config.without(3n)), '(1 f)');
  assert.equal(String(config), '(1 3 f)');
  assert.equal(MajorityConfig.of([1n]).without(1n), MajorityConfig.EMPTY);
});
