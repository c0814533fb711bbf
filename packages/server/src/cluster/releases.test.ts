import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Membership, NO_DOWNGRADE, newMember } from '@etcd/storage/membership';
import { ENTRY_KINDS, V2_FIELD } from '../request/index.ts';
import { Releases, type ReleasesOptions } from './releases.ts';

type Answer = Parameters<Parameters<ReleasesOptions['ask']>[1]>[0][number];

const SILENCE: Answer = { server: null, isOurs: false };
const says = (server: string, isOurs = false): Answer => ({ server, isOurs });

/** Member 1, and others, whose answers the test gives when it likes. */
function setUp(otherCount: number) {
  const members = Array.from({ length: otherCount + 1 }, (_, i) =>
    newMember(BigInt(i + 1), { peerUrls: [`http://m${i}:2380`], isLearner: false }),
  );
  const state = { members, removedIds: [], version: null, downgrade: NO_DOWNGRADE };
  const current = { membership: new Membership({ clusterId: 7n, state }) };
  const questions: ((...answers: Answer[]) => void)[] = [];
  const releases = new Releases({
    memberId: 1n,
    get membership() {
      return current.membership;
    },
    ask: (asked, done) => {
      assert.ok(asked.every(({ id }) => id !== 1n));
      questions.push((...answers) => done(answers));
    },
  });
  const remove = (...ids: bigint[]): void => {
    const left = { ...state, members: members.filter(({ id }) => !ids.includes(id)) };
    current.membership = new Membership({ clusterId: 7n, state: left });
  };
  const round = (...answers: Answer[]): void => {
    releases.askThen(() => {});
    questions.shift()!(...answers);
  };
  return { releases, questions, round, remove };
}

const lowest = ({ lowest: version }: Releases): string | null =>
  version === null ? null : `${version.major}.${version.minor}.${version.patch}`;

test('who asks while a question is out gets its answer: members are asked once', () => {
  const { releases, questions } = setUp(2);
  const heard: (readonly (string | null)[])[] = [];
  releases.askThen((answers) => heard.push(answers));
  releases.askThen((answers) => heard.push(answers));
  assert.equal(questions.length, 1);
  questions.pop()!(says('3.5.1'), SILENCE);
  assert.deepEqual(heard, [
    ['3.5.1', null],
    ['3.5.1', null],
  ]);
  releases.askThen(() => {});
  assert.equal(questions.length, 1, 'the next question is a new one');
});

test('the oldest release counts, and a member that has stopped answering as what it last was', () => {
  const { releases, round } = setUp(3);
  assert.deepEqual([lowest(releases), releases.unknown.length], [null, 3]);
  round(says('3.6.2'), says('3.4.9'), SILENCE);
  assert.equal(lowest(releases), '3.4.9');
  assert.deepEqual(
    releases.unknown.map(({ id }) => id),
    [4n],
  );
  round(says('3.6.2'), SILENCE, SILENCE);
  assert.equal(lowest(releases), '3.4.9');
  round(says('3.6.2'), says('3.5.0'), says('3.7.0'));
  assert.deepEqual([lowest(releases), releases.unknown.length], ['3.5.0', 0]);
});

test('what is no version says nothing', () => {
  const { releases, round } = setUp(2);
  round(says('three'), says(''));
  assert.deepEqual([lowest(releases), releases.unknown.length], [null, 2]);
});

test('a member that was removed does not hold back the others', () => {
  const { releases, round, remove } = setUp(2);
  round(says('3.4.1'), says('3.6.1'));
  remove(2n);
  assert.equal(lowest(releases), '3.6.1');
  round(says('3.6.1'));
  assert.equal(lowest(releases), '3.6.1');
});

test('whoever can not read a kind of entry is named; this program reads all, whatever it calls itself', () => {
  const { releases, round } = setUp(2);
  const v2 = ENTRY_KINDS.get(V2_FIELD)!;
  const versionSet = ENTRY_KINDS.get(1300)!;
  round(says('3.7.1'), says('3.4.1'));
  assert.equal(releases.whoCanNotRead(v2)?.minor, 7);
  assert.equal(releases.whoCanNotRead(versionSet)?.minor, 4);
  round(says('3.7.1', true), says('3.5.1'));
  assert.equal(releases.whoCanNotRead(v2), null);
  assert.equal(releases.whoCanNotRead(versionSet), null);
});
