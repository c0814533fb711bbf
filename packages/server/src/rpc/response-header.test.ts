import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePutResponse } from '@etcd/api/etcdserverpb';
import fc from 'fast-check';
import { EMPTY_HEADER, type HeaderWriter, INNER_HEADER, ResponseHeaderWriter } from './response-header.ts';

/** What a header says when it has been written into room of exactly the size that it says it needs. */
function written(writer: HeaderWriter, revision: number) {
  const size = writer.size(revision);
  const bytes = new Uint8Array(size + 2).fill(0xee);
  assert.equal(writer.write(bytes, 1, revision), 1 + size);
  assert.deepEqual([bytes[0], bytes[size + 1]], [0xee, 0xee], 'nothing beside it was touched');
  return decodePutResponse(bytes.subarray(1, 1 + size)).header;
}

const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const count = fc.oneof(fc.nat(200), fc.maxSafeNat());

test('a header has the ids, the revision and the term of the moment, in as many bytes as it says', () => {
  fc.assert(
    fc.property(id, id, count, count, (clusterId, memberId, revision, term) => {
      const writer = new ResponseHeaderWriter(clusterId, memberId, () => term);
      assert.deepEqual(written(writer, revision), writer.header(revision));
      const { raftTerm, ...rest } = writer.header(revision);
      assert.equal(raftTerm, term);
      assert.deepEqual([rest.clusterId, rest.memberId, rest.revision], [clusterId, memberId, revision]);
    }),
  );
});

test('headers inside of a transaction have the revision, those of nested ones nothing', () => {
  fc.assert(
    fc.property(count, (revision) => {
      const inner = written(INNER_HEADER, revision)!;
      assert.deepEqual(
        [inner.clusterId, inner.memberId, inner.revision, inner.raftTerm],
        [0n, 0n, revision, 0],
      );
      assert.equal(written(EMPTY_HEADER, revision)!.revision, 0);
    }),
  );
});
