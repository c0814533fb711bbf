import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { DiskError } from '@etcd/base';
import { NodeDisk } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { createLogger, MemorySink } from '../logging/index.ts';
import {
  type DataDirectoryContent,
  DataDirectoryError,
  type DataDirectoryErrorCode,
  prepareDataDirectory,
} from './data-directory.ts';
import { findLockHolder, lockHolderIn } from './lock-holder.ts';

let root: string;
let log: MemorySink;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'data-'));
  log = new MemorySink();
});

afterEach(() => {
  fs.rmSync(root, { recursive: true, force: true });
});

function prepare(dataDir: string, ownPaths: string[] = [], disk = new NodeDisk()): DataDirectoryContent {
  const logger = createLogger({ level: 'info', sink: log, clock: new SimClock() });
  return prepareDataDirectory({ disk, dataDir, ownPaths, logger, findLockHolder });
}

function refusal(code: DataDirectoryErrorCode, ...args: Parameters<typeof prepare>): string {
  try {
    prepare(...args);
  } catch (error) {
    assert.ok(error instanceof DataDirectoryError);
    assert.equal(error.code, code);
    return error.message;
  }
  return assert.fail('accepted');
}

function modeOf(file: string): number {
  return fs.statSync(file).mode & 0o7777;
}

test('a directory that is not there is made, for its owner alone', () => {
  const dataDir = path.join(root, 'a', 'm1.etcd');
  assert.equal(prepare(dataDir), 'empty');
  assert.equal(modeOf(dataDir), 0o700);
  assert.equal(modeOf(path.join(dataDir, 'member')), 0o700);
  assert.equal(prepare(dataDir), 'member');
  assert.deepEqual(log.messages(), [
    'Initialize and start etcd server',
    'server has already been initialized',
  ]);
});

test('S14 a directory that everybody can read is tightened', () => {
  const dataDir = path.join(root, 'open');
  fs.mkdirSync(dataDir);
  fs.chmodSync(dataDir, 0o755);
  prepare(dataDir);
  assert.equal(modeOf(dataDir), 0o750);
  assert.ok(log.messages().includes('check file permission'));
  assert.ok(log.messages().includes('data directory was open to everybody; tightened its permission'));
});

test('S14 a directory that can not be tightened is refused', () => {
  const dataDir = path.join(root, 'open');
  fs.mkdirSync(dataDir);
  fs.chmodSync(dataDir, 0o777);
  class OthersDisk extends NodeDisk {
    override changeMode(file: string): void {
      throw new DiskError('EPERM', file, 'EPERM: operation not permitted');
    }
  }
  const message = refusal('open', dataDir, [], new OthersDisk());
  assert.match(message, /is open to everybody \(0777\); chmod 0770 it as its owner, or choose another/);
  class NoModesDisk extends NodeDisk {
    override changeMode(): void {}
  }
  refusal('open', dataDir, [], new NoModesDisk());
  assert.equal(modeOf(dataDir), 0o777);
});

test('S14 a directory that people share is refused, not closed to them', () => {
  const shared = path.join(root, 'tmp');
  fs.mkdirSync(shared);
  fs.chmodSync(shared, 0o1777);
  refusal('open', shared);
  assert.equal(modeOf(shared), 0o1777);
});

test('a group that may read is warned about and left alone', () => {
  const dataDir = path.join(root, 'group');
  fs.mkdirSync(dataDir);
  fs.chmodSync(dataDir, 0o2770);
  prepare(dataDir);
  assert.equal(modeOf(dataDir), 0o2770);
  assert.ok(log.messages().includes('check file permission'));
});

test('a directory of something else is refused and not touched', () => {
  fs.chmodSync(root, 0o755);
  for (const name of ['a', 'b', 'c', 'd']) fs.writeFileSync(path.join(root, name), '');
  const message = refusal('foreign', root);
  assert.match(
    message,
    /holds no member but other files \(a, b, c, …\); give the member a directory of its own/,
  );
  assert.equal(modeOf(root), 0o755);
  assert.equal(fs.existsSync(path.join(root, 'member')), false);
});

test('what file systems leave behind and what the configuration put there is no stranger', () => {
  fs.mkdirSync(path.join(root, 'lost+found'));
  fs.writeFileSync(path.join(root, '.touch'), '');
  fs.mkdirSync(path.join(root, 'logs'));
  fs.mkdirSync(path.join(root, 'wal'));
  assert.equal(prepare(root, [path.join(root, 'wal'), path.join(root, 'logs/etcd.log')]), 'empty');
});

test('strange files beside a member are only warned about', () => {
  fs.mkdirSync(path.join(root, 'member'));
  fs.writeFileSync(path.join(root, 'notes.txt'), '');
  assert.equal(prepare(root), 'member');
  assert.ok(log.messages().includes('found invalid file under data directory'));
});

test('the directory of a v2 proxy is refused', () => {
  fs.mkdirSync(path.join(root, 'proxy'));
  assert.match(refusal('foreign', root), /^v2 http proxy has already been deprecated in 3.6/);
  fs.mkdirSync(path.join(root, 'member'));
  assert.match(refusal('foreign', root), /^invalid datadir; both member and proxy directories exist/);
});

test('a directory that can not be made, listed or written is refused with the reason', () => {
  assert.equal(
    refusal('unusable', '/proc/nothing/x'),
    'cannot access data directory: mkdir /proc/nothing/x: no such file or directory',
  );
  const file = path.join(root, 'file');
  fs.writeFileSync(file, '');
  assert.equal(refusal('unusable', file), `data directory ${file} is not a directory`);
  assert.match(refusal('unusable', path.join(file, 'x')), /not a directory/);
  class ReadOnlyDisk extends NodeDisk {
    override openFile(name: string): never {
      throw new DiskError('EROFS', name, 'EROFS: read-only file system');
    }
  }
  const dataDir = path.join(root, 'ro');
  assert.equal(
    refusal('unusable', dataDir, [], new ReadOnlyDisk()),
    `cannot access data directory: open ${dataDir}/.touch: read-only file system`,
  );
});

test('a directory that another process uses is refused, with that process', () => {
  fs.mkdirSync(path.join(root, 'member', 'snap'), { recursive: true });
  const db = path.join(root, 'member', 'snap', 'db');
  const disk = new NodeDisk();
  const held = disk.openFile(db, { access: 'readwrite', create: true });
  assert.equal(prepare(root), 'member');
  assert.equal(held.tryLock('flock'), true);
  const message = refusal('in-use', root);
  assert.match(
    message,
    /^data directory \S+ is in use: (process \d+|another process) has locked .*\/snap\/db;/,
  );
  held.close();
  assert.equal(prepare(root), 'member');
});

test('the holder of a lock is found by the inode of the file', () => {
  const locks =
    '1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n' +
    '2: FLOCK  ADVISORY  WRITE 4242 08:01:131073 0 EOF\n' +
    '2: -> FLOCK  ADVISORY  WRITE 4243 08:01:131073 0 EOF\n' +
    '3: FLOCK  ADVISORY  WRITE -1 08:01:99 0 EOF\n';
  assert.equal(lockHolderIn(locks, 131073), 4242);
  assert.equal(lockHolderIn(locks, 77), null);
  assert.equal(lockHolderIn(locks, 99), null);
  assert.equal(lockHolderIn('', 1), null);
});
