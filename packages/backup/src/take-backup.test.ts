import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BackupError, openStore, type SnapshotSource, type TakeOptions, takeBackup } from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'etcd-test-'));
after(() => rmSync(root, { recursive: true, force: true }));

const FACTS = { endpoint: 'here', clusterId: 'abc', memberId: 'def', version: '3.7.3', revision: 5 };
const HASH = { hash: 1, hashCompactRevision: -1, keys: 3 };
const body = randomBytes(512 * 400);
const SNAPSHOT = Buffer.concat([body, createHash('sha256').update(body).digest()]);

const GOOD: SnapshotSource = {
  facts: async () => FACTS,
  hash: async () => HASH,
  async *snapshot() {
    yield SNAPSHOT.subarray(0, 100_000);
    yield SNAPSHOT.subarray(100_000);
  },
};

const optionsFor = (source: Partial<SnapshotSource>): TakeOptions => ({
  source: { ...GOOD, ...source },
  compression: 'none',
  sealing: null,
  signal: new AbortController().signal,
});

test('the hash is asked for while the snapshot is under way, at the revision that the member named', async () => {
  const store = await openStore(join(root, 'together'));
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let passed = 0;
  const made = await takeBackup(store, {
    ...optionsFor({
      async hash(revision) {
        assert.equal(revision, FACTS.revision);
        await begun;
        return HASH;
      },
      async *snapshot(signal) {
        begin();
        yield* GOOD.snapshot(signal);
      },
    }),
    onPassed: (byteCount) => {
      passed += byteCount;
    },
  });
  assert.deepEqual([made.hash, made.hashCompactRevision, made.keys], [1, -1, 3]);
  assert.deepEqual([passed, made.sizeBytes], [SNAPSHOT.length, SNAPSHOT.length]);
  assert.equal((await store.find('')).name, made.name);
});

test('without its hash a backup is given up, or taken back when all of it was written', async () => {
  const path = join(root, 'no-hash');
  const store = await openStore(path);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const compacted = (): never => {
    throw new BackupError('the revision has been compacted');
  };
  const early = optionsFor({
    hash: async () => compacted(),
    async *snapshot(signal) {
      yield SNAPSHOT.subarray(0, 100_000);
      if (!signal.aborted) await once(signal, 'abort');
      yield SNAPSHOT.subarray(100_000);
    },
  });
  await assert.rejects(takeBackup(store, early), /^BackupError: the revision has been compacted$/);
  const late = optionsFor({
    hash: () => ended.then(compacted),
    async *snapshot(signal) {
      yield* GOOD.snapshot(signal);
      end();
    },
  });
  await assert.rejects(takeBackup(store, late), /^BackupError: the revision has been compacted$/);
  assert.deepEqual(readdirSync(path), []);
});

test('a snapshot that breaks off ends the wait for the hash, and an interrupt is told as one', async () => {
  const store = await openStore(join(root, 'broken'));
  const waiting = async (_revision: number, signal: AbortSignal): Promise<never> => {
    if (!signal.aborted) await once(signal, 'abort');
    throw new Error('canceled');
  };
  const broken = optionsFor({
    hash: waiting,
    // biome-ignore lint/correctness/useYield: it fails before its first piece.
    async *snapshot() {
      throw new BackupError('the member has gone');
    },
  });
  await assert.rejects(takeBackup(store, broken), /^BackupError: the member has gone$/);
  const controller = new AbortController();
  const interrupted = optionsFor({
    hash: (revision, signal) => {
      controller.abort(new BackupError('interrupted'));
      return waiting(revision, signal);
    },
  });
  await assert.rejects(
    takeBackup(store, { ...interrupted, signal: controller.signal }),
    /^BackupError: interrupted$/,
  );
  assert.deepEqual([...(await store.objects.files()).keys()], []);
});
