import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ResponseHeader, StatusResponse } from '@etcd/api/etcdserverpb';
import type { BackupMetadata } from '@etcd/backup';
import { reasonAgainst } from './snapshot-source.ts';

const root = mkdtempSync(join(tmpdir(), 'admin-backup-'));
after(() => rmSync(root, { recursive: true }));

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const METADATA: BackupMetadata = {
  format: 1,
  name: 'etcd-slow.db',
  createdAt: '2026-11-01T00:00:00.000Z',
  clusterId: 'abc',
  memberId: 'def',
  memberVersion: '3.7.3',
  source: '127.0.0.1:2379',
  revision: 1,
  hash: 1,
  hashCompactRevision: 0,
  sizeBytes: 1,
  sha256: '',
  storedBytes: 1,
  storedSha256: '',
  compression: 'none',
  encryption: 'none',
};

test('a member whose data differ is not backed up, and the others still are', () => {
  const statusOf = (memberId: bigint, ...errors: string[]): StatusResponse =>
    new StatusResponse({ header: new ResponseHeader({ memberId }), errors });
  // All members tell all alarms.
  const alarms = ['memberID:7 alarm:NOSPACE ', 'memberID:12 alarm:CORRUPT '];
  assert.equal(reasonAgainst(statusOf(1n, ...alarms)), null);
  assert.equal(reasonAgainst(statusOf(2n, ...alarms)), null);
  assert.equal(reasonAgainst(statusOf(7n, ...alarms)), null);
  assert.match(reasonAgainst(statusOf(12n, ...alarms))!, /differ/);
  // Nobody could tell which of them it is.
  assert.match(reasonAgainst(statusOf(1n, 'alarm:CORRUPT '))!, /differ/);
  assert.match(reasonAgainst(statusOf(1n, 'memberID:0 alarm:CORRUPT'))!, /differ/);
  assert.equal(reasonAgainst(statusOf(1n, 'etcdserver: no leader')), null);
});

const MAIN = new URL('../main.ts', import.meta.url).pathname;

interface Stopped {
  /** How the program ended: its exit code and the signal. */
  readonly how: unknown;
  readonly said: string;
  /** What is left in the place where it wrote. */
  readonly files: readonly string[];
}

/** Ends a command in the middle, for it reads a backup that does not come to its end. */
async function stopped(command: string, signal: NodeJS.Signals): Promise<Stopped> {
  const place = mkdtempSync(join(root, `${command}-`));
  const store = join(place, 'store');
  mkdirSync(store);
  const scratch = join(place, 'scratch');
  mkdirSync(scratch);
  writeFileSync(join(store, `${METADATA.name}.json`), JSON.stringify(METADATA));
  const pipe = join(store, METADATA.name);
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const writer = openSync(pipe, 'r+');
  // More than is gathered before it is written, and no more than a pipe holds beyond that.
  createWriteStream('', { fd: writer, autoClose: false }).write(Buffer.alloc(512 * 1024 + 512));
  const rest = {
    verify: ['--scratch', scratch],
    restore: ['--data-dir', join(scratch, 'not', 'yet', 'there')],
    get: ['--output', join(scratch, 'snapshot.db')],
  }[command]!;
  const words = command === 'restore' ? ['restore'] : ['backup', command];
  const child = spawn(process.execPath, [MAIN, ...words, '--store', store, ...rest]);
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const ended = new Promise((resolve) => child.once('close', (...how) => resolve(how)));
  const files = (): string[] => readdirSync(scratch, { recursive: true, encoding: 'utf8' });
  const isAtWork = (): boolean =>
    files().some((name) => /\.db(\.part)?$/.test(name) && statSync(join(scratch, name)).size > 0);
  await until(() => child.exitCode !== null || isAtWork());
  child.kill(signal);
  closeSync(writer);
  return { how: await ended, said, files: files() };
}

for (const command of ['verify', 'restore', 'get']) {
  test(`${command} that is interrupted leaves nothing in the clear`, async () => {
    const { how, said, files } = await stopped(command, 'SIGTERM');
    assert.deepEqual(how, [1, null], said);
    assert.match(said, /interrupted/);
    assert.deepEqual(files, [], said);
  });
}

test('a snapshot that get could not finish does not have its name, even if it was killed', async () => {
  const { how, files } = await stopped('get', 'SIGKILL');
  assert.deepEqual(how, [null, 'SIGKILL']);
  assert.deepEqual(files, ['snapshot.db.part']);
});
