import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeInternalRaftRequest,
  encodeInternalRaftRequest,
  encodePutRequest,
  InternalRaftRequest,
  PutRequest,
  RequestHeader,
} from '@etcd/api/etcdserverpb';
import { SeededRandom } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import fc from 'fast-check';
import { KINDS } from './kinds.ts';
import { RequestEncoder, RequestEnvelope } from './raft-request.ts';
import { drawRequestIdStart, RequestIds } from './request-ids.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
const id = fc.bigInt(0n, (1n << 64n) - 1n);
const identities = fc.record(
  {
    name: fc.oneof(fc.constant(''), fc.string({ unit: 'grapheme', maxLength: 200 })),
    revision: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  },
  { noNullPrototype: true },
);

test('an envelope is what the codec would write, and is taken apart again', () => {
  fc.assert(
    fc.property(bytes, bytes, id, fc.maxSafeNat(), identities, (key, value, memberId, start, identity) => {
      const ids = new RequestIds(memberId, start % 2 ** 48);
      const suffix = ids.next();
      const put = new PutRequest({ key, value });
      const request = encodePutRequest(put);
      const encoder = new RequestEncoder(ids);
      const encoded = encoder.encodeBytes('put', request, 0, request.length, identity, suffix);
      const { name: username, revision: authRevision } = identity;
      const header = new RequestHeader({ id: ids.full(suffix), username, authRevision });
      const expected = encodeInternalRaftRequest(new InternalRaftRequest({ header, put }));
      assert.deepEqual(Buffer.from(encoded), Buffer.from(expected));
      assert.deepEqual(
        Buffer.from(encoder.encode('put', put, identity, suffix)),
        Buffer.from(expected),
        'encoded here',
      );

      const envelope = new RequestEnvelope();
      assert.ok(envelope.parse(encoded), 'stays on the hot path, with a user as without');
      assert.equal(envelope.field, KINDS.put.field);
      assert.deepEqual(Buffer.from(encoded.subarray(envelope.start, envelope.end)), Buffer.from(request));
      assert.equal(envelope.idPrefix, ids.prefix);
      assert.equal(envelope.idSuffix, suffix);
      assert.deepEqual(envelope.identity(encoded), identity);
    }),
  );
});

test('who asks is told apart from who asked before, and is the same object while it is the same', () => {
  const ids = new RequestIds(1n, 7);
  const encoder = new RequestEncoder(ids);
  const envelope = new RequestEnvelope();
  const asker = (identity: Identity): Identity => {
    const encoded = encoder.encode('put', new PutRequest({ key: Buffer.from('k') }), identity, ids.next());
    assert.ok(envelope.parse(encoded));
    return envelope.identity(encoded);
  };
  const alice = asker({ name: 'alice', revision: 3 });
  assert.equal(asker({ name: 'alice', revision: 3 }), alice);
  for (const identity of [
    { name: 'alicf', revision: 3 },
    { name: 'alice', revision: 4 },
    { name: 'alic', revision: 4 },
    NO_IDENTITY,
    { name: 'alice', revision: 3 },
  ]) {
    assert.deepEqual(asker(identity), identity);
  }
});

/** Envelopes of a Put, with a byte changed, or cut. */
const nearlyEnvelopes = fc
  .tuple(bytes, id, identities, fc.nat(), fc.nat(255), fc.boolean())
  .map(([key, requestId, { name: username, revision: authRevision }, place, byte, isCut]) => {
    const header = new RequestHeader({ id: requestId, username, authRevision });
    const encoded = encodeInternalRaftRequest(
      new InternalRaftRequest({ header, put: new PutRequest({ key }) }),
    );
    const at = place % encoded.length;
    if (isCut) return encoded.subarray(0, at);
    encoded[at] = byte;
    return encoded;
  });

test('S17 whatever the envelope parser accepts, the codec reads the same from', () => {
  const envelope = new RequestEnvelope();
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 30 }), nearlyEnvelopes), (noise) => {
      if (!envelope.parse(noise) || envelope.field !== KINDS.put.field) return;
      let decoded: InternalRaftRequest;
      try {
        decoded = decodeInternalRaftRequest(noise);
      } catch {
        return;
      }
      assert.ok(decoded.put !== null);
      assert.equal(decoded.header?.id ?? 0n, (BigInt(envelope.idPrefix) << 48n) | BigInt(envelope.idSuffix));
      const { username, authRevision } = decoded.header ?? new RequestHeader();
      assert.deepEqual(envelope.identity(noise), { name: username, revision: authRevision });
    }),
    { numRuns: 5000 },
  );
});

test('lease ids are positive, differ, and are none that is taken', () => {
  const leaseIds = (isTaken: (leaseId: bigint) => boolean): bigint[] => {
    const ids = new RequestIds(0xffff_ffff_ffff_ffffn, 1);
    return Array.from({ length: 1000 }, () => ids.nextLeaseId(isTaken));
  };
  const first = new Set(leaseIds(() => false));
  assert.equal(first.size, 1000);
  for (const leaseId of first) assert.ok(leaseId > 0n && leaseId < 1n << 63n);
  for (const leaseId of leaseIds((id) => first.has(id))) assert.ok(!first.has(leaseId));
});

test('members whose ids end alike, and runs of one member, count from different starts', () => {
  const random = new SeededRandom(1);
  const starts = new Set(Array.from({ length: 100 }, () => drawRequestIdStart(random)));
  assert.equal(starts.size, 100);
  for (const start of starts) assert.ok(start >= 0 && start < 2 ** 48);
});
