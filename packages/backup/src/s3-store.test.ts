import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import S3rver from 's3rver';
import type { SnapshotSource } from './index.ts';
import { BackupError, openStore, readBackup, takeBackup } from './index.ts';
import { snapshotWithDigest } from './testing/snapshot.ts';

const BUCKET = 'backups';
const KEY = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };

let directory: string;
let server: S3rver;
let endpoint: string;

before(async () => {
  Object.assign(process.env, KEY);
  directory = mkdtempSync(join(tmpdir(), 's3-'));
  const configureBuckets = [{ name: BUCKET, configs: [] }];
  server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets });
  const { port } = await server.run();
  endpoint = `http://127.0.0.1:${port}`;
});

after(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const addressOf = (prefix: string, where = endpoint): string =>
  `s3://${BUCKET}/${prefix}?endpoint=${encodeURIComponent(where)}&region=us-east-1`;

const sourceOf = (snapshot: Buffer, fail: Error | null = null): SnapshotSource => ({
  facts: async () => ({
    endpoint: 'here',
    clusterId: 'abc',
    memberId: 'def',
    version: '3.7.3',
    revision: 5,
  }),
  hash: async () => ({ hash: 1, hashCompactRevision: -1, keys: 3 }),
  async *snapshot() {
    for (let at = 0; at < snapshot.length; at += 32_768) yield snapshot.subarray(at, at + 32_768);
    if (fail !== null) throw fail;
  },
});

const options = (source: SnapshotSource) => ({
  source,
  compression: 'none' as const,
  sealing: null,
  signal: new AbortController().signal,
});

test('a backup of several parts comes back as it was, and is listed, found and removed', async () => {
  const store = await openStore(addressOf('cluster/a'));
  // Parts have 8 MiB.
  const snapshot = snapshotWithDigest(randomBytes(20 << 20));
  const made = await takeBackup(store, options(sourceOf(snapshot)));
  const [listed] = await store.list();
  assert.deepEqual(listed, { ...made, isWhole: true });
  const path = join(directory, 'back.db');
  const secrets = { identities: [], passphrase: null };
  await readBackup(store, await store.find(''), path, { secrets, signal: AbortSignal.any([]) });
  const { readFileSync } = await import('node:fs');
  assert.ok(readFileSync(path).equals(snapshot));
  await assert.rejects(store.write(made.name, Readable.from([Buffer.from('x')])), /is there already/);
  // Another prefix of the same bucket is another store.
  assert.deepEqual(await (await openStore(addressOf('cluster'))).list(), []);
  await store.remove(made);
  assert.deepEqual(await store.list(), []);
  store.objects.close();
});

test('what fails on the way leaves nothing in the store, and its own words', async () => {
  const store = await openStore(addressOf('failing'));
  for (const size of [1 << 10, 12 << 20]) {
    const broken = sourceOf(randomBytes(size), new Error('the member has gone'));
    await assert.rejects(takeBackup(store, options(broken)), /^Error: the member has gone$/);
    // Cut off where no digest is.
    await assert.rejects(takeBackup(store, options(sourceOf(randomBytes(size)))), /the snapshot is cut off/);
  }
  assert.deepEqual([...(await store.objects.files()).keys()], []);
  const left = readdirSync(join(directory, BUCKET), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    left.filter((name) => name.includes('failing') && /etcd-/.test(name)),
    [],
  );
  store.objects.close();
});

test('a backup whose bytes were changed, or are not all there, is not taken', async () => {
  const store = await openStore(addressOf('damaged'));
  const made = await takeBackup(store, options(sourceOf(snapshotWithDigest(randomBytes(512 * 10)))));
  const secrets = { identities: [], passphrase: null };
  const whole = await buffer(await store.read(made.name));
  const flipped = Buffer.from(whole);
  flipped[700]! ^= 1;
  for (const [bytes, isWhole] of [
    [flipped, true],
    [whole.subarray(0, 1024), false],
  ] as const) {
    await store.objects.remove(made.name);
    await store.write(made.name, Readable.from([bytes]));
    assert.deepEqual(
      (await store.list()).map((one) => one.isWhole),
      [isWhole],
    );
    const path = join(directory, 'damaged.db');
    const signal = AbortSignal.any([]);
    await assert.rejects(readBackup(store, made, path, { secrets, signal }), BackupError);
  }
  store.objects.close();
});

test('a bucket that is not there and a key that is wrong are named, and so is an address that is none', async () => {
  const missing = await openStore(addressOf('x').replace(BUCKET, 'nobucket'));
  await assert.rejects(missing.prepare(), /^BackupError: s3:\/\/nobucket\/x: NotFound.*\[status: 404\]$/);
  await assert.rejects(missing.list(), /NoSuchBucket/);
  for (const [address, problem] of [
    ['s3:///x', /not an address|the bucket is missing/],
    ['s3://b/x?colour=red', /unknown setting colour/],
    ['s3://b/x?endpoint=ftp://y', /is no URL of http/],
    ['s3://b/x?path-style=perhaps', /path-style is true or false/],
    ['s3://key:secret@b/x', /^BackupError: s3:\/\/b\/x: keys do not belong/],
    ['gs://b/x', /a store is a directory or s3/],
    ['', /has no address/],
  ] as const) {
    await assert.rejects(openStore(address), problem, address);
  }
});

/** A store that says yes to everything, and keeps less. */
function lyingServer(
  answer: (method: string, url: string) => [number, Record<string, string>, string],
): Server {
  return createServer((request, response) => {
    request.resume().on('end', () => {
      const [status, headers, body] = answer(request.method!, request.url!);
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
    });
  });
}

test('a store that accepts half, or answers with errors, is found out', async () => {
  let puts = 0;
  const removed: string[] = [];
  let status = 200;
  const liar = lyingServer((method, url) => {
    if (url.startsWith(`/${BUCKET}?`) || url === `/${BUCKET}` || url === `/${BUCKET}/`) return [200, {}, ''];
    if (method === 'PUT') puts++;
    if (method === 'DELETE') removed.push(url);
    if (method === 'HEAD') return puts === 0 ? [404, {}, ''] : [200, { 'content-length': '7' }, ''];
    const body = status === 200 ? '' : '<Error><Code>AccessDenied</Code><Message>not you</Message></Error>';
    return [method === 'PUT' ? status : 200, { etag: '"x"' }, body];
  });
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  const where = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`;
  try {
    const store = await openStore(addressOf('half', where));
    const source = sourceOf(snapshotWithDigest(randomBytes(512)));
    await assert.rejects(takeBackup(store, options(source)), /the store has 7 of 544 bytes that it accepted/);
    assert.equal(removed.length, 1);
    puts = 0;
    status = 403;
    await assert.rejects(
      takeBackup(store, options(source)),
      /etcd-abc-.*: AccessDenied: not you \[status: 403\]/,
    );
    store.objects.close();
  } finally {
    liar.closeAllConnections();
    liar.close();
  }
});
