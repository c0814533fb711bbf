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
import fc from 'fast-check';
import { RequestEncoder, RequestEnvelope, RequestField } from './raft-request.ts';
import { RequestIds } from './request-ids.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
const id = fc.bigInt(0n, (1n << 64n) - 1n);

test('an envelope is what the codec would write, and is taken apart again', () => {
  fc.assert(
    fc.property(bytes, bytes, id, fc.nat(2 ** 31), (key, value, memberId, wallMs) => {
      const ids = new RequestIds(memberId, wallMs);
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

test('lease ids are positive and differ', () => {
  const ids = new RequestIds(0xffff_ffff_ffff_ffffn, 1_700_000_000_000);
  const seen = new Set(Array.from({ length: 1000 }, () => ids.nextLeaseId()));
  assert.equal(seen.size, 1000);
  for (const leaseId of seen) assert.ok(leaseId > 0n && leaseId < 1n << 63n);
});
