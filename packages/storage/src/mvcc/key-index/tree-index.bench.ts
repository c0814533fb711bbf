/**
 * What the key index costs: time per operation, memory per key, longest pause while it grows.
 *
 *   node packages/storage/src/mvcc/key-index/tree-index.bench.ts [count ...]
 *
 * Besides the index as it is ("table"), point lookups through the tree alone, and a JavaScript Map of latin1 strings, are
 * measured: the hash table earns its memory as long as these are slower.
 */
import { SeededRandom } from '@etcd/base';
import { RevisionList } from '../../backend/revision-list.ts';
import { TreeCursor } from './key-tree.ts';
import { TreeIndex } from './tree-index.ts';

type Shape = 'kubernetes' | 'random';

/** All keys of a run in one buffer, so that the bench itself makes no garbage. */
class Keys {
  readonly buffer: Buffer;
  readonly offsets: Float64Array;
  readonly count: number;

  constructor(shape: Shape, count: number) {
    const random = new SeededRandom(1);
    this.count = count;
    this.buffer = Buffer.allocUnsafeSlow(count * 48);
    this.offsets = new Float64Array(count + 1);
    let at = 0;
    for (let i = 0; i < count; i++) {
      this.offsets[i] = at;
      if (shape === 'random') {
        for (let j = 0; j < 40; j++) this.buffer[at++] = random.below(256);
      } else {
        const suffix = (random.uint32() % 60466176).toString(36).padStart(5, '0');
        at += this.buffer.write(
          `/registry/pods/ns-${random.below(500)}/name-${suffix}-${i.toString(36)}`,
          at,
          'latin1',
        );
      }
    }
    this.offsets[count] = at;
  }
}

function report(name: string, count: number, ms: number, worstMs = 0): void {
  const nanoseconds = ((ms * 1e6) / count).toFixed(0).padStart(6);
  const worst = worstMs === 0 ? '' : `   longest pause ${worstMs.toFixed(1)} ms`;
  process.stdout.write(`  ${name.padEnd(46)} ${nanoseconds} ns${worst}\n`);
}

/** CPU time of `step`, and the slowest of its chunks of 1000 by the wall clock. */
function timed(name: string, count: number, step: (i: number) => void): void {
  const begin = process.cpuUsage();
  let worst = 0;
  for (let i = 0; i < count; ) {
    const chunkBegin = performance.now();
    for (const end = Math.min(i + 1000, count); i < end; i++) step(i);
    worst = Math.max(worst, performance.now() - chunkBegin);
  }
  const used = process.cpuUsage(begin);
  report(name, count, (used.user + used.system) / 1000, worst);
}

function shuffled(count: number): Uint32Array {
  const random = new SeededRandom(9);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const item = order[i]!;
    order[i] = order[j]!;
    order[j] = item;
  }
  return order;
}

function run(shape: Shape, count: number): void {
  process.stdout.write(`${shape} keys, ${count}\n`);
  const keys = new Keys(shape, count);
  const { buffer, offsets } = keys;
  const order = shuffled(count);
  const index = new TreeIndex();
  let rev = 1;
  let sum = 0;
  const lookups = Math.min(count, 1_000_000);
  timed('insert', count, (i) => {
    const start = offsets[i]!;
    const end = offsets[i + 1]!;
    index.put(index.find(buffer, start, end), buffer, start, end, ++rev, 0);
  });
  process.stdout.write(
    `  memory ${(index.memoryBytes / count).toFixed(1)} bytes a key (one revision each)\n`,
  );
  timed('find at random', lookups, (i) => {
    const k = order[i]!;
    sum += index.find(buffer, offsets[k]!, offsets[k + 1]!);
  });
  timed('find and read the newest revision', lookups, (i) => {
    const k = order[i]!;
    const ref = index.find(buffer, offsets[k]!, offsets[k + 1]!);
    if (index.getAt(ref, rev)) sum += index.found.main;
  });
  timed('update at random', lookups, (i) => {
    const k = order[i]!;
    const start = offsets[k]!;
    const end = offsets[k + 1]!;
    index.put(index.find(buffer, start, end), buffer, start, end, ++rev, 0);
  });
  const cursor = new TreeCursor();
  timed('seek in the tree at random', lookups, (i) => {
    const k = order[i]!;
    index.seek(cursor, buffer, offsets[k]!, offsets[k + 1]!);
  });
  timed('seek and read 500 keys, per key', Math.floor(lookups / 10), (i) => {
    if (i % 500 === 0) {
      const k = order[i]!;
      index.seek(cursor, buffer, offsets[k]!, offsets[k + 1]!);
    }
    const ref = index.next(cursor);
    if (ref !== 0 && index.getAt(ref, rev)) sum += index.found.main;
  });
  const lo = Buffer.from(shape === 'random' ? '\x10' : '/registry/pods/', 'latin1');
  const hi = Buffer.from(shape === 'random' ? '\xf0' : '/registry/pods0', 'latin1');
  timed('count nearly all, newest revision', 10_000, () => (sum += index.countAt(lo, hi, rev)));
  const pinned = rev;
  for (let i = 0; i < 1000; i++) {
    const k = order[i]!;
    index.tombstone(index.find(buffer, offsets[k]!, offsets[k + 1]!), ++rev, 0);
  }
  timed('count nearly all, 1000 deletions ago', 200, () => (sum += index.countAt(lo, hi, pinned)));
  const dropped = new RevisionList();
  timed('compact, per key', lookups, (i) => {
    const k = order[i]!;
    const ref = index.find(buffer, offsets[k]!, offsets[k + 1]!);
    dropped.clear();
    index.compactKey(ref, rev - 1, dropped);
    sum += dropped.count;
  });
  baseline(keys, order, lookups, sum);
}

function baseline(keys: Keys, order: Uint32Array, lookups: number, sum: number): void {
  if (keys.count > 1_000_000) return;
  const map = new Map<string, number>();
  const { buffer, offsets } = keys;
  timed('baseline: Map of latin1 strings, insert', keys.count, (i) => {
    map.set(buffer.toString('latin1', offsets[i]!, offsets[i + 1]!), i);
  });
  timed('baseline: Map of latin1 strings, find', lookups, (i) => {
    const k = order[i]!;
    sum += map.get(buffer.toString('latin1', offsets[k]!, offsets[k + 1]!))!;
  });
  if (sum === 1) process.stdout.write('');
}

const counts = process.argv.slice(2).map(Number);
for (const count of counts.length > 0 ? counts : [100_000, 5_000_000]) {
  run('kubernetes', count);
  run('random', count);
}
