import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { PageBuffer } from './page-buffer.ts';
import { ReadAhead } from './read-ahead.ts';

const PAGE_BYTES = 1024;
const PAGES = 700;

test('whatever is read in whatever order is what the file has, and zero behind its end', () => {
  const random = new SeededRandom(7);
  const file = new SimDisk().openFile('/db', { access: 'readwrite', create: true });
  const content = Buffer.alloc(PAGES * PAGE_BYTES - 100);
  for (let i = 0; i < content.length; i += 4)
    content.writeUInt32LE(random.below(2 ** 32), Math.min(i, content.length - 4));
  file.write(content, 0, content.length, 0);
  const zeros = Buffer.alloc(1024 * PAGE_BYTES);
  const whole = Buffer.concat([content, zeros]);
  const ahead = new ReadAhead(file, PAGE_BYTES);
  const buffer = new PageBuffer(300 * PAGE_BYTES);
  let pgid = 0;
  for (let i = 0; i < 3000; i++) {
    // Mostly in a row, some pages long, now and then longer than what is read ahead; beyond the end at last.
    if (random.chance(0.05) || pgid > PAGES) pgid = random.below(PAGES + 5);
    const pages = random.chance(0.02) ? 300 : 1 + random.below(3);
    buffer.bytes.fill(0xa5);
    ahead.read(buffer, pages * PAGE_BYTES, pgid);
    const expected = whole.subarray(pgid * PAGE_BYTES, (pgid + pages) * PAGE_BYTES);
    assert.ok(expected.equals(buffer.bytes.subarray(0, pages * PAGE_BYTES)), `${pages} pages at ${pgid}`);
    pgid += pages;
  }
});
