import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { DiskError } from '../disk.ts';
import { NodeDisk } from './node-disk.ts';

function codeOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof DiskError);
    return error.code;
  }
  return 'none';
}

test('a directory is made with its missing parents and mode; an existing one is left as it is', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-'));
  const disk = new NodeDisk();
  try {
    const deep = path.join(root, 'a', 'b', 'c');
    disk.makeDirectory(deep, 0o700);
    for (const directory of [deep, path.dirname(deep)]) {
      assert.equal(disk.stat(directory)?.mode, 0o700);
    }
    fs.chmodSync(deep, 0o750);
    disk.makeDirectory(`${deep}/`, 0o700);
    assert.equal(disk.stat(deep)?.mode, 0o750);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});

test('a directory that can not be made is an error, not an endless try', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-'));
  const disk = new NodeDisk();
  try {
    const file = path.join(root, 'file');
    fs.writeFileSync(file, '');
    assert.equal(
      codeOf(() => disk.makeDirectory(file, 0o700)),
      'EEXIST',
    );
    assert.equal(
      codeOf(() => disk.makeDirectory(path.join(file, 'x', 'y'), 0o700)),
      'ENOTDIR',
    );
    if (process.platform === 'linux') {
      assert.equal(
        codeOf(() => disk.makeDirectory('/proc/nothing/x', 0o700)),
        'ENOENT',
      );
    }
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});

/** Flags of the descriptors that this process has of a file. */
function flagsOf(file: string): number[] {
  const flags: number[] = [];
  for (const descriptor of fs.readdirSync('/proc/self/fd')) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${descriptor}`) !== file) continue;
      const info = fs.readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1');
      flags.push(Number.parseInt(/^flags:\s+(\d+)$/m.exec(info)![1]!, 8));
    } catch {
      // The one that the directory was read by.
    }
  }
  return flags;
}

test('a synced write goes through a descriptor of its own, by whatever name the file goes', async () => {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'disk-')));
  const disk = new NodeDisk();
  try {
    const [first, second] = [path.join(root, 'first'), path.join(root, 'second')];
    const file = disk.openFile(first, { access: 'readwrite', create: true });
    assert.ok(file.tryLock('ofd'));
    disk.rename(first, second);
    disk.openFile(first, { access: 'readwrite', create: true }).close();
    file.writeSynced(Buffer.from('-ab-'), 1, 2, 0);
    await new Promise((resolve) => file.writeSyncedThen([Buffer.from('cd')], 2, resolve));
    const many = Array.from({ length: 1500 }, (_, i) => Buffer.from([i & 0xff]));
    await new Promise((resolve) => file.writeSyncedThen(many, 4, resolve));
    assert.deepEqual(fs.readFileSync(second), Buffer.concat([Buffer.from('abcd'), ...many]));
    assert.equal(fs.statSync(first).size, 0);
    if (process.platform === 'linux') {
      const durable = flagsOf(second).filter((flags) => (flags & fs.constants.O_DSYNC) !== 0);
      assert.equal(durable.length, 1);
    }
    const other = disk.openFile(second, { access: 'readwrite' });
    assert.equal(other.tryLock('ofd'), false);
    file.close();
    assert.deepEqual(flagsOf(second).length, 1, 'both descriptors are closed');
    assert.ok(other.tryLock('ofd'));
    other.close();
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});
