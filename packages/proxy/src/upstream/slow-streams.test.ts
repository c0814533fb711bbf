import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RangeResponse, SnapshotResponse } from '@etcd/api/etcdserverpb';
import { KvService, MaintenanceService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { GrpcChannel } from '@etcd/transport';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';

const MESSAGE_BYTES = 3 * 1024 * 1024;
const NARROW = { streamWindowBytes: 65_535, maxStreamWindowBytes: 65_535 };

/** A cluster whose snapshots never end, and how they go. */
class SnapshotWorld extends ProxiedCluster {
  /** Of all snapshots. */
  sentMessages = 0;
  canceled = 0;
  readonly ends: string[] = [];

  constructor() {
    super();
    const { first } = this.cluster;
    first.unary(KvService.methods.range, () => new RangeResponse({ count: 1 }));
    const message = new SnapshotResponse({ blob: Buffer.alloc(MESSAGE_BYTES) });
    first.serverStream(MaintenanceService.methods.snapshot, (_request, call, send) => {
      const go = (): void => {
        let hasRoom = true;
        while (hasRoom && call.isAlive) {
          hasRoom = send(message);
          this.sentMessages++;
        }
      };
      call.receiver = { onWritable: go, onCancel: () => this.canceled++ };
      go();
    });
  }

  /** Asks for a snapshot and reads nothing of it. */
  stall(channel: GrpcChannel): void {
    const onEnd = (_call: unknown, code: number, message: string): void =>
      void this.ends.push(`${code} ${message}`);
    const call = channel.call(MaintenanceService.methods.snapshot.path, { onMessage: () => {}, onEnd });
    call.write(new Uint8Array(0));
    call.halfClose();
    call.pause();
  }
}

test('S20 many who do not read their snapshots hold up nobody else behind the same proxy', async () => {
  const world = new SnapshotWorld();
  for (let i = 0; i < 8; i++) {
    const channel = world.channel(NARROW);
    for (let j = 0; j < 10; j++) world.stall(channel);
    await world.cluster.run(20);
  }
  const { count } = await world.cluster.until(world.client().kv.get('k'), 3000);
  assert.equal(count, 1);
  assert.deepEqual(world.ends, []);
  assert.equal(world.upstream.lanes.count, 10);
  world.cutClients();
  await world.cluster.run(20);
  assert.equal(world.canceled, 80);
  assert.equal(world.upstream.lanes.count, 1, 'one is kept for the next');
});

test('S20 a snapshot that the proxy can not keep for its client is asked for no further', async () => {
  const world = new SnapshotWorld();
  const channel = world.channel(NARROW);
  for (let i = 0; i < 80; i++) world.stall(channel);
  await world.cluster.run(100);
  // Others were refused before the member heard of them.
  const given = world.ends.filter((end) => end.startsWith(`${GrpcCode.ResourceExhausted} `));
  assert.ok(given.length > 0);
  assert.equal(world.canceled, given.length);
});
