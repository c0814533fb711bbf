import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poisonMemory, SeededRandom } from '@etcd/base';
import { RevisionLog } from './revision-log.ts';

const MIB = 1024 * 1024;

test('revisions are found with their values until they are let go, oldest first and never in part', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new SeededRandom(seed);
    const start = random.pick([0, 1, 4095, 2 ** 40]);
    const log = new RevisionLog(start);
    const model = new Map<
      string,
      { readonly byte: number; readonly length: number; readonly isTombstone: boolean }
    >();
    let main = start;
    let committed = start;
    for (let step = 0; step < 3000; step++) {
      main++;
      const changes = 1 + (random.chance(0.05) ? random.below(300) : random.below(3));
      for (let sub = 0; sub < changes; sub++) {
        const length = random.chance(0.001) ? 2 * MIB : random.below(3000);
        const isTombstone = random.chance(0.2);
        log.reserve(main, sub, isTombstone, length);
        log.buffer.fill(step & 0xff, log.start, log.end);
        model.set(`${main}.${sub}`, { byte: step & 0xff, length, isTombstone });
      }
      if (random.chance(0.02)) committed = Math.max(committed, main - random.below(3));
      if (random.chance(0.02)) log.trim(random.pick([0, MIB, 5 * MIB]), Math.max(start, committed));
      assert.ok(log.firstMain <= Math.max(start, committed) + 1, 'what is not committed stays');
      assert.equal(log.lastMain, main);
      checkSome(log, model, random, start, main);
    }
    log.trim(0, main);
    assert.deepEqual([log.bytes, log.firstMain], [0, main + 1]);
    log.reserve(main + 1, 0, false, 3);
    assert.ok(log.find(main + 1, 0));
  }
});

function checkSome(
  log: RevisionLog,
  model: ReadonlyMap<
    string,
    { readonly byte: number; readonly length: number; readonly isTombstone: boolean }
  >,
  random: SeededRandom,
  start: number,
  last: number,
): void {
  for (let i = 0; i < 3; i++) {
    const main = start + 1 + random.below(Math.min(last - start, 2 ** 31));
    const sub = random.below(3);
    const expected = main < log.firstMain ? undefined : model.get(`${main}.${sub}`);
    assert.equal(log.find(main, sub), expected !== undefined, `${main}.${sub}`);
    if (expected === undefined) continue;
    assert.equal(log.isTombstone, expected.isTombstone);
    assert.equal(log.end - log.start, expected.length);
    assert.ok(log.buffer.subarray(log.start, log.end).every((byte) => byte === expected.byte));
    assert.equal(log.firstEntryOf(main) + sub < log.firstEntryAfter(main), true);
  }
}

test('a gap between revisions is a broken invariant', () => {
  const log = new RevisionLog(10);
  log.reserve(11, 0, false, 1);
  assert.throws(() => log.reserve(13, 0, false, 1), { name: 'InvariantError' });
  assert.throws(() => log.reserve(11, 2, false, 1), { name: 'InvariantError' });
  assert.throws(() => log.reserve(12, 1, false, 1), { name: 'InvariantError' });
});

/** Writes `revisions` of 100 kB behind the last, and lets go of all but the newest MiB after each. Returns the slabs that were used. */
function writeAndTrim(log: RevisionLog, revisions: number, onWritten = (): void => {}): Set<Uint8Array> {
  const slabs = new Set<Uint8Array>();
  for (let i = 0; i < revisions; i++) {
    log.reserve(log.lastMain + 1, 0, false, 100_000);
    log.buffer.fill(log.lastMain & 0x7f, log.start, log.end);
    slabs.add(log.buffer);
    onWritten();
    log.trim(MIB, log.lastMain);
  }
  return slabs;
}

test('what was let go is written over, and poisoned until then', () => {
  poisonMemory();
  const log = new RevisionLog(0);
  let last: Uint8Array = new Uint8Array(0);
  const slabs = writeAndTrim(log, 100, () => {
    if (log.buffer === last) return;
    last = log.buffer;
    const isPoisoned = log.buffer
      .subarray(log.end, log.end + 1000)
      .every((byte) => byte === 0xdb || byte === 0);
    assert.ok(isPoisoned, 'a slab that is used again has nothing of before');
  });
  assert.ok(slabs.size <= 3, `${slabs.size} slabs`);
});

test('a slab that was lent is never written over', () => {
  const log = new RevisionLog(0);
  const lent = new Map<Uint8Array, Uint8Array>();
  writeAndTrim(log, 300, () => {
    if (log.lastMain % 37 !== 0) return;
    log.lend(log.buffer);
    const view = log.buffer.subarray(log.start, log.end);
    lent.set(view, view.slice());
  });
  assert.equal(lent.size, 8);
  for (const [view, copy] of lent) assert.deepEqual(view, copy);
  // What is no slab, as a page of the file, is nobody's concern here.
  log.lend(new Uint8Array(10));
});
