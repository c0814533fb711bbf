import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Codec, encode } from '@etcd/api';
import {
  CompactionRequest,
  CompactionRequestCodec,
  CompactionResponseCodec,
  DeleteRangeRequestCodec,
  DeleteRangeResponseCodec,
  HashKVRequest,
  HashKVRequestCodec,
  type HashKVResponse,
  HashKVResponseCodec,
  LeaseGrantRequest,
  LeaseGrantRequestCodec,
  LeaseGrantResponseCodec,
  LeaseRevokeRequest,
  LeaseRevokeRequestCodec,
  LeaseRevokeResponseCodec,
  PutRequestCodec,
  PutResponseCodec,
  RangeRequest,
  RangeRequestCodec,
  RangeResponse,
  RangeResponseCodec,
  type RequestOp,
  ResponseHeader,
  type TxnRequest,
  TxnRequestCodec,
  type TxnResponse,
  TxnResponseCodec,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { latin1FromBytes, SeededRandom } from '@etcd/base';
import { NodeDisk } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { freePort } from '@etcd/testing/free-port';
import { Client, credentials } from '@grpc/grpc-js';
import { Lessor } from '../lease/index.ts';
import type { KeyValueHash } from './key-hasher.ts';
import { executeRange } from './range.ts';
import {
  type RequestWorld,
  randomDeleteRange,
  randomPut,
  randomRange,
  randomTxn,
} from './testing/random-requests.ts';
import {
  deleteRangeResponse,
  keyValues,
  putResponse,
  rangeResponse,
  txnResponse,
} from './testing/result-messages.ts';
import { SimMember } from './testing/sim-member.ts';
import { deleteRange, executeTxn, put } from './txn.ts';

const PEERS = process.env['ETCD_PEERS'] ?? '/opt/etcd-peers';
const RELEASES = ['3.5', '3.7'] as const;
/** Up to so many elements Go sorts by insertion, which leaves equal ones in their order. */
const GO_STABLE_COUNT = 12;
const SEED = 20_240_601;
const READY_LIMIT_MS = 30_000;
const ALL = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

const directory = mkdtempSync(join(tmpdir(), 'store-interop-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

// --- real etcd

class RealEtcd {
  readonly dataDir: string;
  readonly #child: ChildProcess;
  readonly #client: Client;

  private constructor(dataDir: string, child: ChildProcess, client: Client) {
    this.dataDir = dataDir;
    this.#child = child;
    this.#client = client;
  }

  static async start(release: string): Promise<RealEtcd> {
    const program = programOf(release);
    assert.ok(
      existsSync(program),
      `this test needs real etcd ${release}: ${program} is missing; ETCD_PEERS says where to look`,
    );
    const dataDir = mkdtempSync(join(directory, 'etcd-'));
    const [clientUrl, peerUrl] = await Promise.all([freeUrl(), freeUrl()]);
    const child = spawn(
      program,
      [
        `--data-dir=${dataDir}`,
        `--listen-client-urls=${clientUrl}`,
        `--advertise-client-urls=${clientUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
        '--unsafe-no-fsync',
        '--log-level=error',
      ],
      { stdio: 'ignore' },
    );
    children.push(child);
    const client = new Client(clientUrl.slice('http://'.length), credentials.createInsecure());
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + READY_LIMIT_MS, (error) => (error ? reject(error) : resolve()));
    });
    return new RealEtcd(dataDir, child, client);
  }

  /** The answer, or null when etcd refuses. */
  call<Q, A>(path: string, request: Codec<Q>, response: Codec<A>, message: Q): Promise<A | null> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        `/etcdserverpb.${path}`,
        (m: Q) => Buffer.from(encode(request, m)),
        (bytes) => response.decode(Uint8Array.from(bytes)),
        message,
        (error, answer) => resolve(error === null && answer !== undefined ? answer : null),
      );
    });
  }

  async hash(revision: number): Promise<HashKVResponse> {
    const request = new HashKVRequest({ revision });
    const answer = await this.call('Maintenance/HashKV', HashKVRequestCodec, HashKVResponseCodec, request);
    assert.ok(answer !== null);
    return answer;
  }

  async stop(): Promise<void> {
    this.#client.close();
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}

function programOf(release: string): string {
  return join(PEERS, release, 'etcd');
}

async function freeUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}

// --- our own, in this process, on a real file

interface Own {
  readonly member: SimMember<SimClock, NodeDisk>;
  readonly lessor: Lessor;
}

/** Commits go through the thread pool, so simulated time has to wait for real I/O now and then. */
async function openOwn(path: string): Promise<Own> {
  const clock = new SimClock();
  let lessor: Lessor | null = null;
  const member = new SimMember(clock, new NodeDisk(), {
    path,
    makeLeases: (backend) => {
      lessor = new Lessor({ backend, clock, minTtl: 2 });
      return lessor;
    },
  });
  lessor!.setStore(member.store);
  await until(() => member.store.isReady || member.restoreError !== null, clock);
  assert.equal(member.restoreError, null);
  return { member, lessor: lessor! };
}

async function until(condition: () => boolean, clock: SimClock): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 100_000, 'gave up waiting');
    clock.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function ownHash({ member }: Own, revision: number): Promise<KeyValueHash> {
  let hash: KeyValueHash | null = null;
  member.store.hashes.hashByRevThen(revision, (error, result) => {
    assert.equal(error, null);
    hash = result;
  });
  await until(() => hash !== null, member.clock);
  return hash!;
}

async function closeOwn({ member }: Own): Promise<void> {
  let closed = false;
  member.store.close();
  member.backend.closeThen(() => {
    closed = true;
  });
  await until(() => closed, member.clock);
}

// --- comparing answers

/** Etcd refuses an operation that asks for nothing. */
function withoutEmptyOps(request: TxnRequest): TxnRequest {
  const isSomething = (op: RequestOp): boolean =>
    op.requestPut !== null ||
    op.requestRange !== null ||
    op.requestDeleteRange !== null ||
    op.requestTxn !== null;
  request.success = request.success.filter(isSomething);
  request.failure = request.failure.filter(isSomething);
  for (const op of [...request.success, ...request.failure]) {
    if (op.requestTxn !== null) withoutEmptyOps(op.requestTxn);
  }
  return request;
}

/** Members and terms differ; of the outermost header only the revision counts. */
function normal<M extends { header: ResponseHeader | null }>(message: M, revision: number): M {
  message.header = new ResponseHeader({ revision });
  return message;
}

/** What the two versions do differently on purpose. */
function withoutKnownDifferences(
  response: TxnResponse | RangeResponse,
  request: TxnRequest | RangeRequest,
): void {
  if (response instanceof RangeResponse) {
    const range = request as RangeRequest;
    // 3.7 answers keys_only from the index, which knows no leases.
    if (range.keysOnly) for (const kv of response.kvs) kv.lease = 0n;
    // Go's sort keeps equal ones in their order only in short lists.
    if (range.sortTarget !== 0 && response.count > GO_STABLE_COUNT) response.kvs.length = 0;
    return;
  }
  const txn = request as TxnRequest;
  const ops = response.succeeded ? txn.success : txn.failure;
  for (const [i, op] of ops.entries()) {
    const inner = response.responses[i]!;
    if (op.requestRange !== null) withoutKnownDifferences(inner.responseRange!, op.requestRange);
    if (op.requestTxn !== null) withoutKnownDifferences(inner.responseTxn!, op.requestTxn);
  }
}

async function runBoth(real: RealEtcd, own: Own, world: RequestWorld): Promise<void> {
  const { random } = world;
  const { store } = own.member;
  const what = random.below(100);
  if (what < 40) {
    const request = randomPut(world);
    const expected = await real.call('KV/Put', PutRequestCodec, PutResponseCodec, request);
    const actual = put(store, request);
    assert.equal(actual.error === null, expected !== null);
    if (expected === null) return;
    const answer = putResponse(actual);
    assert.deepEqual(normal(answer, actual.revision), normal(expected, expected.header!.revision));
  } else if (what < 52) {
    const request = randomDeleteRange(world);
    const expected = await real.call(
      'KV/DeleteRange',
      DeleteRangeRequestCodec,
      DeleteRangeResponseCodec,
      request,
    );
    const actual = deleteRange(store, request);
    const answer = deleteRangeResponse(actual);
    assert.deepEqual(normal(answer, actual.revision), normal(expected!, expected!.header!.revision));
  } else if (what < 80) {
    const request = withoutEmptyOps(randomTxn(world));
    const expected = await real.call('KV/Txn', TxnRequestCodec, TxnResponseCodec, request);
    const actual = executeTxn(store, request);
    assert.equal(actual.error === null, expected !== null);
    if (expected === null) return;
    const answer = txnResponse(actual);
    for (const response of [answer, expected]) withoutKnownDifferences(response, request);
    assert.deepEqual(normal(answer, actual.revision), normal(expected, expected.header!.revision));
  } else {
    const request = randomRange(world);
    const expected = await real.call('KV/Range', RangeRequestCodec, RangeResponseCodec, request);
    const actual = executeRange(store, request);
    assert.equal(actual.error === null, expected !== null);
    if (expected === null) return;
    const answer = rangeResponse(actual);
    for (const response of [answer, expected]) withoutKnownDifferences(response, request);
    assert.deepEqual(normal(answer, actual.revision), normal(expected, expected.header!.revision));
  }
}

async function grantBoth(real: RealEtcd, own: Own, id: bigint): Promise<void> {
  const request = new LeaseGrantRequest({ id, ttl: 10_000 });
  await real.call('Lease/LeaseGrant', LeaseGrantRequestCodec, LeaseGrantResponseCodec, request);
  assert.equal(own.lessor.grant(id, 10_000).error, null);
}

async function revokeBoth(real: RealEtcd, own: Own, id: bigint): Promise<void> {
  const request = new LeaseRevokeRequest({ id });
  await real.call('Lease/LeaseRevoke', LeaseRevokeRequestCodec, LeaseRevokeResponseCodec, request);
  assert.equal(own.lessor.revoke(id), null);
}

async function compactBoth(real: RealEtcd, own: Own, revision: number): Promise<void> {
  const request = new CompactionRequest({ revision, physical: true });
  const expected = await real.call('KV/Compact', CompactionRequestCodec, CompactionResponseCodec, request);
  let done = false;
  const error = own.member.store.compact(revision, () => {
    done = true;
  });
  assert.equal(error === null, expected !== null);
  if (error === null) await until(() => done, own.member.clock);
}

function describe(kvs: readonly KeyValue[]): unknown[] {
  return kvs.map((kv) => [
    latin1FromBytes(kv.key),
    latin1FromBytes(kv.value),
    kv.createRevision,
    kv.modRevision,
    kv.version,
    kv.lease,
  ]);
}

function contentAt({ member }: Own, revision: number): unknown[] {
  const result = executeRange(member.store, new RangeRequest({ ...ALL, revision }));
  assert.equal(result.error, null);
  return describe(keyValues(result.kvs));
}

for (const release of RELEASES) {
  const skip = existsSync(programOf(release)) || 'CI' in process.env ? false : `missing: etcd ${release}`;
  const name = `a random history gets the answers and the hashes of etcd ${release}, and its file opens here with both`;
  test(name, { skip }, () => compareHistories(release));
}

async function compareHistories(release: string): Promise<void> {
  const real = await RealEtcd.start(release);
  const own = await openOwn(join(directory, `own-${release}.db`));
  const random = new SeededRandom(Number(process.env['ETCD_TEST_SEED'] ?? SEED));
  const leases: bigint[] = [];
  for (let step = 0; step < 900; step++) {
    const { revision } = own.member.store;
    const what = random.below(100);
    if (what < 90) await runBoth(real, own, { random, revision, leases });
    else if (what < 92 || leases.length === 0) {
      const id = BigInt(1000 + step);
      leases.push(id);
      await grantBoth(real, own, id);
    } else if (what < 93) await revokeBoth(real, own, leases.splice(random.below(leases.length), 1)[0]!);
    else if (what < 96) await compactBoth(real, own, random.below(revision + 2));
    else {
      const rev = random.chance(0.5) ? 0 : Math.max(own.member.store.compactRevision, 1);
      const expected = await real.hash(rev);
      const { hash, compactRevision } = await ownHash(own, rev);
      assert.deepEqual(
        [hash, compactRevision],
        [expected.hash, expected.compactRevision],
        `HashKV at ${rev} in step ${step}`,
      );
    }
    if (step % 50 === 0) own.member.clock.advance(150);
  }
  // A last compaction, so that the file has one, and some history behind it.
  await compactBoth(real, own, own.member.store.revision);
  for (let i = 0; i < 60; i++)
    await runBoth(real, own, { random, revision: own.member.store.revision, leases });

  const { compactRevision, revision } = own.member.store;
  const hashes = new Map<number, number>();
  const contents = new Map<number, unknown[]>();
  for (let rev = compactRevision; rev <= revision; rev += 3) {
    // At the compacted revision the running server knows the hash from before the compaction.
    if (rev > compactRevision) hashes.set(rev, (await real.hash(rev)).hash);
    const range = new RangeRequest({ ...ALL, revision: rev });
    contents.set(
      rev,
      describe((await real.call('KV/Range', RangeRequestCodec, RangeResponseCodec, range))!.kvs),
    );
  }
  await real.stop();
  const copy = join(directory, `copy-${release}.db`);
  copyFileSync(join(real.dataDir, 'member/snap/db'), copy);
  const opened = await openOwn(copy);
  assert.deepEqual(
    [opened.member.store.revision, opened.member.store.compactRevision],
    [revision, compactRevision],
  );
  for (const [rev, hash] of hashes) {
    assert.equal((await ownHash(opened, rev)).hash, hash, `HashKV of the opened file at ${rev}`);
    assert.equal((await ownHash(own, rev)).hash, hash, `HashKV at ${rev}`);
  }
  for (const [rev, content] of contents) {
    assert.deepEqual(contentAt(opened, rev), content, `content at ${rev}`);
    assert.deepEqual(contentAt(own, rev), content);
  }
  assert.deepEqual(opened.lessor.leases().sort(), leases.sort());
  for (const id of leases) assert.deepEqual(opened.lessor.keysOf(id), own.lessor.keysOf(id));
  await closeOwn(opened);
  await closeOwn(own);
}
