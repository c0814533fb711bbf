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
import fc from 'fast-check';
import { RequestEncoder, RequestEnvelope, RequestField } from './raft-request.ts';
import { drawRequestIdStart, RequestIds } from './request-ids.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
const id = fc.bigInt(0n, (1n << 64n) - 1n);

test('an envelope is what the codec would write, and is taken apart again', () => {
  fc.assert(
    fc.property(bytes, bytes, id, fc.maxSafeNat(), (key, value, memberId, start) => {
      const ids = new RequestIds(memberId, start % 2 ** 48);
      const suffix = ids.next();
      const put = new PutRequest({ key, value });
      const request = encodePutRequest(put);
      const encoded = new RequestEncoder(ids).encode(RequestField.PUT, request, 0, request.length, suffix);
      const header = new RequestHeader({ id: ids.full(suffix) });
      const expected = encodeInternalRaftRequest(new InternalRaftRequest({ header, put }));
      assert.deepEqual(Buffer.from(encoded), Buffer.from(expected));

      const envelope = new RequestEnvelope();
      assert.ok(envelope.parse(encoded));
      assert.equal(envelope.field, RequestField.PUT);
      assert.deepEqual(Buffer.from(encoded.subarray(envelope.start, envelope.end)), Buffer.from(request));
      assert.equal(envelope.idPrefix, ids.prefix);
      assert.equal(envelope.idSuffix, suffix);
    }),
  );
});

test('S17 whatever the envelope parser accepts, the codec reads the same from', () => {
  const envelope = new RequestEnvelope();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (noise) => {
      if (!envelope.parse(noise) || envelope.field !== RequestField.PUT) return;
      let decoded: InternalRaftRequest;
      try {
        decoded = decodeInternalRaftRequest(noise);
      } catch {
        return;
      }
      assert.ok(decoded.put !== null);
      assert.equal(decoded.header?.id ?? 0n, (BigInt(envelope.idPrefix) << 48n) | BigInt(envelope.idSuffix));
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
