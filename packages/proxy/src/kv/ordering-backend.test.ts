import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRangeResponse, RangeResponse, ResponseHeader } from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';
import { Callers } from '../upstream/caller.ts';
import { OrderingBackend } from './ordering-backend.ts';

const { range } = KvService.methods;

/** Two members, each at a revision of its own. */
function newWorld(revisions: readonly number[]): {
  world: ProxiedCluster;
  ask: () => Promise<number | string>;
  asked: number[];
} {
  const world = new ProxiedCluster({ size: revisions.length });
  const asked: number[] = [];
  for (const [i, server] of world.cluster.servers.entries()) {
    server.unary(range, () => {
      asked.push(i);
      return new RangeResponse({
        header: new ResponseHeader({ clusterId: 2n ** 63n, revision: revisions[i]! }),
      });
    });
  }
  const ordering = new OrderingBackend(world.upstream);
  const { own } = new Callers('x');
  const ask = (): Promise<number | string> => {
    const answer = new Promise<number | string>((resolve) => {
      ordering.unary(range.path, new Uint8Array(0), own, Infinity, (code, message, bytes, start, end) =>
        resolve(
          code === GrpcCode.OK ? (decodeRangeResponse(bytes, start, end).header?.revision ?? 0) : message,
        ),
      );
    });
    return world.cluster.until(answer);
  };
  return { world, ask, asked };
}

test('no answer is older than one before it: another member is asked', async () => {
  const revisions = [5, 9];
  const { ask, asked } = newWorld(revisions);
  const first = [await ask(), await ask()];
  assert.ok(first.includes(9));
  for (let i = 0; i < 4; i++) assert.equal(await ask(), 9);
  assert.ok(asked.includes(0));
  revisions[0] = 12;
  const later = [await ask(), await ask()];
  assert.ok(later.includes(12));
  for (let i = 0; i < 4; i++) assert.equal(await ask(), 12);
});

test('when no member is as new, that is the answer, in the words of etcd', async () => {
  const revisions = [9, 9];
  const { ask } = newWorld(revisions);
  assert.equal(await ask(), 9);
  revisions.fill(3);
  assert.equal(
    await ask(),
    'etcdclient: no cluster members have a revision higher than the previously received revision',
  );
  revisions[1] = 9;
  assert.equal(await ask(), 9);
});
