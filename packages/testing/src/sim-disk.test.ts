import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DiskFile, SeededRandom } from '@etcd/base';
import { SimClock, SimDisk, SimulatedCrash } from './index.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (disk: SimDisk, path: string): string => Buffer.from(disk.readFile(path)).toString();

test('what was synced survives every crash; what was not may or may not', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const disk = new SimDisk();
    disk.makeDirectory('/d', 0o700);
    disk.syncDirectory('/');
    const file = disk.openFile('/d/f', { access: 'readwrite', create: true });
    file.write(bytes('old!'), 0, 4, 0);
    file.sync();
    disk.syncDirectory('/d');
    file.write(bytes('new!'), 0, 4, 0);
    file.write(bytes('tail'), 0, 4, 4);
    outcomes.add(text(disk.afterCrash(new SeededRandom(seed)), '/d/f'));
    assert.throws(() => file.sizeBytes() === 8 && file.sync(), SimulatedCrash);
  }
  assert.ok(outcomes.has('old!') && outcomes.has('new!tail'), [...outcomes].join());
  for (const outcome of outcomes) assert.match(outcome, /^(old!|new!)/);
});

test('a synced write covers its own bytes and the size, not what was written before it', async () => {
  for (const isAsync of [false, true]) {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const disk = new SimDisk();
      const file = disk.openFile('/f', { access: 'readwrite', create: true });
      disk.syncDirectory('/');
      file.write(bytes('first'), 0, 5, 0);
      if (isAsync) {
        await new Promise((resolve) => file.writeSyncedThen([bytes('sec'), bytes('ond')], 8192, resolve));
      } else file.writeSynced(bytes('second'), 0, 6, 8192);
      const left = disk.afterCrash(new SeededRandom(seed)).readFile('/f');
      assert.equal(Buffer.from(left.subarray(8192)).toString(), 'second');
      outcomes.add(Buffer.from(left.subarray(0, 5)).toString());
    }
    assert.deepEqual([...outcomes].sort(), ['\0\0\0\0\0', 'first']);
  }
});

test('names become durable with their directory, in order', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const disk = new SimDisk();
    for (const name of ['/a', '/b', '/c']) {
      const file = disk.openFile(name, { access: 'readwrite', create: true });
      file.sync();
      file.close();
      if (name === '/a') disk.syncDirectory('/');
    }
    disk.rename('/a', '/z');
    outcomes.add(disk.afterCrash(new SeededRandom(seed)).readDirectory('/').join());
  }
  assert.deepEqual([...outcomes].sort(), ['a', 'a,b', 'a,b,c', 'b,c,z']);
});

test('a sync under way covers what was written before it began, not what came after', () => {
  const pending: (() => void)[] = [];
  const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
  const file = disk.openFile('/f', { access: 'readwrite', create: true });
  disk.syncDirectory('/');
  file.write(bytes('one'), 0, 3, 0);
  let finished = false;
  file.syncThen((error) => {
    finished = error === null;
  });
  file.write(bytes('two'), 0, 3, 0);
  assert.equal(finished, false);
  pending.pop()!();
  assert.equal(finished, true);
  const seen = new Set<string>();
  for (let seed = 0; seed < 20; seed++) seen.add(text(disk.afterCrash(new SeededRandom(seed)), '/f'));
  assert.deepEqual([...seen].sort(), ['one', 'two']);
});

test('a directory sync under way covers the names changed before it began', () => {
  const pending: (() => void)[] = [];
  const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
  const create = (name: string): void => disk.openFile(name, { access: 'readwrite', create: true }).close();
  create('/a');
  let finished = false;
  disk.syncDirectoryThen('/', (error) => {
    finished = error === null;
  });
  create('/b');
  assert.equal(finished, false);
  pending.pop()!();
  assert.equal(finished, true);
  const seen = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    seen.add(disk.afterCrash(new SeededRandom(seed)).readDirectory('/').join());
  }
  assert.deepEqual([...seen].sort(), ['a', 'a,b']);
});

test('shared locks go together, an exclusive one with none', () => {
  const disk = new SimDisk();
  const [a, b] = [1, 2].map(() => disk.openFile('/f', { access: 'readwrite', create: true })) as [
    DiskFile,
    DiskFile,
  ];
  assert.equal(a.tryLock('flock'), true);
  assert.equal(b.tryLock('flock', 'shared'), false);
  assert.equal(a.tryLock('flock', 'shared'), true);
  assert.equal(b.tryLock('flock', 'shared'), true);
  assert.equal(b.tryLock('flock'), false);
  a.close();
  assert.equal(b.tryLock('flock'), true);
  b.close();
});

test('simulated clock runs deferred callbacks first, then timers by deadline', () => {
  const clock = new SimClock();
  const order: string[] = [];
  clock.setTimer(20, () => order.push(`b${clock.now()}`));
  clock.setTimer(10, () => {
    order.push(`a${clock.now()}`);
    clock.defer(() => order.push('deferred'));
  });
  const cancelled = clock.setTimer(15, () => order.push('never'));
  cancelled.cancel();
  clock.advance(30);
  assert.deepEqual(order, ['a10', 'deferred', 'b20']);
  assert.equal(clock.now(), 30);
});

test('a killed process loses nothing but its locks; power that fails afterwards takes what was not synced', () => {
  const disk = new SimDisk();
  const file = disk.openFile('/file', { access: 'readwrite', create: true });
  assert.ok(file.tryLock('flock'));
  file.write(Buffer.from('durable'), 0, 7, 0);
  file.sync();
  disk.syncDirectory('/');
  file.write(Buffer.from('written'), 0, 7, 0);
  const after = disk.afterKill();
  assert.throws(() => file.sync(), SimulatedCrash);
  assert.equal(Buffer.from(after.readFile('/file')).toString(), 'written');
  assert.ok(after.openFile('/file', { access: 'readwrite' }).tryLock('flock'));
  const contents = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const copy = after.afterCrash(new SeededRandom(seed));
    contents.add(Buffer.from(copy.readFile('/file')).toString());
  }
  assert.deepEqual([...contents].sort(), ['durable', 'written']);
});

test('a write whose bytes are taken late is not there before it completes, and takes what the buffer holds then', () => {
  const pending: (() => void)[] = [];
  const schedule = (_operation: unknown, complete: () => void): number => pending.push(complete);
  const disk = new SimDisk({ schedule, takesBytesLate: ({ path }) => path === '/late' });
  const buffer = Buffer.from('before');
  for (const path of ['/late', '/early']) {
    const file = disk.openFile(path, { access: 'readwrite', create: true });
    file.writeThen([buffer], 0, (error) => assert.equal(error, null));
  }
  assert.equal(disk.readFile('/late').length, 0);
  assert.equal(Buffer.from(disk.readFile('/early')).toString(), 'before');
  buffer.write('change');
  for (const complete of pending) complete();
  assert.equal(Buffer.from(disk.readFile('/late')).toString(), 'change');
  assert.equal(Buffer.from(disk.readFile('/early')).toString(), 'before');
});

test('an image of what a crash would leave can be changed without the disk that goes on, and the other way round', () => {
  const disk = new SimDisk();
  const file = disk.openFile('/file', { access: 'readwrite', create: true });
  file.write(Buffer.from('first'), 0, 5, 0);
  file.sync();
  disk.syncDirectory('/');
  const image = disk.crashImage(new SeededRandom(1));
  file.write(Buffer.from('other'), 0, 5, 0);
  const copy = image.openFile('/file', { access: 'readwrite' });
  assert.ok(copy.tryLock('flock'), 'nobody holds a lock there');
  assert.equal(Buffer.from(image.readFile('/file')).toString(), 'first');
  copy.write(Buffer.from('image'), 0, 5, 0);
  assert.equal(Buffer.from(disk.readFile('/file')).toString(), 'other');
});

test('an image of what a kill would leave has what is seen, synced or not, and goes its own way', () => {
  const disk = new SimDisk();
  const file = disk.openFile('/file', { access: 'readwrite', create: true });
  file.write(Buffer.from('first'), 0, 5, 0);
  assert.ok(file.tryLock('flock'));
  const image = disk.killImage();
  file.write(Buffer.from('other'), 0, 5, 0);
  assert.equal(Buffer.from(image.readFile('/file')).toString(), 'first');
  const copy = image.openFile('/file', { access: 'readwrite' });
  assert.ok(copy.tryLock('flock'), 'nobody holds a lock there');
  copy.write(Buffer.from('image'), 0, 5, 0);
  assert.equal(Buffer.from(disk.readFile('/file')).toString(), 'other');
  const after = image.crashImage(new SeededRandom(1));
  assert.ok(after.stat('/file') !== null, 'all of it is durable');
});

test('where names are lost apart, a directory keeps what others lose, and nothing without its directory', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const disk = new SimDisk({ losesNamesApart: true });
    disk.makeDirectory('/a', 0o700);
    disk.makeDirectory('/b', 0o700);
    disk.syncDirectory('/');
    disk.openFile('/a/1', { access: 'readwrite', create: true });
    disk.openFile('/b/2', { access: 'readwrite', create: true });
    disk.syncDirectory('/b');
    disk.makeDirectory('/c', 0o700);
    disk.openFile('/c/3', { access: 'readwrite', create: true });
    disk.syncDirectory('/c');
    const after = disk.afterCrash(new SeededRandom(seed));
    const found = ['/a/1', '/b/2', '/c', '/c/3'].filter((path) => after.stat(path) !== null);
    outcomes.add(found.join(' '));
  }
  assert.deepEqual([...outcomes].sort(), ['/a/1 /b/2', '/a/1 /b/2 /c /c/3', '/b/2', '/b/2 /c /c/3']);
});

test('a name in a directory that is given another name goes with it, whichever becomes durable first', () => {
  for (const isSyncedFirst of [false, true]) {
    const disk = new SimDisk({ losesNamesApart: true });
    disk.makeDirectory('/d.tmp', 0o700);
    disk.syncDirectory('/');
    disk.openFile('/d.tmp/1.tmp', { access: 'readwrite', create: true });
    disk.rename('/d.tmp/1.tmp', '/d.tmp/1');
    disk.rename('/d.tmp', '/d');
    for (const path of isSyncedFirst ? ['/d', '/'] : ['/', '/d']) disk.syncDirectory(path);
    const after = disk.afterCrash(new SeededRandom(1));
    assert.deepEqual([after.readDirectory('/'), after.readDirectory('/d')], [['d'], ['1']]);
  }
});
