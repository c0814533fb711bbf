import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGES } from '@etcd/api/descriptors';
import { parseVersion } from '@etcd/storage/membership';
import { canRead, ENTRY_KINDS, isReadByAll, V2_FIELD } from './entry-kinds.ts';
import { KINDS } from './kinds.ts';

const HEADER_FIELD = 100;

const FIELDS = MESSAGES.get('etcdserverpb.InternalRaftRequest')!.fields.filter(
  ({ kind }) => kind === 'message',
);
const release = (minor: number) => parseVersion(`3.${minor}.1`)!;

test('every kind of request has a row, which says since when it is read as etcd itself says', () => {
  const requests = FIELDS.filter(({ number }) => number !== HEADER_FIELD);
  assert.deepEqual(
    [...ENTRY_KINDS]
      .map(([field, { name, lowest }]) => [field, name, `${lowest.major}.${lowest.minor}`])
      .sort(),
    requests.map(({ number, name, since }) => [number, name, since ?? '3.0']).sort(),
  );
});

test('every kind that this program proposes has a row', () => {
  for (const [name, { field }] of Object.entries(KINDS)) {
    assert.ok(ENTRY_KINDS.has(field), name);
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
  assert.deepEqual(readers(V2_FIELD), [4, 5, 6]);
  assert.deepEqual(readers(KINDS.clusterVersionSet.field), [5, 6, 7]);
  assert.deepEqual(readers(KINDS.clusterMemberAttrSet.field), [5, 6, 7]);
  assert.deepEqual(readers(KINDS.downgradeInfoSet.field), [5, 6, 7]);
  assert.deepEqual(readers(KINDS.downgradeVersionTest.field), [6, 7]);
  assert.deepEqual(readers(1013), [5, 6, 7], 'auth_status');
});
