import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { poisonMemory, SeededRandom } from '@etcd/base';
import { writeRevision } from './revision.ts';
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

test('entries are walked as they were written, each with its key before its value', () => {
  const random = new SeededRandom(9);
  const log = new RevisionLog(41);
  const written: { main: number; sub: number; isTombstone: boolean; value: string }[] = [];
  for (let main = 42; main < 6000; main++) {
    for (let sub = 0; sub <= random.below(4); sub++) {
      const isTombstone = random.chance(0.3);
      const value = `${main}.${sub}`.repeat(random.below(4));
      log.reserve(main, sub, isTombstone, value.length);
      assert.equal(log.isTombstone, isTombstone);
      Buffer.from(log.buffer.buffer).write(value, log.start, 'latin1');
      written.push({ main, sub, isTombstone, value });
    }
  }
  assert.equal(log.nextEntry, written.length);
  for (const [entry, { main, sub, isTombstone, value }] of written.entries()) {
    log.select(entry);
    const key = Buffer.alloc(18);
    const keyBytes = writeRevision(key, main, sub, isTombstone);
    const stored = Buffer.from(log.buffer.subarray(log.start - keyBytes, log.end));
    assert.ok(
      stored.equals(Buffer.concat([key.subarray(0, keyBytes), Buffer.from(value)])),
      `${main}.${sub}`,
    );
    assert.equal(log.isTombstone, isTombstone);
    assert.equal(log.firstEntryOf(main) + sub, entry);
    const next = written[entry + 1];
    if (next?.main !== main) assert.equal(log.firstEntryAfter(main), entry + 1);
  }
  for (const main of [41, 6000]) assert.throws(() => log.firstEntryOf(main), { name: 'InvariantError' });
});

test('a slab is filled to its last byte, and what is longer than one gets its own', () => {
  const log = new RevisionLog(0);
  const write = (length: number): Uint8Array => {
    log.reserve(log.lastMain + 1, 0, false, length);
    return log.buffer;
  };
  const first = write(MIB - 17 - 17 - 5);
  assert.equal(write(5), first);
  assert.deepEqual([log.bytes, log.end], [MIB, MIB]);
  assert.notEqual(write(0), first);
  assert.equal(log.bytes, 2 * MIB);
  assert.equal(write(MIB - 16).length, MIB + 1);
  assert.equal(log.bytes, 3 * MIB + 1);
  log.trim(0, log.lastMain);
  assert.equal(log.bytes, 0);
});

test('the oldest slabs go first, no more of them than the bound asks for, and none with what is not committed', () => {
  const log = new RevisionLog(0);
  // Two revisions in each slab.
  for (let main = 1; main <= 20; main++) log.reserve(main, 0, false, MIB / 2 - 17);
  log.trim(10 * MIB, 20);
  assert.deepEqual([log.bytes, log.firstMain], [10 * MIB, 1]);
  log.trim(10 * MIB - 1, 20);
  assert.deepEqual([log.bytes, log.firstMain], [9 * MIB, 3]);
  log.trim(0, 5);
  assert.deepEqual([log.bytes, log.firstMain], [8 * MIB, 5], 'one of the two in its slab is not committed');
  log.trim(0, 6);
  assert.deepEqual([log.bytes, log.firstMain], [7 * MIB, 7]);
  assert.ok(!log.find(6, 0) && log.find(7, 0));
});

test('S20 no more than eight slabs wait to be used again, none of an odd size', () => {
  const log = new RevisionLog(0);
  const write = (length: number): Uint8Array => {
    log.reserve(log.lastMain + 1, 0, false, length);
    return log.buffer;
  };
  const known = new Set(Array.from({ length: 12 }, () => write(MIB - 17)));
  write(MIB);
  log.trim(0, log.lastMain);
  const later = Array.from({ length: 12 }, () => write(MIB - 17));
  assert.equal(later.filter((slab) => known.has(slab)).length, 8);
  assert.equal(new Set(later).size, 12);
  assert.ok(later.every(({ length }) => length === MIB));
});

test('S20 what a log has let go costs no memory, its places included', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const log = new RevisionLog(0);
  const before = held();
  for (let main = 1; main <= 300_000; main++) {
    log.reserve(main, 0, false, 0);
    if (main % 10_000 === 0) log.trim(0, main);
  }
  // Eight slabs that wait to be used again; the places of 300,000 revisions would be 6 MB.
  assert.ok(held() - before < 8 * MIB + MIB, `${held() - before} bytes`);
  assert.equal(log.firstMain, 300_001);
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
