import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import {
  PutResponse,
  RangeResponse,
  RangeStreamResponse,
  ResponseHeader,
  SnapshotResponse,
  StatusResponse,
} from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { KvService, MaintenanceService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { Metadata } from '@etcd/transport';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';

const { range, put, rangeStream } = KvService.methods;
const { snapshot, status } = MaintenanceService.methods;

function rangeAnswer(value: string): RangeResponse {
  const header = new ResponseHeader({ revision: 7 });
  return new RangeResponse({
    header,
    kvs: [new KeyValue({ key: Buffer.from('k'), value: Buffer.from(value) })],
    count: 1,
  });
}

test('calls are passed on as they are, and so are errors', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  cluster.first.unary(status, () => new StatusResponse({ version: '9.9.9' }));
  cluster.first.unary(put, (_request, call) => {
    call.end(RPC_ERRORS.ErrGRPCNoSpace.code, RPC_ERRORS.ErrGRPCNoSpace.message);
    return null;
  });
  const client = world.client();
  assert.equal((await cluster.until(client.maintenance.status())).version, '9.9.9');
  await assert.rejects(cluster.until(client.kv.put('a', 'b')), (error) => {
    assert.ok(error instanceof EtcdError);
    assert.equal(error.entry, RPC_ERRORS.ErrGRPCNoSpace);
    return true;
  });
});

test('a read is asked of another member when one is lost, a write that may have been seen is not', async () => {
  const world = new ProxiedCluster({ size: 2 });
  const { cluster } = world;
  const [first, second] = cluster.servers;
  let puts = 0;
  for (const [i, server] of cluster.servers.entries()) {
    server.unary(range, () => {
      if (i === 0) cluster.clock.defer(() => first!.stop());
      return i === 0 ? null : rangeAnswer(`member ${i}`);
    });
    server.unary(put, () => {
      puts++;
      cluster.clock.defer(() => server.cut());
      return null;
    });
  }
  const client = world.client();
  for (let i = 0; i < 2; i++) {
    const { kvs } = await cluster.until(client.kv.get(`k${i}`));
    assert.equal(Buffer.from(kvs[0]!.value).toString(), 'member 1');
  }
  assert.equal(second!.isUp, true);
  await assert.rejects(cluster.until(client.kv.put('a', 'b')), /connection|closed|EOF|Unavailable/i);
  assert.equal(puts, 1);
});

test('without any member a call without a deadline ends after a while, one with a deadline by then', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  cluster.first.stop();
  const channel = world.channel();
  const codes: number[] = [];
  channel.unary(range.path, new Uint8Array(0), (code) => codes.push(code));
  channel.unary(range.path, new Uint8Array(0), (code) => codes.push(code), { timeoutMs: 100 });
  await cluster.run(200);
  assert.deepEqual(codes, [GrpcCode.DeadlineExceeded]);
  await cluster.run(6_000);
  assert.deepEqual(codes, [GrpcCode.DeadlineExceeded, GrpcCode.Unavailable]);
});

test('deadlines and cancellations reach the member', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  const deadlines: number[] = [];
  let canceled = 0;
  cluster.first.unary(range, (_request, call) => {
    deadlines.push(call.deadlineMs - cluster.clock.now());
    call.receiver = { onCancel: () => canceled++ };
    return null;
  });
  const channel = world.channel();
  channel.unary(range.path, new Uint8Array(0), () => {}, { timeoutMs: 1000 });
  const call = channel.unary(range.path, new Uint8Array(0), () => {});
  await cluster.run(50);
  assert.ok(deadlines[0]! <= 1000 && deadlines[0]! > 900, `${deadlines[0]}`);
  assert.equal(deadlines[1], Number.POSITIVE_INFINITY);
  call.cancel();
  await cluster.run(50);
  assert.equal(canceled, 1);
  await cluster.run(1000);
  assert.equal(canceled, 2);
});

test('S13 tokens are passed on with the call that they came with, and cached answers are for their owners', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  const seen: string[] = [];
  cluster.first.unary(range, (_request, call) => {
    const token = call.metadata('token') ?? call.metadata('authorization') ?? 'nobody';
    seen.push(token);
    if (token !== 'nobody') return rangeAnswer(token);
    call.end(RPC_ERRORS.ErrGRPCPermissionDenied.code, RPC_ERRORS.ErrGRPCPermissionDenied.message);
    return null;
  });
  const read = async (token?: string): Promise<string> => {
    const { kvs } = await cluster.until(world.client(token).kv.get('k', { serializable: true }));
    return Buffer.from(kvs[0]!.value).toString();
  };
  assert.deepEqual([await read('alice'), await read('alice'), await read('bob')], ['alice', 'alice', 'bob']);
  await assert.rejects(
    cluster.until(world.client().kv.get('k', { serializable: true })),
    /permission denied/,
  );
  assert.deepEqual(seen, ['alice', 'bob', 'nobody']);
  assert.equal(world.cache.hits, 1);
});

test('S13 a proxy that leads to itself, by whatever way, says so instead of going round', async () => {
  const world = new ProxiedCluster({ ownName: 'p1' });
  const { cluster } = world;
  let calls = 0;
  cluster.first.unary(range, (_request, call) => {
    calls++;
    assert.equal(call.metadata('x-etcd-proxy-via'), 'p0,p1');
    return rangeAnswer('v');
  });
  const ask = async (metadata: Metadata): Promise<[number, string]> => {
    const answers: [number, string][] = [];
    world
      .channel()
      .unary(range.path, new Uint8Array(0), (code, message) => answers.push([code, message]), { metadata });
    await cluster.run(50);
    return answers[0]!;
  };
  assert.equal((await ask([['x-etcd-proxy-via', 'p0']]))[0], GrpcCode.OK);
  for (const via of ['p1', 'p0,p1,p2', Array.from({ length: 16 }, (_, i) => `x${i}`).join(',')]) {
    const [code, message] = await ask([['x-etcd-proxy-via', via]]);
    assert.equal(code, GrpcCode.FailedPrecondition);
    assert.equal(message, 'etcd grpc-proxy: an endpoint leads back to this proxy');
  }
  assert.equal(calls, 1);
});

test('a stream of answers waits for a slow reader, and arrives whole', async () => {
  const world = new ProxiedCluster();
  const { cluster } = world;
  let sent = 0;
  const total = 400;
  cluster.first.serverStream(snapshot, (_request, call, send) => {
    const go = (): void => {
      while (sent < total) {
        const blob = Buffer.alloc(32 * 1024, sent++ % 251);
        if (!send(new SnapshotResponse({ blob, remainingBytes: total - sent }))) return;
      }
      call.end();
    };
    call.receiver = { onWritable: go };
    go();
  });
  const channel = world.channel();
  let received = 0;
  let end = -1;
  const call = channel.call(snapshot.path, {
    onMessage: () => received++,
    onEnd: (_call, code) => (end = code),
  });
  call.write(new Uint8Array(0));
  call.halfClose();
  call.pause();
  await cluster.run(300);
  assert.equal(received, 0);
  assert.ok(sent < total, `${sent} parts were taken from the member for nobody`);
  call.resume();
  await cluster.run(300);
  assert.deepEqual([received, end], [total, GrpcCode.OK]);
});

test('a namespace holds for streams of ranges, too', async () => {
  const world = new ProxiedCluster({ namespace: 'ns/' });
  const { cluster } = world;
  cluster.first.serverStream(rangeStream, ({ key, rangeEnd }, call, send) => {
    assert.deepEqual([Buffer.from(key).toString(), Buffer.from(rangeEnd).toString()], ['ns/a', 'ns/z']);
    const kvs = [new KeyValue({ key: Buffer.from('ns/b') })];
    send(new RangeStreamResponse({ rangeResponse: new RangeResponse({ kvs }) }));
    call.end();
  });
  cluster.first.unary(put, ({ key }) => {
    assert.equal(Buffer.from(key).toString(), 'ns/x');
    return new PutResponse({ prevKv: new KeyValue({ key: Buffer.from('ns/x') }) });
  });
  const channel = world.channel();
  const keys: string[] = [];
  const call = channel.call(rangeStream.path, {
    onMessage: (_call, bytes, start, end) => {
      const { rangeResponse } = rangeStream.response.decode(bytes, start, end);
      keys.push(...(rangeResponse?.kvs ?? []).map(({ key }) => Buffer.from(key).toString()));
    },
    onEnd: () => {},
  });
  call.write(Buffer.from([0x0a, 1, 0x61, 0x12, 1, 0x7a]));
  call.halfClose();
  await cluster.run(50);
  assert.deepEqual(keys, ['b']);
  const { prevKv } = await cluster.until(world.client().kv.put('x', '1', { prevKv: true }));
  assert.equal(Buffer.from(prevKv!.key).toString(), 'x');
});

test('what is no message of its method is refused as by a member', async () => {
  const world = new ProxiedCluster();
  const answers: [number, string][] = [];
  for (const path of [range.path, put.path, KvService.methods.txn.path]) {
    world.channel().unary(path, Uint8Array.of(0xff), (code, message) => answers.push([code, message]));
  }
  await world.cluster.run(50);
  assert.equal(answers.length, 3);
  for (const [code, message] of answers) {
    assert.equal(code, GrpcCode.Internal);
    assert.match(message, /^grpc: error unmarshalling request: /);
  }
});
