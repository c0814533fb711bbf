import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { RevisionList } from '../../backend/revision-list.ts';
import { hashKey } from './key-table.ts';
import { TreeCursor } from './key-tree.ts';
import { TreeIndex } from './tree-index.ts';

interface Revision {
  readonly main: number;
  readonly sub: number;
  readonly isTombstone: boolean;
  readonly created: number;
  readonly version: number;
}

/** The index as one would write it without a thought for cost. */
class Model {
  readonly keys = new Map<string, Revision[]>();

  put(key: string, main: number, sub: number): void {
    const revisions = this.keys.get(key) ?? [];
    const last = revisions.at(-1);
    const isNew = last === undefined || last.isTombstone;
    const created = isNew ? main : last.created;
    const version = isNew ? 1 : last.version + 1;
    revisions.push({ main, sub, isTombstone: false, created, version });
    this.keys.set(key, revisions);
  }

  isLive(key: string): boolean {
    const last = this.keys.get(key)?.at(-1);
    return last !== undefined && !last.isTombstone;
  }

  tombstone(key: string, main: number, sub: number): void {
    const revisions = this.keys.get(key)!;
    const { created, version } = revisions.at(-1)!;
    revisions.push({ main, sub, isTombstone: true, created, version: version + 1 });
  }

  getAt(key: string, rev: number): Revision | undefined {
    const last = this.keys.get(key)?.findLast((revision) => revision.main <= rev);
    return last === undefined || last.isTombstone ? undefined : last;
  }

  /** Returns what it dropped, as `main.sub`. */
  compact(rev: number): string[] {
    const dropped: string[] = [];
    for (const [key, revisions] of [...this.keys]) {
      const newest = revisions.findLastIndex((revision) => revision.main <= rev);
      let keepFrom = Math.max(newest, 0);
      if (newest >= 0 && revisions[newest]!.isTombstone && revisions[newest]!.main < rev) keepFrom++;
      for (const { main, sub } of revisions.slice(0, keepFrom)) dropped.push(`${main}.${sub}`);
      if (keepFrom === revisions.length) this.keys.delete(key);
      else this.keys.set(key, revisions.slice(keepFrom));
    }
    return dropped.sort();
  }

  range(lo: string, hi: string | null, rev: number): string[] {
    return [...this.keys.keys()]
      .filter((key) => key >= lo && (hi === null || key < hi) && this.getAt(key, rev) !== undefined)
      .sort();
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const findKey = (index: TreeIndex, key: string): number => index.find(bytes(key), 0, key.length);
const keyOf = (index: TreeIndex, ref: number): string => {
  const start = index.keyStart(ref);
  return Buffer.from(index.keyBuffer(ref).slice(start, start + index.keyLength(ref))).toString('latin1');
};

function putKey(index: TreeIndex, key: string, main: number, sub: number): number {
  return index.put(findKey(index, key), bytes(key), 0, key.length, main, sub);
}

function compactAll(index: TreeIndex, rev: number): string[] {
  const dropped = new RevisionList();
  const refs: number[] = [];
  const cursor = new TreeCursor();
  index.seek(cursor, new Uint8Array(0), 0, 0);
  for (let ref = index.next(cursor); ref !== 0; ref = index.next(cursor)) refs.push(ref);
  for (const ref of refs) index.compactKey(ref, rev, dropped);
  const names: string[] = [];
  for (let i = 0; i < dropped.count; i++) names.push(`${dropped.main(i)}.${dropped.sub(i)}`);
  return names.sort();
}

function rangeOf(index: TreeIndex, lo: string, hi: string | null, rev: number): string[] {
  const cursor = new TreeCursor();
  const keys: string[] = [];
  index.seek(cursor, bytes(lo), 0, lo.length);
  for (let ref = index.next(cursor); ref !== 0; ref = index.next(cursor)) {
    const key = keyOf(index, ref);
    if (hi !== null && key >= hi) break;
    if (index.getAt(ref, rev)) keys.push(key);
  }
  return keys;
}

/** Keys of awkward shapes: shared prefixes, prefixes of each other, zero and high bytes, long and empty. */
function randomKey(random: SeededRandom, variety: number): string {
  const shape = random.below(6);
  const number = random.below(variety);
  if (shape === 0) return `/registry/pods/ns-${number % 7}/name-${number}`;
  if (shape === 1) return 'a'.repeat(number % 9) + '\0'.repeat(number % 4);
  if (shape === 2) return String.fromCharCode(random.below(256), random.below(4), 255 - random.below(3));
  if (shape === 3) return 'x'.repeat(200) + String(number).padStart(6, '0');
  if (shape === 4) return `k${number}`;
  return `/registry/pods/ns-${number % 7}/name-${number}`.slice(0, 10 + (number % 20));
}

test('the index agrees with a plain map through puts, tombstones, compactions and reads at any revision', () => {
  for (let seed = 1; seed <= 12; seed++) runAgainstModel(seed);
});

function runAgainstModel(seed: number): void {
  const random = new SeededRandom(seed);
  const index = new TreeIndex();
  const model = new Model();
  const variety = random.pick([5, 60, 2000]);
  let rev = 1;
  let compacted = 0;
  for (let step = 0; step < 1500; step++) {
    const what = random.below(100);
    if (what < 70) rev = randomTxn(random, index, model, rev, variety);
    else if (what < 73 && rev > compacted + 1) {
      compacted += 1 + random.below(rev - compacted);
      assert.deepEqual(compactAll(index, compacted), model.compact(compacted), `seed ${seed}`);
    } else if (what < 90) compareKey(index, model, randomKey(random, variety), compacted, rev, random);
    else compareRange(index, model, random, variety, compacted, rev);
  }
  index.verify();
  assert.equal(index.keyCount, model.keys.size);
  assert.equal(index.liveCount, model.range('', null, rev).length);
  // Delete and compact everything: nothing may stay.
  for (const key of model.range('', null, rev)) index.tombstone(findKey(index, key), ++rev, 0);
  compactAll(index, rev + 1);
  assert.equal(index.keyCount, 0);
  index.verify();
}

function randomTxn(
  random: SeededRandom,
  index: TreeIndex,
  model: Model,
  rev: number,
  variety: number,
): number {
  const touched = new Set<string>();
  let sub = 0;
  for (let op = random.below(4); op >= 0; op--) {
    const key = randomKey(random, variety);
    if (touched.has(key)) continue;
    touched.add(key);
    if (model.isLive(key) && random.chance(0.4)) {
      index.tombstone(findKey(index, key), rev + 1, sub);
      model.tombstone(key, rev + 1, sub);
    } else {
      putKey(index, key, rev + 1, sub);
      model.put(key, rev + 1, sub);
    }
    sub++;
  }
  return rev + 1;
}

function compareKey(
  index: TreeIndex,
  model: Model,
  key: string,
  compacted: number,
  rev: number,
  random: SeededRandom,
): void {
  const atRev = compacted + random.below(rev - compacted + 1);
  const ref = findKey(index, key);
  assert.equal(ref !== 0, model.keys.has(key));
  const expected = model.getAt(key, atRev);
  assert.equal(ref !== 0 && index.getAt(ref, atRev), expected !== undefined, `${key} at ${atRev}`);
  if (ref === 0) return;
  assert.equal(index.revisionCount(ref), model.keys.get(key)!.length);
  if (expected === undefined) return;
  const { main, sub, created, version } = index.found;
  assert.deepEqual({ main, sub, created, version, isTombstone: false }, expected, `${key} at ${atRev}`);
}

function compareRange(
  index: TreeIndex,
  model: Model,
  random: SeededRandom,
  variety: number,
  compacted: number,
  rev: number,
): void {
  const atRev = random.chance(0.5) ? rev : compacted + random.below(rev - compacted + 1);
  const lo = random.chance(0.3) ? '' : randomKey(random, variety);
  const hi = random.chance(0.3) ? null : randomKey(random, variety);
  const expected = model.range(lo, hi, atRev);
  assert.deepEqual(rangeOf(index, lo, hi, atRev), expected);
  assert.equal(index.countAt(bytes(lo), hi === null ? null : bytes(hi), atRev), expected.length);
}

test('restoring from the revisions that a compaction left gives an index that answers alike', () => {
  const random = new SeededRandom(7);
  const index = new TreeIndex();
  const model = new Model();
  let rev = 1;
  for (let i = 0; i < 2000; i++) rev = randomTxn(random, index, model, rev, 300);
  const compacted = Math.floor(rev * 0.7);
  model.compact(compacted);
  const restored = new TreeIndex();
  const all = [...model.keys].flatMap(([key, revisions]) =>
    revisions.map((revision) => ({ key, ...revision })),
  );
  all.sort((a, b) => a.main - b.main || a.sub - b.sub);
  for (const { key, main, sub, isTombstone, created, version } of all) {
    const ref = findKey(restored, key);
    const encoded = bytes(key);
    if (isTombstone) restored.restoreTombstone(ref, encoded, 0, encoded.length, main, sub);
    else restored.restorePut(ref, encoded, 0, encoded.length, main, sub, created, version);
  }
  restored.verify();
  for (const key of model.keys.keys()) {
    for (let i = 0; i < 5; i++) compareKey(restored, model, key, compacted, rev, random);
  }
  for (let i = 0; i < 50; i++) compareRange(restored, model, random, 300, compacted, rev);
});

test('many keys, in order and in random order, keep the tree whole through growth and removal', () => {
  for (const order of ['ascending', 'descending', 'random']) {
    const index = new TreeIndex();
    const random = new SeededRandom(3);
    const keys: string[] = [];
    for (let i = 0; i < 30_000; i++) keys.push(`/registry/events/ns/${String(i).padStart(8, '0')}`);
    if (order === 'descending') keys.reverse();
    if (order === 'random') for (let i = keys.length - 1; i > 0; i--) swap(keys, i, random.below(i + 1));
    let rev = 1;
    for (const key of keys) putKey(index, key, ++rev, 0);
    index.verify();
    assert.equal(
      index.countAt(bytes('/registry/events/ns/00010000'), bytes('/registry/events/ns/00020000'), rev),
      10_000,
    );
    const usedAtPeak = index.memoryBytes;
    for (const key of keys) index.tombstone(findKey(index, key), ++rev, 0);
    compactAll(index, rev + 1);
    index.verify();
    assert.equal(index.keyCount, 0);
    for (const key of keys) putKey(index, key, ++rev, 0);
    assert.ok(index.memoryBytes <= usedAtPeak * 1.1, 'memory of removed keys is used again');
  }
});

function swap(list: string[], i: number, j: number): void {
  const item = list[i]!;
  list[i] = list[j]!;
  list[j] = item;
}

/** The last four bytes that give a key of 12 bytes a chosen hash: what an attacker would compute. */
function tailForHash(head: Buffer, target: number): number {
  const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
  const invert = (odd: number): number => {
    let inverse = odd;
    for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
    return inverse;
  };
  let state = 0x9747b28c ^ 12;
  for (let i = 0; i < 8; i += 4) {
    state ^= rotate(Math.imul(head.readInt32LE(i), 0x2c1b3c6d), 15);
    state = Math.imul(rotate(state, 13), 0x297a2d39) + 0x52dce729;
  }
  let wanted = target ^ (target >>> 16);
  wanted = Math.imul(wanted, invert(0xc2b2ae35));
  wanted ^= (wanted >>> 13) ^ (wanted >>> 26);
  wanted = Math.imul(wanted, invert(0x85ebca6b));
  wanted ^= wanted >>> 16;
  wanted = rotate(Math.imul(wanted - 0x52dce729, invert(0x297a2d39)), 19);
  return Math.imul(rotate(wanted ^ state, 17), invert(0x2c1b3c6d));
}

test('S20 keys chosen to collide in the hash table cost a tree search and lose nothing', () => {
  const index = new TreeIndex();
  const colliding: string[] = [];
  const buffer = Buffer.alloc(12);
  for (let i = 0; i < 6000; i++) {
    buffer.write(i.toString(36).padStart(8, '_'), 'latin1');
    buffer.writeInt32LE(tailForHash(buffer, 0x12345678 + (i % 3)), 8);
    assert.equal(hashKey(buffer, 0, 12), 0x12345678 + (i % 3));
    colliding.push(buffer.toString('latin1'));
  }
  let rev = 1;
  for (const key of colliding) putKey(index, key, ++rev, 0);
  index.verify();
  for (const key of colliding) index.tombstone(findKey(index, key), ++rev, 0);
  compactAll(index, rev + 1);
  assert.equal(index.keyCount, 0);
  index.verify();
});

test('S20 a part of the hash table that can be split no more fills up, and what has no room is found all the same', () => {
  const index = new TreeIndex();
  const keys: string[] = [];
  const buffer = Buffer.alloc(12);
  for (let i = 0; i < 4000; i++) {
    // All have the fourteen bits that choose a segment, and places in it of their own.
    const hash = (0x2a5 << 18) | i;
    buffer.write(i.toString(36).padStart(8, '_'), 'latin1');
    buffer.writeInt32LE(tailForHash(buffer, hash), 8);
    keys.push(buffer.toString('latin1'));
  }
  let rev = 1;
  for (const key of keys) putKey(index, key, ++rev, 0);
  for (const key of keys) assert.equal(keyOf(index, findKey(index, key)), key);
  for (const key of keys.slice(0, 500)) index.tombstone(findKey(index, key), ++rev, 0);
  compactAll(index, rev + 1);
  for (const key of keys.slice(0, 500)) putKey(index, key, ++rev, 0);
  for (const key of keys) assert.equal(keyOf(index, findKey(index, key)), key);
  assert.equal(index.keyCount, keys.length);
  index.verify();
});

test('nodes that are merged know how many live keys they have together', () => {
  const index = new TreeIndex();
  const keys: string[] = [];
  for (let i = 0; i < 6000; i++) keys.push(`/registry/leases/${String(i).padStart(6, '0')}`);
  let rev = 1;
  for (const key of keys) putKey(index, key, ++rev, 0);
  const kept = keys.filter((_, i) => i % 5 === 0);
  for (const [i, key] of keys.entries()) if (i % 5 !== 0) index.tombstone(findKey(index, key), ++rev, 0);
  compactAll(index, rev + 1);
  index.verify();
  assert.equal(index.keyCount, kept.length);
  for (let i = 0; i < keys.length; i += 500) {
    assert.equal(index.countAt(bytes(keys[i]!), null, rev), kept.length - i / 5);
  }
});

test('a key of many megabytes has memory of its own, given back with it', () => {
  const index = new TreeIndex();
  const key = 'k'.repeat(9_000_000);
  putKey(index, 'small', 2, 0);
  const before = index.memoryBytes;
  putKey(index, key, 3, 0);
  assert.ok(index.memoryBytes > before + key.length);
  assert.equal(index.countAt(bytes('k'), null, 3), 2);
  index.tombstone(findKey(index, key), 4, 0);
  compactAll(index, 5);
  assert.equal(index.memoryBytes, before);
  index.verify();
});

test('revisions and versions above 2^32 are kept exactly', () => {
  const index = new TreeIndex();
  const base = 2 ** 40;
  index.restorePut(0, bytes('k'), 0, 1, base, 5, base - 9, 2 ** 33);
  const ref = findKey(index, 'k');
  for (let i = 1; i <= 20; i++) putKey(index, 'k', base + i * 2, i);
  assert.ok(index.getAt(ref, base + 7));
  assert.deepEqual(
    [index.found.main, index.found.sub, index.found.created, index.found.version],
    [base + 6, 3, base - 9, 2 ** 33 + 3],
  );
});
