import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareBytes,
  crc32c,
  crc32cUpdate,
  type DiskError,
  Heap,
  latin1FromBytes,
  RingBuffer,
  SeededRandom,
} from './index.ts';
import { NodeDisk } from './node/index.ts';

test('crc32c agrees with the check value of the algorithm and with any split', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
      const at = Math.min(cut, bytes.length);
      const head = crc32cUpdate(0, bytes, 0, at);
      assert.equal(crc32cUpdate(head, bytes, at, bytes.length), crc32c(bytes));
    }),
  );
});

test('byte order is that of Buffer.compare and of latin1 strings', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      const expected = Buffer.compare(a, b);
      assert.equal(Math.sign(compareBytes(a, b)), expected);
      const [x, y] = [latin1FromBytes(a), latin1FromBytes(b)];
      assert.equal(x < y ? -1 : x > y ? 1 : 0, expected);
    }),
  );
});

test('ring buffer keeps first-in first-out order while it wraps and grows', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat())), (operations) => {
      const ring = new RingBuffer<number>(1);
      const model: number[] = [];
      for (const operation of operations) {
        if (operation === null) assert.equal(ring.take(), model.shift());
        else {
          ring.push(operation);
          model.push(operation);
        }
        assert.equal(ring.count, model.length);
        assert.equal(ring.peek(), model[0]);
        assert.equal(ring.at(model.length - 1), model.at(-1));
      }
    }),
  );
});

test('heap pops in order and removes from the middle', () => {
  interface Item {
    value: number;
    index: number;
  }
  fc.assert(
    fc.property(fc.array(fc.nat(100)), fc.infiniteStream(fc.nat()), (values, picks) => {
      const heap = new Heap<Item>({
        before: (a, b) => a.value < b.value,
        setIndex: (item, index) => {
          item.index = index;
        },
      });
      const live = values.map((value) => ({ value, index: -1 }));
      for (const item of live) heap.push(item);
      for (let i = live.length; i > 3; i -= 3) {
        const [item] = live.splice(picks.next().value % live.length, 1);
        assert.equal(heap.removeAt(item!.index), item);
        assert.equal(item!.index, -1);
        const changed = live[picks.next().value % live.length]!;
        changed.value = picks.next().value % 100;
        heap.fix(changed.index);
      }
      const popped: number[] = [];
      for (let item = heap.pop(); item !== undefined; item = heap.pop()) popped.push(item.value);
      assert.deepEqual(
        popped,
        live.map((item) => item.value).sort((a, b) => a - b),
      );
    }),
  );
});

test('seeded random repeats, and stays in its range', () => {
  const [a, b] = [new SeededRandom(7), new SeededRandom(7)];
  for (let i = 0; i < 1000; i++) {
    const value = a.below(10);
    assert.equal(value, b.below(10));
    assert.ok(value >= 0 && value < 10);
  }
});

test('NodeDisk reads what it wrote, allocates, and its locks exclude other open files', async () => {
  const disk = new NodeDisk();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'base-'));
  try {
    const name = disk.join(directory, 'file');
    const file = disk.openFile(name, { access: 'readwrite', create: true });
    const chunks = Array.from({ length: 3000 }, (_, i) => Buffer.from([i & 255, i >> 8]));
    await new Promise<void>((resolve, reject) =>
      file.writeThen(chunks, 10, (error) => (error ? reject(error) : resolve())),
    );
    file.sync();
    assert.deepEqual(Buffer.from(disk.readFile(name)), Buffer.concat([Buffer.alloc(10), ...chunks]));
    file.allocate(1_000_000);
    assert.equal(disk.stat(name)!.sizeBytes, 1_000_000);
    assert.equal(disk.stat(name)!.mode, 0o600);
    await new Promise<void>((resolve, reject) =>
      disk.syncDirectoryThen(directory, (error) => (error ? reject(error) : resolve())),
    );
    const absent = await new Promise((resolve) => disk.syncDirectoryThen(`${directory}/none`, resolve));
    assert.equal((absent as DiskError).code, 'ENOENT');
    const other = disk.openFile(name, { access: 'readwrite' });
    for (const kind of ['flock', 'ofd'] as const) {
      assert.equal(file.tryLock(kind), true);
      assert.equal(other.tryLock(kind), false);
    }
    file.close();
    for (const kind of ['flock', 'ofd'] as const) assert.equal(other.tryLock(kind), true);
    const third = disk.openFile(name, { access: 'readwrite' });
    for (const kind of ['flock', 'ofd'] as const) {
      assert.equal(third.tryLock(kind, 'shared'), false);
      assert.equal(other.tryLock(kind, 'shared'), true);
      assert.equal(third.tryLock(kind, 'shared'), true);
      assert.equal(third.tryLock(kind), false);
    }
    third.close();
    other.close();
    assert.throws(() => disk.openFile(disk.join(directory, 'none'), { access: 'read' }), { code: 'ENOENT' });
  } finally {
    disk.removeDirectory(directory);
  }
});
