import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { Int32Column, Rows } from './columns.ts';
import { LeaseTable } from './lease-table.ts';

/** Ids with few low words: each has many that share it, and a thousandth of them its shard. */
function alikeIds(): bigint[] {
  const ids: bigint[] = [];
  for (let high = 0n; high < 1500n; high++) {
    for (const low of [0n, 0xffff_ffffn]) ids.push(BigInt.asIntN(64, (high << 32n) | low));
  }
  return ids;
}

test('ids that share a word of their 64 bits are told apart, whichever of them goes first', () => {
  for (let seed = 1; seed <= 3; seed++) {
    const random = new SeededRandom(seed);
    const table = new LeaseTable();
    const rows = new Map<bigint, number>();
    for (const id of alikeIds()) rows.set(id, table.add(id, 5));
    assert.deepEqual([table.count, table.endRow], [3000, 3001]);
    const left = [...rows.keys()];
    while (left.length > 0) {
      const [id] = left.splice(random.below(left.length), 1);
      table.remove(rows.get(id!)!);
      assert.equal(table.find(id!), 0);
      assert.equal(table.count, left.length);
      if (left.length % 500 === 0) for (const other of left) assert.equal(table.find(other), rows.get(other));
    }
  }
});

test('of two that may share a chain the one stays when the other goes', () => {
  const [first, ...others] = alikeIds();
  const table = new LeaseTable();
  table.add(first!, 5);
  for (const id of others) {
    table.remove(table.add(id, 5));
    assert.deepEqual([table.find(first!), table.find(id)], [1, 0], 'the younger goes');
    const row = table.add(id, 5);
    table.remove(1);
    assert.deepEqual([table.find(first!), table.find(id)], [0, row], 'the older goes');
    assert.equal(table.add(first!, 5), 1);
    table.remove(row);
  }
});

test('a row that is used again has nothing of who was there before', () => {
  const table = new LeaseTable();
  const row = table.add(5n, 60);
  const { ttl, remainingTtl, expiryMs, epoch, firstItem, itemCount } = table;
  for (const column of [remainingTtl, expiryMs, epoch, firstItem]) column.set(row, 9);
  assert.ok(table.isUsed(row));
  table.remove(row);
  assert.ok(!table.isUsed(row));
  assert.equal(table.add(6n, 0.5), row);
  assert.deepEqual([table.id(row), ttl.get(row), table.find(5n), table.find(6n)], [6n, 0.5, 0, row]);
  for (const column of [remainingTtl, expiryMs, epoch, firstItem, itemCount])
    assert.equal(column.get(row), 0);
});

test('a lease that is not there, has keys or has no TTL is refused', () => {
  const table = new LeaseTable();
  assert.throws(() => table.add(1n, 0), /without a TTL/);
  const row = table.add(1n, 1);
  table.itemCount.set(row, 1);
  assert.throws(() => table.remove(row), /has keys/);
  table.itemCount.set(row, 0);
  table.remove(row);
  assert.throws(() => table.remove(row), /not there/);
});

test('rows are numbers from 1 on, and those that were freed come first', () => {
  const rows = new Rows();
  assert.deepEqual([rows.allocate(), rows.allocate(), rows.allocate()], [1, 2, 3]);
  assert.deepEqual([rows.count, rows.end], [3, 4]);
  rows.free(1);
  rows.free(3);
  assert.deepEqual([rows.count, rows.end], [1, 4]);
  assert.deepEqual([rows.allocate(), rows.allocate(), rows.allocate()].sort(), [1, 3, 4]);
  assert.deepEqual([rows.count, rows.end], [4, 5]);
  assert.throws(() => rows.free(0), /never handed out/);
  assert.throws(() => rows.free(5), /never handed out/);
  for (let row = 1; row <= 4; row++) rows.free(row);
  assert.throws(() => rows.free(1), /more than were handed out/);
});

test('a column holds what was set, over the ends of its chunks, and 0 elsewhere', () => {
  const places = [1, 2, 4094, 4095, 4096, 4097, 8191, 8192, 20_000];
  for (const column of [new Int32Column(), new LeaseTable().ttl]) {
    assert.equal(column.get(20_000), 0);
    for (const row of places) column.set(row, row + 1);
    for (const row of places) assert.equal(column.get(row), row + 1);
    for (const row of [3, 4093, 4098, 8190, 8193, 12_288, 19_999, 20_001, 2 ** 20])
      assert.equal(column.get(row), 0);
  }
});
