/** Lists that are used again: what they give back after growing, being cut, cleared and filled anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poisonMemory, SeededRandom } from '@etcd/base';
import { Changes } from './changes.ts';
import { endOfRange, isEmptyRange } from './key-range.ts';
import { OutputArena } from './output-arena.ts';
import { Slices } from './slices.ts';

const KIB = 1024;

test('changes are kept as they were pushed, however many, and a list that has grown huge is not', () => {
  const random = new SeededRandom(5);
  const changes = new Changes();
  for (const count of [3, 16, 17, 200, 0, 40_000, 65_536, 65_537, 140_000, 2]) {
    changes.clear();
    assert.equal(changes.count, 0);
    const rows: [number, boolean, number, number][] = [];
    for (let i = 0; i < count; i++) {
      const row: (typeof rows)[0] = [
        random.below(2 ** 31),
        random.chance(0.5),
        random.below(2 ** 31) * 2 ** 20,
        random.below(2 ** 31),
      ];
      rows.push(row);
      changes.push(...row);
    }
    assert.equal(changes.count, count);
    const wrong = rows.findIndex(
      ([ref, isTombstone, main, sub], i) =>
        changes.ref(i) !== ref ||
        changes.isTombstone(i) !== isTombstone ||
        changes.prevMain(i) !== main ||
        changes.prevSub(i) !== sub,
    );
    assert.equal(wrong, -1);
  }
});

test('slices are what was pushed, cut and put in another order, and count their bytes', () => {
  const random = new SeededRandom(6);
  const slices = new Slices();
  let model: { buffer: Uint8Array; start: number; end: number }[] = [];
  for (let step = 0; step < 2000; step++) {
    const what = random.below(20);
    if (what < 15) {
      const start = random.below(10);
      const pushed = { buffer: new Uint8Array(20), start, end: start + random.below(10) };
      model.push(pushed);
      slices.push(pushed.buffer, pushed.start, pushed.end);
    } else if (what < 17) {
      const count = random.below(model.length + 1);
      model = model.slice(0, count);
      slices.truncate(count);
    } else if (what < 19) {
      const order = model.map((_, i) => i).filter(() => random.chance(0.7));
      order.reverse();
      model = order.map((i) => model[i]!);
      slices.reorder(order);
    } else {
      model = [];
      slices.clear();
    }
    assert.equal(slices.count, model.length);
    assert.equal(
      slices.bytes,
      model.reduce((total, { start, end }) => total + end - start, 0),
    );
    for (const [i, { buffer, start, end }] of model.entries()) {
      assert.ok(slices.buffer(i) === buffer);
      assert.deepEqual([slices.start(i), slices.end(i)], [start, end]);
    }
  }
});

test('pieces of an arena do not overlap, share arrays of 64 KiB, and are apart where they are large', () => {
  const random = new SeededRandom(7);
  const arena = new OutputArena();
  const pieces = new Map<Uint8Array, [start: number, end: number][]>();
  for (let i = 0; i < 500; i++) {
    const length = random.pick([1, 2, 100, 5000, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 100 * KIB]);
    arena.reserve(length);
    const { buffer, start } = arena;
    assert.ok(start + length <= buffer.length);
    assert.equal(buffer.length, length > 16 * KIB ? length : 64 * KIB);
    const others = pieces.get(buffer) ?? [];
    pieces.set(buffer, others);
    for (const [from, to] of others) assert.ok(start >= to || start + length <= from);
    if (length > 16 * KIB) assert.deepEqual(others, []);
    others.push([start, start + length]);
  }
});

test('an arena is filled to its last byte, and filled again from the start when nobody has a piece any more', () => {
  poisonMemory();
  const arena = new OutputArena();
  arena.reserve(16 * KIB);
  const { buffer } = arena;
  for (let i = 1; i < 4; i++) arena.reserve(16 * KIB);
  assert.deepEqual([arena.buffer === buffer, arena.start], [true, 48 * KIB]);
  buffer.fill(1);
  arena.clear();
  assert.ok(buffer.every((byte) => byte === 0xdb));
  arena.reserve(1);
  assert.deepEqual([arena.buffer === buffer, arena.start], [true, 0]);
  arena.reserve(100 * KIB);
  const large = arena.buffer;
  arena.clear();
  arena.reserve(1);
  assert.ok(arena.buffer !== large && arena.buffer !== buffer, 'an odd array is not kept');
});

test('the end of a range is what requests say: none, everything, or the first key behind', () => {
  const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
  assert.equal(endOfRange(of()), null);
  assert.deepEqual(endOfRange(of(0)), of());
  for (const end of [of(1), of(0, 0), of(0, 1), of(255)]) assert.deepEqual(endOfRange(end), end);
  assert.equal(isEmptyRange(of(1), of()), false);
  assert.equal(isEmptyRange(of(1), of(1)), true);
  assert.equal(isEmptyRange(of(1), of(1, 0)), false);
  assert.equal(isEmptyRange(of(1, 0), of(1)), true);
  assert.equal(isEmptyRange(of(), of(0)), false);
});
