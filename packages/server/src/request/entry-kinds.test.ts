import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGES } from '@etcd/api/descriptors';
import { parseVersion } from '@etcd/storage/membership';
import { canRead, ENTRY_KINDS, isReadByAll } from './entry-kinds.ts';
import { RequestField } from './raft-request.ts';

const FIELDS = MESSAGES.get('etcdserverpb.InternalRaftRequest')!.fields.filter(
  ({ kind }) => kind === 'message',
);
const release = (minor: number) => parseVersion(`3.${minor}.1`)!;

test('every kind of request has a row, which says since when it is read as etcd itself says', () => {
  const requests = FIELDS.filter(({ number }) => number !== RequestField.HEADER);
  assert.deepEqual(
    [...ENTRY_KINDS]
      .map(([field, { name, lowest }]) => [field, name, `${lowest.major}.${lowest.minor}`])
      .sort(),
    requests.map(({ number, name, since }) => [number, name, since ?? '3.0']).sort(),
  );
});

test('every kind that this program proposes has a row', () => {
  for (const [name, field] of Object.entries(RequestField)) {
    if (field !== RequestField.HEADER) assert.ok(ENTRY_KINDS.has(field), name);
  }
});

test('what needs no look-up is read by every release that can be in a cluster', () => {
  for (const [field, kind] of ENTRY_KINDS) {
    const all = [4, 5, 6, 7].every((minor) => canRead(release(minor), kind));
    if (isReadByAll(field)) assert.ok(all, kind.name);
  }
});

test('requests of the v2 API end with 3.6, their successors begin with 3.5', () => {
  const readers = (field: number): number[] =>
    [4, 5, 6, 7].filter((minor) => canRead(release(minor), ENTRY_KINDS.get(field)!));
  assert.deepEqual(readers(RequestField.V2), [4, 5, 6]);
  assert.deepEqual(readers(RequestField.CLUSTER_VERSION_SET), [5, 6, 7]);
  assert.deepEqual(readers(RequestField.CLUSTER_MEMBER_ATTR_SET), [5, 6, 7]);
  assert.deepEqual(readers(RequestField.DOWNGRADE_INFO_SET), [5, 6, 7]);
  assert.deepEqual(readers(RequestField.DOWNGRADE_VERSION_TEST), [6, 7]);
  assert.deepEqual(readers(1013), [5, 6, 7], 'auth_status');
});
