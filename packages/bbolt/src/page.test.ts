import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { bucketValueFault, readBucketValue } from './bucket-value.ts';
import { isPageSize, readUint64, writeUint64 } from './format.ts';
import {
  branchChild,
  branchKeyBytes,
  branchKeyStart,
  leafHasBuckets,
  leafIsBucket,
  leafKeyBytes,
  leafKeyStart,
  leafValueBytes,
  pageFault,
  searchBranch,
  searchLeaf,
} from './page.ts';
import { PageBuffer } from './page-buffer.ts';
import {
  BRANCH,
  bucketValue,
  type HandmadeElement,
  inlineBucket,
  LEAF,
  makePage,
} from './testing/page-maker.ts';

const BASE = 24;
const HIGH_WATER = 50;

/** The page somewhere in a buffer. */
function at(page: Buffer): PageBuffer {
  return new PageBuffer(Buffer.concat([Buffer.alloc(BASE, 0xee), page, Buffer.alloc(16, 0xee)]));
}

function faultOf(page: Buffer, change: (copy: Buffer) => void = () => {}): string | null {
  const copy = Buffer.from(page);
  change(copy);
  return pageFault(at(copy), BASE, copy.length, HIGH_WATER);
}

const text = (buffer: PageBuffer, start: number, bytes: number): string =>
  Buffer.from(buffer.bytes.subarray(start, start + bytes)).toString('latin1');

function elementsOf(flags: number): HandmadeElement[] {
  return ['b', 'bb', 'd', 'dd0', 'dd1', 'x'].map((key, i) =>
    flags === LEAF
      ? { key, value: Buffer.from(`value ${i}`), isBucket: i === 4 }
      : { key, child: i === 0 ? HIGH_WATER - 1 : 1 + i },
  );
}

/** So long that the last byte of the last key or value is the page's last. */
function lengthOf(elements: readonly HandmadeElement[]): number {
  return elements.reduce((sum, { key, value }) => sum + 16 + key.length + (value?.length ?? 0), 16);
}

test('fields of elements are where the format has them', () => {
  for (const flags of [LEAF, BRANCH]) {
    const elements = elementsOf(flags);
    const buffer = at(makePage(lengthOf(elements), 3, flags, elements));
    const { view } = buffer;
    for (const [i, { key, value, child, isBucket }] of elements.entries()) {
      if (flags === LEAF) {
        const start = leafKeyStart(view, BASE, i);
        assert.equal(text(buffer, start, leafKeyBytes(view, BASE, i)), key);
        assert.equal(text(buffer, start + key.length, leafValueBytes(view, BASE, i)), String(value));
        assert.equal(leafIsBucket(view, BASE, i), isBucket);
      } else {
        assert.equal(text(buffer, branchKeyStart(view, BASE, i), branchKeyBytes(view, BASE, i)), key);
        assert.equal(branchChild(view, BASE, i), child);
      }
    }
    if (flags === BRANCH) continue;
    assert.equal(leafHasBuckets(view, BASE), true);
    for (const count of [0, 1, 4, 5]) {
      view.setUint16(BASE + 10, count, true);
      assert.equal(leafHasBuckets(view, BASE), count === 5, `${count} elements`);
    }
  }
});

test('a key is found among those of a page, or where it belongs', () => {
  for (let count = 0; count <= 9; count++) {
    const keys = Array.from({ length: count }, (_, i) => String.fromCharCode(98 + 2 * i));
    const leaf = at(
      makePage(
        512,
        3,
        LEAF,
        keys.map((key) => ({ key })),
      ),
    );
    const branch = at(
      makePage(
        512,
        3,
        BRANCH,
        keys.map((key) => ({ key, child: 2 })),
      ),
    );
    for (let code = 97; code <= 98 + 2 * count; code++) {
      const key = Buffer.from(`..${String.fromCharCode(code)}..`);
      const below = keys.filter((other) => other < String.fromCharCode(code)).length;
      const isThere = keys.includes(String.fromCharCode(code));
      assert.equal(searchLeaf(leaf, BASE, count, key, 2, 3), isThere ? below : ~below);
      const child = isThere ? below : Math.max(0, below - 1);
      assert.equal(searchBranch(branch, BASE, count, key, 2, 3), child);
    }
  }
});

test('a page whose last byte is in use is right, and one byte less is not enough', () => {
  for (const flags of [LEAF, BRANCH]) {
    const elements = elementsOf(flags);
    const length = lengthOf(elements);
    const page = makePage(length, 3, flags, elements);
    assert.equal(faultOf(page), null);
    assert.equal(faultOf(page.subarray(0, length - 1)), 'element 5 reaches beyond the page');
    assert.equal(faultOf(page.subarray(0, 16 + 16 * 6 - 1)), '6 elements do not fit');
  }
  assert.equal(faultOf(makePage(16, 3, LEAF, [])), null, 'an empty root');
  assert.equal(faultOf(makePage(16, 3, BRANCH, [])), 'a branch page without children');
});

test('what can not be on a page is named, and where', () => {
  const leaf = makePage(300, 3, LEAF, elementsOf(LEAF));
  const branch = makePage(300, 3, BRANCH, elementsOf(BRANCH));
  const element = 16 + 16 * 2;
  const cases: readonly (readonly [Buffer, number, number, RegExp | null])[] = [
    [leaf, element + 8, 0, /^element 2 has an empty key$/],
    [leaf, element + 12, 2 ** 31 - 1, /^element 2 reaches beyond the page$/],
    [leaf, element + 4, 2 ** 32 - 1, /^element 2 reaches beyond the page$/],
    [leaf, element, 1, null],
    [leaf, element, 2, /^element 2 has unknown flags 0x2$/],
    [leaf, element, 0x8000_0000, /^element 2 has unknown flags 0x80000000$/],
    [branch, element + 4, 0, /^element 2 has an empty key$/],
    [branch, element, 2 ** 32 - 1, /^element 2 reaches beyond the page$/],
    [branch, element + 8, 2, null],
    [branch, element + 8, 1, /^child page 1 is outside of \[2, 50\)$/],
    [branch, element + 8, HIGH_WATER - 1, null],
    [branch, element + 8, HIGH_WATER, /^child page 50 is outside of \[2, 50\)$/],
    [branch, element + 12, 1, /^child page 4294967299 is outside/],
  ];
  for (const [page, position, value, expected] of cases) {
    const fault = faultOf(page, (copy) => copy.writeUInt32LE(value, position));
    if (expected === null) assert.equal(fault, null, `${position}: ${value}`);
    else assert.match(fault ?? 'none', expected, `${position}: ${value}`);
  }
  for (const flags of [0, 3, 4, 16, 0x102]) {
    const fault = faultOf(leaf, (copy) => copy.writeUInt16LE(flags, 8));
    assert.equal(fault, `flags 0x${flags.toString(16)} are neither those of a branch nor of a leaf page`);
  }
});

test('a value of as many bytes as one may have is right, one more is not', () => {
  // Told by the fields alone: the page only claims to be so long.
  const page = makePage(64, 3, LEAF, [{ key: 'k', value: Buffer.from('v') }]);
  page.writeUInt32LE(2 ** 31 - 2, 16 + 12);
  assert.equal(pageFault(at(page), BASE, 2 ** 32, HIGH_WATER), null);
  page.writeUInt32LE(2 ** 31 - 1, 16 + 12);
  assert.equal(pageFault(at(page), BASE, 2 ** 32, HIGH_WATER), 'element 0 has an oversized value');
});

test('keys rise from element to element, the first pair as the last', () => {
  for (const flags of [LEAF, BRANCH]) {
    const keys = ['b', 'c', 'd', 'e'];
    for (let i = 1; i < keys.length; i++) {
      for (const wrong of [keys[i - 1]!, 'a']) {
        const changed = keys.map((key, j) => ({ key: j === i ? wrong : key, child: 2 }));
        assert.equal(faultOf(makePage(200, 3, flags, changed)), `key ${i} is not above the one before it`);
      }
    }
  }
});

test('what is in the value of a bucket is a page or its id, and nothing else', () => {
  const faultIn = (value: Buffer): string | null => {
    const buffer = at(value);
    return bucketValueFault(buffer, BASE, BASE + value.length, HIGH_WATER);
  };
  for (const [rootPgid, isRight] of [
    [1, false],
    [2, true],
    [HIGH_WATER - 1, true],
    [HIGH_WATER, false],
    [2 ** 33, false],
  ] as const) {
    const fault = faultIn(bucketValue(rootPgid, 7n));
    assert.equal(fault, isRight ? null : `root page ${rootPgid} of a bucket is outside of [2, 50)`);
  }
  assert.equal(faultIn(bucketValue(3).subarray(0, 15)), "a bucket's value has 15 bytes");
  const inline = inlineBucket([{ key: 'a', value: Buffer.from('1') }, { key: 'b' }]);
  assert.equal(faultIn(inline), null);
  assert.equal(faultIn(inlineBucket([])), null);
  assert.equal(faultIn(inlineBucket([]).subarray(0, 31)), 'an inline bucket has 31 bytes');
  assert.match(faultIn(inline.subarray(0, -1))!, /^in an inline bucket: element 1 reaches beyond/);
  assert.match(
    faultIn(inlineBucket([{ key: 'b' }, { key: 'a' }]))!,
    /^in an inline bucket: key 1 is not above/,
  );
  assert.match(faultIn(inlineBucket([{ key: 'b', child: 3 }], BRANCH))!, /is not a leaf/);
  const nested = inlineBucket([{ key: 'b', value: bucketValue(3), isBucket: true }]);
  assert.equal(faultIn(nested), 'an inline bucket contains a bucket');
  assert.deepEqual(readBucketValue(at(bucketValue(7, 2n ** 63n + 5n)), BASE), {
    rootPgid: 7,
    sequence: 2n ** 63n + 5n,
  });
});

test('numbers of 64 bits come back as they were written, and page sizes are powers of two in their bounds', () => {
  const random = new SeededRandom(1);
  const { view } = new PageBuffer(16);
  for (const value of [
    0,
    1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 32 + 1,
    2 ** 53 - 1,
    random.below(2 ** 32),
  ]) {
    writeUint64(view, 3, value);
    assert.equal(readUint64(view, 3), value);
    assert.equal(view.getBigUint64(3, true), BigInt(value));
  }
  for (let power = 0; power < 32; power++) {
    const bytes = 2 ** power;
    assert.equal(isPageSize(bytes), power >= 10 && power <= 24, `2^${power}`);
    for (const near of [bytes - 1, bytes + 1]) if (near > 2) assert.equal(isPageSize(near), false);
  }
});
