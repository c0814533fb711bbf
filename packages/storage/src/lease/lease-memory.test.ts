/** What leases cost the garbage collector. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LeaseQueue } from './lease-queue.ts';
import { LeaseTable } from './lease-table.ts';

/** The heap without what nobody holds any more. */
function heldHeapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('S20 leases with a key each stay outside the heap', () => {
  const table = new LeaseTable();
  const queue = new LeaseQueue();
  const before = heldHeapBytes();
  for (let i = 1; i <= 300_000; i++) queue.set(table.add(BigInt(i) << 20n, 60), i);
  const grown = heldHeapBytes() - before;
  assert.ok(grown < 300_000 * 100, `${Math.round(grown / 300_000)} bytes of heap a lease`);
  // Both are there to be measured.
  assert.equal(table.count + queue.count, 600_000);
});
