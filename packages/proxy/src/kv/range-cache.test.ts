import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RangeRequest } from '@etcd/api/etcdserverpb';
import { latin1FromBytes, SeededRandom } from '@etcd/base';
import { RangeCache } from './range-cache.ts';

const NO_END = new Uint8Array(0);
const KEYS = ['a', 'b', 'c', 'd', 'e'];

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

function rangeOf(key: string, end = '', revision = 0): RangeRequest {
  return new RangeRequest({ key: bytes(key), rangeEnd: bytes(end), revision });
}

function add(
  cache: RangeCache,
  request: RangeRequest,
  answer: Uint8Array,
  begun = cache.now,
  nowMs = 0,
): void {
  cache.add(idOf(request), request, begun, nowMs, answer, 0, answer.length);
}

function idOf({ key, rangeEnd, revision }: RangeRequest): string {
  return `${latin1FromBytes(key)} ${latin1FromBytes(rangeEnd)} ${revision}`;
}

function holds({ key, rangeEnd }: RangeRequest, one: string): boolean {
  const first = latin1FromBytes(key);
  const end = latin1FromBytes(rangeEnd);
  if (end === '') return one === first;
  return one >= first && (end === '\0' || one < end);
}

interface Read {
  readonly request: RangeRequest;
  readonly begun: number;
  answer: Uint8Array | null;
}

test('no answer is remembered from before a write that has been answered', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed);
    const cache = new RangeCache();
    const versions = new Map(KEYS.map((key) => [key, 0]));
    const reads: Read[] = [];
    const writes: {
      readonly keys: readonly string[];
      readonly first: string;
      readonly end: string;
      isDone: boolean;
    }[] = [];
    const snapshot = (request: RangeRequest): Uint8Array =>
      bytes(
        KEYS.filter((key) => holds(request, key))
          .map((key) => `${key}${versions.get(key)}`)
          .join(','),
      );
    const someRange = (): RangeRequest =>
      random.chance(0.6)
        ? rangeOf(random.pick(KEYS))
        : rangeOf(random.pick(KEYS), random.pick([...KEYS, '\0', 'z']));
    for (let step = 0; step < 600; step++) {
      const dice = random.below(7);
      if (dice === 0) reads.push({ request: someRange(), begun: cache.now, answer: null });
      else if (dice === 1) {
        // A member answers: what it has now.
        for (const read of reads)
          if (read.answer === null && random.chance(0.5)) read.answer = snapshot(read.request);
      } else if (dice === 2) {
        const at = reads.findIndex(({ answer }) => answer !== null);
        const [read] = at < 0 ? [] : reads.splice(at, 1);
        if (read?.answer != null) add(cache, read.request, read.answer, read.begun);
      } else if (dice === 3) {
        const first = random.pick(KEYS);
        const end = random.chance(0.3) ? random.pick(['\0', 'd', 'z']) : '';
        const keys = KEYS.filter((key) => holds(rangeOf(first, end), key));
        cache.invalidate(bytes(first), bytes(end));
        writes.push({ keys, first, end, isDone: false });
      } else if (dice === 4) {
        for (const write of writes) {
          if (write.isDone || random.chance(0.5)) continue;
          write.isDone = true;
          for (const key of write.keys) versions.set(key, versions.get(key)! + 1);
        }
      } else if (dice === 5) {
        const at = writes.findIndex(({ isDone }) => isDone);
        const [write] = at < 0 ? [] : writes.splice(at, 1);
        if (write === undefined) continue;
        cache.invalidate(bytes(write.first), bytes(write.end));
      } else {
        const request = someRange();
        const found = cache.get(idOf(request), 0);
        if (found === null) continue;
        const isOpen = (key: string): boolean => writes.some(({ keys }) => keys.includes(key));
        for (const item of latin1FromBytes(found)
          .split(',')
          .filter((text) => text !== '')) {
          const key = item[0]!;
          const version = Number(item.slice(1));
          if (!isOpen(key))
            assert.equal(version, versions.get(key), `seed ${seed}, step ${step}, key ${key}`);
        }
      }
    }
  }
});

test('what is older than two seconds is asked for again', () => {
  const cache = new RangeCache();
  add(cache, rangeOf('a'), bytes('1'));
  assert.deepEqual(cache.get('a  0', 2000), Buffer.from('1'));
  assert.equal(cache.get('a  0', 2001), null);
  assert.deepEqual([cache.hits, cache.misses, cache.size], [1, 1, 0]);
});

test('the past is not changed by writes, but may be compacted', () => {
  const cache = new RangeCache();
  const past = rangeOf('a', '', 5);
  add(cache, past, bytes('old'));
  cache.invalidate(bytes('a'), NO_END);
  assert.notEqual(cache.get(idOf(past), 0), null);
  cache.dropPast();
  assert.equal(cache.get(idOf(past), 0), null);
});

test('what is remembered is bounded, by number, by bytes, by ranges', () => {
  const cache = new RangeCache();
  for (let i = 0; i < 5000; i++) add(cache, rangeOf(`k${i}`), bytes('v'));
  assert.equal(cache.size, 2048);
  assert.equal(cache.get('k0  0', 0), null);
  assert.notEqual(cache.get('k4999  0', 0), null);
  const large = new RangeCache();
  for (let i = 0; i < 100; i++) add(large, rangeOf(`k${i}`), new Uint8Array(1024 * 1024));
  assert.equal(large.size, 63);
  add(large, rangeOf('x'), new Uint8Array(1024 * 1024 + 1));
  assert.equal(large.get('x  0', 0), null);
  const endless = rangeOf('k'.repeat(8 * 1024));
  add(large, endless, bytes('v'));
  assert.equal(large.get(idOf(endless), 0), null);
  const ranges = new RangeCache();
  for (let i = 0; i < 1000; i++) add(ranges, rangeOf(`k${i}`, 'z'), bytes('v'));
  assert.equal(ranges.size, 256);
});

test('a change of users or roles forgets everything, also what is under way', () => {
  const cache = new RangeCache();
  const begun = cache.now;
  add(cache, rangeOf('a'), bytes('1'));
  cache.clear();
  add(cache, rangeOf('b'), bytes('1'), begun);
  add(cache, rangeOf('c', '', 5), bytes('1'), begun);
  assert.equal(cache.size, 0);
});

test('what was read of the past before it was compacted is not remembered', () => {
  const cache = new RangeCache();
  const begun = cache.now;
  cache.dropPast();
  add(cache, rangeOf('a', '', 5), bytes('1'), begun);
  assert.equal(cache.size, 0);
});
