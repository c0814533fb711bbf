import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEAF_PAGE, readUint64, writePageHeader } from './format.ts';
import { PageCache, type Slab, WRITTEN } from './page-cache.ts';

const PAGE_BYTES = 4096;

/** Puts a page of the given id where the cache wants it. */
function load(cache: PageCache, pgid: number, pages = 1): void {
  const area = cache.areaFor(pgid);
  const slab = cache.openSlab(area, pages);
  writePageHeader(slab.view, slab.usedPages * PAGE_BYTES, pgid, LEAF_PAGE, 0, pages - 1);
  cache.publish(slab, area, pgid, pages, 1);
}

function use(cache: PageCache, pgid: number): boolean {
  const place = cache.find(pgid);
  if (place < 0) {
    load(cache, pgid);
    return false;
  }
  assert.equal(readUint64(cache.slabAt(place).view, cache.baseAt(place)), pgid);
  return true;
}

test('a scan of ten times the cache leaves the hot pages in it', () => {
  const cache = new PageCache(PAGE_BYTES, 4 << 20);
  const hot = Array.from({ length: 500 }, (_, i) => i + 2);
  for (let round = 0; round < 10; round++) {
    for (const pgid of hot) use(cache, pgid);
    for (let i = 0; i < 400; i++) use(cache, 100_000 + round * 400 + i);
  }
  for (let pgid = 1_000_000; pgid < 1_010_000; pgid++) use(cache, pgid);
  const kept = hot.filter((pgid) => cache.has(pgid)).length;
  assert.ok(kept > 450, `${kept} of 500`);
  assert.ok(cache.statistics().heldBytes <= 4 << 20);
});

test('what is in the cache is what was put there, whatever was evicted in between', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  for (let i = 0; i < 20_000; i++) {
    const pgid = 2 + ((i * i) % 1009);
    const place = cache.find(pgid);
    if (place >= 0) assert.equal(readUint64(cache.slabAt(place).view, cache.baseAt(place)), pgid);
    else load(cache, pgid, pgid % 50 === 0 ? 40 : pgid % 10 === 0 ? 3 : 1);
    assert.ok(cache.statistics().heldBytes <= (1 << 20) + 64 * PAGE_BYTES);
  }
  assert.ok(cache.statistics().evictedPages > 0);
});

test('bytes that were handed out stay as they are after the page was evicted', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  load(cache, 7);
  const place = cache.find(7);
  const bytes = cache.slabAt(place).bytes.subarray(cache.baseAt(place), cache.baseAt(place) + 16);
  const before = bytes.slice();
  for (let pgid = 1000; pgid < 6000; pgid++) {
    for (let i = 0; i < 4; i++) use(cache, pgid);
  }
  assert.ok(!cache.has(7));
  assert.deepEqual(bytes, before);
});

test('written pages are not evicted before they are durable', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  const write = (pgid: number): void => {
    const slab = cache.openSlab(WRITTEN, 1);
    writePageHeader(slab.view, slab.usedPages * PAGE_BYTES, pgid, LEAF_PAGE, 0, 0);
    slab.lastTxid = 5;
    cache.publish(slab, WRITTEN, pgid, 1, 0);
  };
  for (let pgid = 2; pgid < 1002; pgid++) write(pgid);
  for (let pgid = 10_000; pgid < 11_000; pgid++) use(cache, pgid);
  for (let pgid = 2; pgid < 1002; pgid++) assert.ok(cache.has(pgid));
  cache.unpin(4);
  assert.ok(cache.has(2));
  cache.unpin(5);
  assert.ok(!cache.has(2));
  assert.ok(cache.statistics().heldBytes <= 1 << 20);
});

test('what is only written takes an eighth of the cache, what is also read stays', () => {
  const cache = new PageCache(PAGE_BYTES, 8 << 20);
  const firstUnread = 1_000;
  for (let txid = 1; txid <= 100; txid++) {
    for (let i = 0; i < 16; i++) {
      const pgid = txid === 1 ? 2 + i : firstUnread + txid * 16 + i;
      const slab = cache.openSlab(WRITTEN, 1);
      writePageHeader(slab.view, slab.usedPages * PAGE_BYTES, pgid, LEAF_PAGE, 0, 0);
      slab.lastTxid = txid;
      cache.publish(slab, WRITTEN, pgid, 1, 0);
    }
    cache.unpin(txid);
    for (let pgid = 2; pgid < 18; pgid++) assert.ok(use(cache, pgid), `page ${pgid} after ${txid} commits`);
    assert.ok(cache.statistics().heldBytes <= (1 << 20) + 3 * 16 * PAGE_BYTES);
  }
});

test('a page that comes back soon after its eviction is kept longer', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  load(cache, 7);
  for (let pgid = 1000; cache.has(7); pgid++) use(cache, pgid);
  load(cache, 7);
  let survived = 0;
  for (let pgid = 10_000; cache.has(7) && survived < 2000; pgid++, survived++) use(cache, pgid);
  assert.ok(survived > 500, `${survived} pages later it was gone`);
});

/** Commits of `pages` pages each that write all pages anew; returns the slabs that they took. */
function commitOverAndOver(
  cache: PageCache,
  commits: number,
  pages: number,
  afterEach: () => void,
): Set<Slab> {
  const slabs = new Set<Slab>();
  for (let txid = 1; txid <= commits; txid++) {
    for (let i = 0; i < pages; i++) {
      const pgid = 2 + ((txid * pages + i) % (8 * pages));
      const slab = cache.openSlab(WRITTEN, 1);
      slabs.add(slab);
      writePageHeader(slab.view, slab.usedPages * PAGE_BYTES, pgid, LEAF_PAGE, 0, 0);
      slab.lastTxid = txid;
      cache.publish(slab, WRITTEN, pgid, 1, 0);
    }
    cache.unpin(txid);
    afterEach();
  }
  return slabs;
}

test('commits that nobody reads are built in the memory of those before', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  const slabs = commitOverAndOver(cache, 1000, 64, () => cache.recycle());
  assert.ok(slabs.size <= 40, `${slabs.size} slabs for 1,000 commits of four`);
});

test('a slab is not used again while a workspace may have it as a source', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  const slabs = commitOverAndOver(cache, 100, 64, () => {});
  assert.equal(slabs.size, 400);
});

test('a page that was handed out stays as it is, however often the memory of others is used again', () => {
  const cache = new PageCache(PAGE_BYTES, 1 << 20);
  const lent = new Map<Slab, Uint8Array>();
  let commits = 0;
  commitOverAndOver(cache, 300, 64, () => {
    const place = cache.find(2 + ((++commits * 64 + 63) % (8 * 64)));
    if (place >= 0 && commits % 7 === 0) {
      const slab = cache.slabAt(place);
      lent.set(slab, slab.bytes.slice());
    }
    cache.recycle();
  });
  assert.ok(lent.size > 20);
  for (const [slab, bytes] of lent) assert.deepEqual(slab.bytes, bytes);
});
