import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { memoryDuplexPair } from '@etcd/transport';
import { BulkLanes } from './bulk-lanes.ts';

function newLanes(): BulkLanes {
  const clock = new SimClock();
  return new BulkLanes({
    endpoints: ['a:1'],
    connector: { isSecure: false, connect: () => memoryDuplexPair({ clock })[0] },
    clock,
    random: new SeededRandom(1),
  });
}

test('a lane takes a few streams, then another is opened; the last one stays', () => {
  const lanes = newLanes();
  assert.equal(lanes.count, 0);
  const taken = Array.from({ length: 17 }, () => lanes.enter());
  assert.deepEqual(
    [...new Set(taken)].map((lane) => lane.streamCount),
    [8, 8, 1],
  );
  for (const lane of taken) lanes.leave(lane);
  assert.equal(lanes.count, 1);
  lanes.close();
});

test('S20 beyond the last lane streams are spread evenly', () => {
  const lanes = newLanes();
  const taken = Array.from({ length: 64 * 9 }, () => lanes.enter());
  assert.equal(lanes.count, 64);
  assert.ok(taken.every((lane) => lane.streamCount === 9));
  lanes.close();
});

test('lanes follow the members, those that are opened later too', () => {
  const lanes = newLanes();
  const first = lanes.enter();
  lanes.setEndpoints(['b:1', 'c:1']);
  const later = Array.from({ length: 8 }, () => lanes.enter()).at(-1)!;
  assert.notEqual(first, later);
  for (const { balancer } of [first, later]) assert.deepEqual(balancer.endpoints, ['b:1', 'c:1']);
  lanes.close();
});
