import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { SimClock } from '@etcd/testing';
import { type LogRotation, RotatingFile } from './rotating-file.ts';

const directories: string[] = [];
after(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

const NO_LIMITS: LogRotation = {
  maxSizeMegabytes: 1,
  maxAgeDays: 0,
  maxBackups: 0,
  isLocalTime: false,
  isCompressed: false,
};
const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const DAY_MS = 86_400_000;
/** Two lines of this are more than a file of a megabyte takes. */
const LARGE = `${'x'.repeat(600_000)}\n`;

class World {
  readonly directory = fs.mkdtempSync(path.join(tmpdir(), 'etcd-log-'));
  readonly path = path.join(this.directory, 'sub', 'etcd.log');
  nowMs = START_MS;

  constructor() {
    directories.push(this.directory);
  }

  open(changes: Partial<LogRotation> = {}): RotatingFile {
    return new RotatingFile({
      path: this.path,
      rotation: { ...NO_LIMITS, ...changes },
      clock: new SimClock(),
      wallMs: () => this.nowMs,
      timezoneOffsetMinutes: () => -120,
    });
  }

  names(): string[] {
    return fs.readdirSync(path.dirname(this.path)).sort();
  }

  read(name: string): string {
    return fs.readFileSync(path.join(path.dirname(this.path), name), 'utf8');
  }
}

test('a file that is full is put aside under its moment, and a new one begins', async () => {
  const world = new World();
  const file = world.open();
  file.write('first\n');
  file.write(LARGE);
  assert.deepEqual(world.names(), ['etcd.log']);
  assert.equal(fs.statSync(world.path).mode & 0o777, 0o600);
  fs.chmodSync(world.path, 0o640);
  file.write(LARGE);
  file.write('last\n');
  await file.idle();
  assert.deepEqual(world.names(), ['etcd-2026-01-02T03-04-05.678.log', 'etcd.log']);
  assert.equal(world.read('etcd-2026-01-02T03-04-05.678.log'), `first\n${LARGE}`);
  assert.equal(world.read('etcd.log'), `${LARGE}last\n`);
  assert.equal(fs.statSync(world.path).mode & 0o777, 0o640, 'the new one has the mode of the old');
});

test('old files are named by the local time if that is wanted, and no two alike', async () => {
  const world = new World();
  const file = world.open({ isLocalTime: true });
  for (let i = 0; i < 3; i++) file.write(LARGE);
  await file.idle();
  assert.deepEqual(world.names(), [
    'etcd-2026-01-02T05-04-05.678.log',
    'etcd-2026-01-02T05-04-05.679.log',
    'etcd.log',
  ]);
});

test('a file that is there already is gone on with, and its size counts', () => {
  const world = new World();
  world.open().write(LARGE);
  const file = world.open();
  file.write('short\n');
  assert.equal(world.read('etcd.log'), `${LARGE}short\n`);
  file.write(LARGE);
  assert.equal(world.names().length, 2);
});

test('a line that is longer than a file may be is written all the same', () => {
  const world = new World();
  const file = world.open();
  const line = `${'y'.repeat(3_000_000)}\n`;
  file.write(line);
  assert.deepEqual([world.names(), world.read('etcd.log').length], [['etcd.log'], line.length]);
});

test('only so many old files stay, and none that is too old', async () => {
  const world = new World();
  const many = world.open({ maxBackups: 2 });
  for (let i = 0; i < 6; i++) {
    world.nowMs += DAY_MS;
    many.write(LARGE);
  }
  await many.idle();
  const [older, newer] = ['etcd-2026-01-07T03-04-05.678.log', 'etcd-2026-01-08T03-04-05.678.log'];
  assert.deepEqual(world.names(), [older, newer, 'etcd.log']);
  fs.writeFileSync(path.join(path.dirname(world.path), 'etcd-notes.log'), 'not ours');
  world.nowMs += DAY_MS / 2;
  await world.open({ maxAgeDays: 1 }).idle();
  assert.deepEqual(world.names(), [newer, 'etcd-notes.log', 'etcd.log']);
});

test('old files are compressed, also those of a run that ended before it could', async () => {
  const world = new World();
  const first = world.open();
  for (let i = 0; i < 2; i++) first.write(LARGE);
  await first.idle();
  const [name] = world.names();
  const compressed = path.join(path.dirname(world.path), `${name}.gz`);
  fs.writeFileSync(compressed, 'half of it');
  const second = world.open({ isCompressed: true });
  await second.idle();
  assert.deepEqual(world.names(), [`${name}.gz`, 'etcd.log']);
  assert.equal(gunzipSync(fs.readFileSync(compressed)).toString(), LARGE);
});

test('where no new file can be made, the old one is gone on with', () => {
  const world = new World();
  const file = world.open();
  file.write(LARGE);
  // A directory has the name now: nothing can be opened under it.
  fs.renameSync(world.path, `${world.path}.moved`);
  fs.mkdirSync(world.path);
  const rename = fs.renameSync;
  try {
    fs.renameSync = () => {
      throw new Error('EACCES');
    };
    file.write(LARGE);
  } finally {
    fs.renameSync = rename;
  }
  assert.equal(world.read('etcd.log.moved').length, 2 * LARGE.length);
  assert.equal(file.lostCount(), 0);
});

test('a file that was put aside in vain has its name back, and is no old one that could go', async (t) => {
  const world = new World();
  const file = world.open({ isCompressed: true, maxBackups: 1 });
  file.write(LARGE);
  const open = t.mock.method(fs, 'openSync', () => {
    throw new Error('EMFILE');
  });
  file.write(LARGE);
  open.mock.restore();
  await file.idle();
  file.write('last\n');
  assert.deepEqual(world.names(), ['etcd.log']);
  assert.equal(world.read('etcd.log'), `${LARGE}${LARGE}last\n`);
});

test('lines that a full disk does not take put no file aside', async (t) => {
  const world = new World();
  const file = world.open({ maxBackups: 1 });
  file.write('first\n');
  const write = t.mock.method(fs, 'writeSync', () => {
    throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  });
  for (let i = 0; i < 4; i++) file.write(LARGE);
  write.mock.restore();
  file.write('last\n');
  await file.idle();
  assert.deepEqual([world.names(), file.lostCount()], [['etcd.log'], 4]);
  assert.equal(world.read('etcd.log'), 'first\nlast\n');
});
