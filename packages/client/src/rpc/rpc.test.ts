import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import {
  AuthenticateResponse,
  PutResponse,
  RangeResponse,
  RangeStreamResponse,
} from '@etcd/api/etcdserverpb';
import { HealthCheckResponse } from '@etcd/api/health';
import { KeyValue } from '@etcd/api/mvccpb';
import { AuthService, HealthService, KvService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { ServerCall } from '@etcd/transport';
import { ClientError } from '../errors.ts';
import type { ClientOptions } from '../options.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';

const { put, range, rangeStream } = KvService.methods;

function newCluster(size = 1): FakeCluster {
  return new FakeCluster(new SimClock(), size);
}

/** Counts the puts of each server, which answers them. */
function countPuts(cluster: FakeCluster): number[] {
  const counts = cluster.servers.map(() => 0);
  for (const [i, server] of cluster.servers.entries()) {
    server.unary(put, () => {
      counts[i] = (counts[i] ?? 0) + 1;
      return new PutResponse();
    });
  }
  return counts;
}

function isEtcdError(error: unknown, code: number): boolean {
  return error instanceof EtcdError && error.code === code;
}

test('calls go around the members, and around one that is lost until it is back', async () => {
  const cluster = newCluster(3);
  const counts = countPuts(cluster);
  const client = cluster.client();
  await cluster.until(client.kv.put('k', 'v'));
  await cluster.run(100);
  for (let i = 0; i < 30; i++) await cluster.until(client.kv.put('k', 'v'));
  assert.ok(Math.min(...counts) >= 10, String(counts));

  cluster.servers[1]?.stop();
  await cluster.run(20);
  const before = counts[1];
  for (let i = 0; i < 30; i++) await cluster.until(client.kv.put('k', 'v'));
  assert.equal(counts[1], before);

  cluster.servers[1]?.start();
  await cluster.run(10_000);
  for (let i = 0; i < 30; i++) await cluster.until(client.kv.put('k', 'v'));
  assert.equal(counts[1], (before ?? 0) + 10);
  client.close();
});

test('a member that calls itself not serving is passed over, unless it is the only one', async () => {
  const cluster = newCluster(2);
  const counts = countPuts(cluster);
  const sends: ((response: HealthCheckResponse) => boolean)[] = [];
  for (const server of cluster.servers) {
    server.serverStream(HealthService.methods.watch, (_request, _call, send) => {
      sends.push(send);
      send(new HealthCheckResponse({ status: 1 }));
    });
  }
  const client = cluster.client({ healthChecks: true });
  await cluster.until(client.kv.put('k', 'v'));
  await cluster.run(100);
  assert.equal(sends.length, 2);
  sends[0]?.(new HealthCheckResponse({ status: 2 }));
  await cluster.run();
  const before = [...counts];
  for (let i = 0; i < 10; i++) await cluster.until(client.kv.put('k', 'v'));
  assert.deepEqual(
    counts.map((count, i) => count - (before[i] ?? 0)),
    [0, 10],
  );
  sends[1]?.(new HealthCheckResponse({ status: 2 }));
  await cluster.run();
  await cluster.until(client.kv.put('k', 'v'));
  client.close();
});

test('a call waits for a member, until its deadline says why there was none', async () => {
  const cluster = newCluster();
  countPuts(cluster);
  cluster.first.stop();
  const client = cluster.client();
  const late = client.kv.put('k', 'v', { timeoutMs: 1000 });
  await assert.rejects(cluster.until(late), (error) => {
    assert.ok(isEtcdError(error, GrpcCode.DeadlineExceeded));
    assert.ok((error as EtcdError).cause instanceof Error);
    return true;
  });
  const waiting = client.kv.put('k', 'v');
  await cluster.run(500);
  cluster.first.start();
  await cluster.until(waiting);
  client.close();
});

test('a write that was cut off fails, and is not made again', async () => {
  const cluster = newCluster(2);
  let count = 0;
  for (const server of cluster.servers) {
    server.unary(put, () => {
      count++;
      return null;
    });
  }
  const client = cluster.client();
  const write = client.kv.put('k', 'v');
  await cluster.run(50);
  assert.equal(count, 1);
  for (const server of cluster.servers) server.cut();
  await assert.rejects(cluster.until(write), (error) => isEtcdError(error, GrpcCode.Unavailable));
  await cluster.run(2000);
  assert.equal(count, 1);
  client.close();
});

test('a write that no member has seen is made again', async () => {
  const cluster = newCluster();
  const counts = countPuts(cluster);
  const held: ServerCall[] = [];
  cluster.first.unary(range, (_request, call) => {
    held.push(call);
    return null;
  });
  cluster.first.limitStreams(1);
  const client = cluster.client();
  const read = client.kv.get('held');
  await cluster.run(50);
  // The only stream is taken: the write waits in the client.
  const write = client.kv.put('k', 'v');
  await cluster.run(50);
  assert.deepEqual(counts, [0]);
  cluster.first.cut();
  await cluster.run(50);
  held.at(-1)?.respond(new Uint8Array(0));
  await cluster.until(read);
  await cluster.until(write);
  assert.deepEqual(counts, [1]);
  client.close();
});

test('a connection that drains is replaced, and its open calls end well', async () => {
  const cluster = newCluster();
  const counts = countPuts(cluster);
  const held: ServerCall[] = [];
  cluster.first.unary(range, (_request, call) => {
    held.push(call);
    return null;
  });
  const client = cluster.client();
  const read = client.kv.get('held');
  await cluster.run(50);
  cluster.first.drain();
  await cluster.run(6000);
  assert.equal(cluster.first.connectionCount, 2);
  await cluster.until(client.kv.put('k', 'v'));
  assert.deepEqual(counts, [1]);
  held[0]?.respond(new Uint8Array(0));
  await cluster.until(read);
  assert.equal(held.length, 1);
  client.close();
});

test('a read that was cut off is made again', async () => {
  const cluster = newCluster();
  let count = 0;
  cluster.first.unary(range, () => (++count < 3 ? null : new RangeResponse({ count: 7 })));
  const client = cluster.client();
  const read = client.kv.get('k');
  for (let i = 0; i < 2; i++) {
    await cluster.run(300);
    cluster.first.cut();
  }
  assert.equal((await cluster.until(read)).count, 7);
  assert.equal(count, 3);
  client.close();
});

test('a read is made again while no member is available, a write is not', async () => {
  const cluster = newCluster();
  let reads = 0;
  let writes = 0;
  const { code, message } = RPC_ERRORS.ErrGRPCNoLeader;
  cluster.first.unary(range, (_request, call) => {
    if (++reads === 3) return new RangeResponse();
    call.fail(code, message);
    return null;
  });
  cluster.first.unary(put, (_request, call) => {
    writes++;
    call.fail(code, message);
    return null;
  });
  const client = cluster.client();
  await cluster.until(client.kv.get('k'));
  assert.equal(reads, 3);
  await assert.rejects(cluster.until(client.kv.put('k', 'v')), (error) => {
    return error instanceof EtcdError && error.entry === RPC_ERRORS.ErrGRPCNoLeader;
  });
  assert.equal(writes, 1);
  client.close();
});

test('a token is got once for all who wait, and again when it is refused', async () => {
  const cluster = newCluster();
  let tokens = 0;
  const seen: (string | null)[] = [];
  cluster.first.unary(AuthService.methods.authenticate, ({ name, password }) => {
    assert.deepEqual([name, password], ['root', 'secret']);
    return new AuthenticateResponse({ token: `t${++tokens}` });
  });
  cluster.first.unary(put, (_request, call) => {
    const token = call.metadata('token');
    seen.push(token);
    if (token === 't1' && seen.length > 3) {
      const { code, message } = RPC_ERRORS.ErrGRPCInvalidAuthToken;
      call.fail(code, message);
      return null;
    }
    return new PutResponse();
  });
  const client = cluster.client({ credentials: { username: 'root', password: 'secret' } });
  const puts = (): Promise<unknown> => Promise.all([1, 2, 3].map(() => client.kv.put('k', 'v')));
  await cluster.until(puts());
  assert.deepEqual(seen, ['t1', 't1', 't1']);
  await cluster.until(puts());
  assert.deepEqual(seen.slice(3), ['t1', 't1', 't1', 't2', 't2', 't2']);
  assert.equal(tokens, 2);
  client.close();
});

test('where authentication is not enabled, credentials do no harm', async () => {
  const cluster = newCluster();
  countPuts(cluster);
  cluster.first.unary(AuthService.methods.authenticate, (_request, call) => {
    const { code, message } = RPC_ERRORS.ErrGRPCAuthNotEnabled;
    call.fail(code, message);
    return null;
  });
  const client = cluster.client({ credentials: { username: 'u', password: 'p' } });
  await cluster.until(client.kv.put('k', 'v'));
  client.close();
});

test('a wrong password fails the call that needed the token', async () => {
  const cluster = newCluster();
  cluster.first.unary(AuthService.methods.authenticate, (_request, call) => {
    const { code, message } = RPC_ERRORS.ErrGRPCAuthFailed;
    call.fail(code, message);
    return null;
  });
  const client = cluster.client({ credentials: { username: 'u', password: 'p' } });
  await assert.rejects(cluster.until(client.kv.put('k', 'v')), /authentication failed/);
  client.close();
});

test('an endpoint that is dropped lets its open calls end', async () => {
  const cluster = newCluster(2);
  const calls: ServerCall[] = [];
  for (const server of cluster.servers) {
    server.unary(put, (_request, call) => {
      calls.push(call);
      return null;
    });
  }
  const client = cluster.client({ endpoints: ['m0:2379'] });
  const write = client.kv.put('k', 'v');
  await cluster.run(50);
  client.setEndpoints(['m1:2379']);
  await cluster.run(1000);
  calls[0]?.respond(new Uint8Array(0));
  await cluster.until(write);
  const next = client.kv.put('k', 'v');
  await cluster.run(50);
  assert.equal(cluster.servers[1]?.connectionCount, 1);
  calls[1]?.respond(new Uint8Array(0));
  await cluster.until(next);
  client.close();
});

test('a signal ends a call wherever it stands, with its reason', async () => {
  const cluster = newCluster();
  let cancelled = 0;
  cluster.first.unary(put, (_request, call) => {
    call.receiver = { onCancel: () => cancelled++ };
    return null;
  });
  const client = cluster.client();
  await assert.rejects(client.kv.put('k', 'v', { signal: AbortSignal.abort('early') }), (r) => r === 'early');
  const open = new AbortController();
  const call = client.kv.put('k', 'v', { signal: open.signal });
  await cluster.run(50);
  open.abort('open');
  await assert.rejects(call, (reason) => reason === 'open');
  await cluster.run(50);
  assert.equal(cancelled, 1);

  cluster.first.stop();
  await cluster.run(50);
  const waiting = new AbortController();
  const late = client.kv.put('k', 'v', { signal: waiting.signal });
  await cluster.run(50);
  waiting.abort('waiting');
  await assert.rejects(late, (reason) => reason === 'waiting');
  client.close();
});

test('a closed client refuses everything, and what was waiting fails', async () => {
  const cluster = newCluster();
  cluster.first.stop();
  const client = cluster.client();
  const waiting = client.kv.put('k', 'v');
  await cluster.run(50);
  client.close();
  const isClosed = (error: unknown): boolean => error instanceof ClientError && error.code === 'closed';
  await assert.rejects(cluster.until(waiting), isClosed);
  await assert.rejects(cluster.until(client.kv.put('k', 'v')), isClosed);
  await assert.rejects(cluster.until(client.watch('k').next()), isClosed);
});

async function readSlowly(options: Partial<ClientOptions>, mostSent: number): Promise<void> {
  const cluster = newCluster();
  const value = new Uint8Array(64 * 1024);
  const total = 400;
  let sent = 0;
  cluster.first.serverStream(rangeStream, (_request, call, send) => {
    const more = (): void => {
      for (; sent < total; sent++) {
        const pair = new KeyValue({ createRevision: sent, value });
        const rangeResponse = new RangeResponse({ kvs: [pair] });
        if (!send(new RangeStreamResponse({ rangeResponse }))) {
          sent++;
          return;
        }
      }
      call.end();
    };
    call.receiver = { onWritable: more };
    more();
  });
  const client = cluster.client(options);
  const stream = client.kv.stream('', { prefix: true });
  const seen: number[] = [];
  const first = await cluster.until(stream.next());
  assert.equal(first.done, false);
  await cluster.run(500);
  assert.ok(sent < mostSent, `the server sent ${sent} messages to a reader that took one`);
  seen.push(0);
  const rest = (async () => {
    for await (const { kvs } of stream) seen.push(kvs[0]?.createRevision ?? -1);
  })();
  await cluster.until(rest);
  assert.deepEqual(
    seen,
    Array.from({ length: total }, (_, i) => i),
  );
  client.close();
}

test('a stream holds back a server whose reader is slow, and loses nothing', async () => {
  await readSlowly({}, 200);
  // Of 64 KiB each: what is under way, what waits, and what the server has of its own.
  await readSlowly({ maxReceiveWindowBytes: 256 * 1024 }, 15);
});

test('a range is streamed page by page where the server has no stream', async () => {
  const cluster = newCluster();
  cluster.first.unary(range, ({ key, limit, revision }) => {
    const from = key.length === 0 || key[0] === 0 ? 0 : (key[0] ?? 0) + key.length - 1;
    const kvs = [];
    for (let i = Math.max(1, from); i <= 250 && kvs.length < limit; i++) {
      kvs.push(new KeyValue({ key: new Uint8Array([i]), modRevision: revision }));
    }
    return new RangeResponse({ kvs, more: (kvs.at(-1)?.key[0] ?? 250) < 250, count: 250 });
  });
  const client = cluster.client();
  const keys: number[] = [];
  const pages: number[] = [];
  const read = (async () => {
    for await (const pairs of client.kv.pages('', { prefix: true, pageSize: 100 })) {
      pages.push(pairs.length);
      for (const { key } of pairs) keys.push(key[0] ?? 0);
    }
    for await (const { kvs } of client.kv.stream('', { prefix: true })) pages.push(kvs.length);
  })();
  await cluster.until(read);
  assert.deepEqual(pages, [100, 100, 50, 250]);
  assert.deepEqual(
    keys,
    Array.from({ length: 250 }, (_, i) => i + 1),
  );
  client.close();
});
