/** Discovery at an etcd that is a map, and that can be away, refuse, and forget. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { SILENT_LOGGER } from '@etcd/base';
import { CompactedError } from '@etcd/client';
import { SimClock } from '@etcd/testing';
import { DiscoveryError } from './discovery-error.ts';
import { type EtcdRegistryOptions, joinByEtcd } from './etcd-registry.ts';

type Client = EtcdRegistryOptions['client'];

class FakeEtcd {
  readonly pairs = new Map<string, { value: string; createRevision: number }>();
  revision = 1;
  /** Thrown by the next calls, one each. */
  readonly failures: unknown[] = [];
  /** What the next watches end with instead of events. */
  readonly watchFailures: unknown[] = [];
  #changed: (() => void)[] = [];

  put(key: string, value: string): void {
    const createRevision = this.pairs.get(key)?.createRevision ?? ++this.revision;
    this.pairs.set(key, { value, createRevision });
    for (const done of this.#changed.splice(0)) done();
  }

  /** Only what discovery uses of a client. */
  get client(): Client {
    const attempt = <T>(run: () => T): Promise<T> => {
      const failure = this.failures.shift();
      return failure === undefined ? Promise.resolve(run()) : Promise.reject(failure);
    };
    const kv = {
      getOne: (key: string) => attempt(() => this.#pair(key)),
      get: (prefix: string) =>
        attempt(() => ({
          header: { revision: this.revision },
          kvs: [...this.pairs.keys()].filter((key) => key.startsWith(prefix)).map((key) => this.#pair(key)!),
        })),
      put: (key: string, value: string) => attempt(() => this.put(key, value)),
    };
    const watch = () => this.#watch();
    return { kv, watch, authenticate: () => attempt(() => {}) } as unknown as Client;
  }

  async *#watch(): AsyncGenerator<{ events: readonly unknown[] }> {
    const failure = this.watchFailures.shift();
    if (failure !== undefined) throw failure;
    await new Promise<void>((resolve) => this.#changed.push(resolve));
    yield { events: [{}] };
  }

  #pair(key: string): { key: Buffer; value: Buffer; createRevision: number } | null {
    const pair = this.pairs.get(key);
    if (pair === undefined) return null;
    return { key: Buffer.from(key), value: Buffer.from(pair.value), createRevision: pair.createRevision };
  }
}

const SIZE = '/_etcd/registry/T/_config/size';
const MEMBERS = '/_etcd/registry/T/members';

function join(etcd: FakeEtcd, memberId: bigint, hasCredentials = false): Promise<string> {
  const clock = new SimClock();
  const joining = joinByEtcd({
    client: etcd.client,
    token: 'T',
    hasCredentials,
    memberId,
    ownText: `m${memberId}=http://h${memberId}:2380`,
    clock,
    logger: SILENT_LOGGER,
  });
  let isOver = false;
  const over = (): void => void (isOver = true);
  joining.then(over, over);
  // Time passes as long as somebody waits for it.
  const pass = (): void => {
    if (isOver) return;
    clock.advance(1000);
    setImmediate(pass);
  };
  setImmediate(pass);
  return joining;
}

test('members wait for each other, and all get the same cluster in the order in which they came', async () => {
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '3');
  const joined = Promise.all([join(etcd, 0xcn), join(etcd, 0xan), join(etcd, 0xbn)]);
  const text = 'm12=http://h12:2380,m10=http://h10:2380,m11=http://h11:2380';
  assert.deepEqual(await joined, [text, text, text]);
});

test('who comes too late is refused; who was there already is not', async () => {
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '1');
  etcd.put(`${MEMBERS}/a`, 'm10=http://h10:2380');
  await assert.rejects(join(etcd, 0xbn), new DiscoveryError('discovery: cluster is full'));
  assert.equal(etcd.pairs.has(`${MEMBERS}/b`), false);
  assert.equal(await join(etcd, 0xan), 'm10=http://h10:2380');
});

test('of those who register at the same time only the first are the cluster', async () => {
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '2');
  etcd.put(`${MEMBERS}/1`, 'm1=http://h1:2380');
  const results = await Promise.allSettled([join(etcd, 2n), join(etcd, 3n)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('what is no member does not count', async () => {
  const etcd = new FakeEtcd();
  etcd.put(SIZE, ' 1'.trim());
  etcd.put(`${MEMBERS}/x`, 'nonsense');
  assert.equal(await join(etcd, 1n), 'm1=http://h1:2380');
});

test('sizes that are none, and URLs that are none, are refused in the words of etcd', async () => {
  await assert.rejects(join(new FakeEtcd(), 1n), new DiscoveryError('discovery: size key not found'));
  for (const size of ['', 'x', '0', '-1', '1.5', '99999999999']) {
    const etcd = new FakeEtcd();
    etcd.put(SIZE, size);
    await assert.rejects(join(etcd, 1n), new DiscoveryError('discovery: size key is bad'), size);
  }
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '2');
  etcd.put(`${MEMBERS}/9`, 'm9=nowhere');
  await assert.rejects(join(etcd, 1n), new DiscoveryError('discovery: invalid peer URL'));
});

test('a service that is away is asked again; what it says to a stranger is final', async () => {
  const away = EtcdError.fromStatus(14, 'connection refused');
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '1');
  etcd.failures.push(away, away, away);
  assert.equal(await join(etcd, 1n, true), 'm1=http://h1:2380');
  for (const entry of [RPC_ERRORS.ErrGRPCAuthFailed, RPC_ERRORS.ErrGRPCPermissionDenied]) {
    const refusing = new FakeEtcd();
    refusing.put(SIZE, '1');
    refusing.failures.push(new EtcdError(entry));
    await assert.rejects(
      join(refusing, 1n, true),
      (error) => error instanceof EtcdError && error.entry === entry,
    );
  }
});

test('a watch that is compacted, or ends, is no reason to give up', async () => {
  const etcd = new FakeEtcd();
  etcd.put(SIZE, '2');
  etcd.watchFailures.push(new CompactedError(7), EtcdError.fromStatus(14, 'gone'));
  const joining = join(etcd, 1n);
  const other = join(etcd, 2n);
  assert.equal(await joining, await other);
});
