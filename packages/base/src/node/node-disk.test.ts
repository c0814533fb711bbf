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
