/** Databases laid out page by page: what the check finds in each, what opening says of them, and which pages are taken for free. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, SeededRandom } from '@etcd/base';
import { type DiskOperation, SimDisk } from '@etcd/testing';
import { BoltError, Database, type DatabaseOptions } from './index.ts';
import {
  BRANCH,
  bucketValue,
  type HandmadeElement,
  inlineBucket,
  LEAF,
  makeMeta,
  makePage,
  NO_LIST,
} from './testing/page-maker.ts';

const PAGE_BYTES = 1024;
const HIGH_WATER = 12;

/** Page 3 is the root; 2 the freelist, where one is stored. */
class Handmade {
  readonly pages: Buffer[] = [];
  readonly disk = new SimDisk();

  constructor(freelist: readonly number[] | null) {
    const meta = {
      rootPgid: 3,
      freelistPgid: freelist === null ? NO_LIST : 2n,
      highWaterPgid: HIGH_WATER,
    };
    for (let pgid = 0; pgid < HIGH_WATER; pgid++) this.pages.push(Buffer.alloc(PAGE_BYTES));
    for (const slot of [0, 1])
      this.pages[slot] = makeMeta(PAGE_BYTES, slot, { ...meta, txid: BigInt(8 + slot) });
    if (freelist !== null) this.pages[2] = freelistPage(freelist);
    /*
     *        3 root: a "a" (branch 4), b "inline", c "small" (leaf 8), z key of no bucket's
     *        4 -> 5, 6 (with 7 as overflow)
     *        8 -> a nested bucket with page 9
     */
    this.page(3, LEAF, [
      { key: 'a', value: bucketValue(4), isBucket: true },
      { key: 'b', value: inlineBucket([{ key: 'in', value: Buffer.from('line') }]), isBucket: true },
      { key: 'c', value: bucketValue(8), isBucket: true },
    ]);
    this.page(4, BRANCH, [
      { key: 'd', child: 5 },
      { key: 'm', child: 6 },
    ]);
    this.page(5, LEAF, [{ key: 'd' }, { key: 'e', value: Buffer.from('2') }]);
    this.pages.splice(
      6,
      2,
      ...halves(makePage(2 * PAGE_BYTES, 6, LEAF, [{ key: 'm', value: Buffer.alloc(1500, 1) }], 1)),
    );
    this.page(8, LEAF, [
      { key: 'k', value: Buffer.from('v') },
      { key: 'nested', value: bucketValue(9), isBucket: true },
    ]);
    this.page(9, LEAF, [{ key: 'n', value: Buffer.from('w') }]);
  }

  page(pgid: number, flags: number, elements: readonly HandmadeElement[], overflow = 0): this {
    this.pages[pgid] = makePage(PAGE_BYTES, pgid, flags, elements, overflow);
    return this;
  }

  open(options: Partial<DatabaseOptions> = {}): Database {
    const content = Buffer.concat(this.pages);
    const file = this.disk.openFile('/db', { access: 'readwrite', create: true, truncate: true });
    file.write(content, 0, content.length, 0);
    file.close();
    return Database.open({ disk: this.disk, path: '/db', ...options });
  }

  /** `kind page path: message` of each finding. */
  findings(options: Partial<DatabaseOptions> = {}): string[] {
    const database = this.open(options);
    const read = database.beginRead();
    const found = [...database.check(read)].filter((finding) => finding !== null);
    read.close();
    database.close();
    assert.deepEqual(this.disk.openPaths(), []);
    return found.map(({ kind, pgid, path, message }) => {
      assert.ok(message.startsWith(`page ${pgid}: `), message);
      return `${kind} ${pgid} [${path.join()}] ${message.slice(`page ${pgid}: `.length)}`;
    });
  }
}

function halves(pages: Buffer): Buffer[] {
  return [pages.subarray(0, PAGE_BYTES), pages.subarray(PAGE_BYTES)];
}

function freelistPage(free: readonly number[], pgid = 2, count = free.length): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  page.writeBigUInt64LE(BigInt(pgid), 0);
  page.writeUInt16LE(16, 8);
  page.writeUInt16LE(count, 10);
  for (const [i, id] of free.entries()) page.writeBigUInt64LE(BigInt(id), 16 + 8 * i);
  return page;
}

test('a database whose every page has its place has no findings, and all elements are shown, in their order', () => {
  for (const freelist of [[10, 11], null]) {
    const made = new Handmade(freelist);
    assert.deepEqual(made.findings(), []);
    const database = made.open();
    const read = database.beginRead();
    const shown: string[] = [];
    const describe =
      (level: string) =>
      (element: {
        bytes: Uint8Array;
        keyStart: number;
        keyEnd: number;
        valueStart: number;
        valueEnd: number;
        isBucket: boolean;
      }): void => {
        const key = Buffer.from(element.bytes.subarray(element.keyStart, element.keyEnd)).toString();
        shown.push(`${level}${key} ${element.isBucket ? 'bucket' : element.valueEnd - element.valueStart}`);
      };
    const steps = database.check(read, { rootElement: describe(''), element: describe(' ') });
    assert.deepEqual([...steps].filter(Boolean), []);
    assert.deepEqual(shown, [
      'a bucket',
      ' d 0',
      ' e 1',
      ' m 1500',
      'b bucket',
      ' in 4',
      'c bucket',
      ' k 1',
      ' nested bucket',
    ]);
    read.close();
    database.close();
  }
});

test('pages that nobody needs, or that two need, are found, by their place', () => {
  assert.deepEqual(new Handmade([10]).findings(), ['unreachable-unfreed 11 [] unreachable unfreed']);
  assert.deepEqual(new Handmade([9, 10, 11]).findings(), ['reachable-freed 9 [9] reachable freed']);
  assert.deepEqual(new Handmade([7, 10, 11]).findings(), ['reachable-freed 7 [4,6] reachable freed']);
  assert.deepEqual(new Handmade([2, 10, 11]).findings(), [
    'reachable-freed 2 [] a page of the freelist is free',
  ]);
  const twice = new Handmade([10, 11]).page(4, BRANCH, [
    { key: 'd', child: 5 },
    { key: 'm', child: 6 },
    { key: 'x', child: 6 },
  ]);
  assert.deepEqual(twice.findings(), [
    'multiple-references 6 [4,6] multiple references',
    'multiple-references 7 [4,6] multiple references',
  ]);
  const ofFreelist = new Handmade([9, 10, 11]).page(8, LEAF, [
    { key: 'nested', value: bucketValue(2), isBucket: true },
  ]);
  assert.deepEqual(ofFreelist.findings(), [
    'multiple-references 2 [2] multiple references',
    'invalid-page 2 [2] invalid type: flags 0x10',
  ]);
  // Without a stored list what is free is what can not be reached.
  assert.deepEqual(new Handmade(null).findings(), []);
});

test('pages that are not what their place says are found', () => {
  const wrongId = new Handmade([10, 11]);
  wrongId.pages[5]!.writeBigUInt64LE(6n, 0);
  assert.deepEqual(wrongId.findings(), ['invalid-page 5 [4,5] calls itself page 6']);
  const wrongType = new Handmade([10, 11]);
  wrongType.pages[5]!.writeUInt16LE(4, 8);
  assert.deepEqual(wrongType.findings(), ['invalid-page 5 [4,5] invalid type: flags 0x4']);
  const overflow = new Handmade([10, 11]);
  overflow.pages[9]!.writeUInt32LE(2, 12);
  assert.deepEqual(overflow.findings(), [
    'reachable-freed 10 [9] reachable freed',
    'reachable-freed 11 [9] reachable freed',
  ]);
  overflow.pages[9]!.writeUInt32LE(3, 12);
  assert.deepEqual(overflow.findings(), ['invalid-page 9 [9] 3 overflow pages are out of bounds']);
  const empty = new Handmade([10, 11]).page(5, LEAF, [{ key: '' }]);
  assert.deepEqual(empty.findings(), ['invalid-page 5 [4,5] element 0 has an empty key']);
  for (const [child, isOutside] of [
    [HIGH_WATER, true],
    [HIGH_WATER - 1, false],
    [1, true],
  ] as const) {
    const made = new Handmade([9, 10]).page(8, LEAF, [
      { key: 'nested', value: bucketValue(child), isBucket: true },
    ]);
    made.page(11, LEAF, []);
    const expected = `bucket 8 [8] element 0: root page ${child} of a bucket is outside of [2, 12)`;
    assert.deepEqual(
      made.findings(),
      isOutside ? [expected, 'unreachable-unfreed 11 [] unreachable unfreed'] : [],
    );
  }
});

test('keys that do not rise, or are outside of what the branch above says, are found', () => {
  const notRising = new Handmade([10, 11]);
  notRising.page(8, LEAF, [{ key: 'k' }, { key: 'nested', value: bucketValue(9), isBucket: true }]);
  assert.deepEqual(notRising.findings(), []);
  const leafOf = (keys: readonly string[]): string[] =>
    new Handmade([10, 11])
      .page(
        5,
        LEAF,
        keys.map((key) => ({ key })),
      )
      .findings();
  assert.deepEqual(leafOf(['d', 'e', 'l']), []);
  assert.deepEqual(leafOf(['c', 'e']), ['key-order 5 [4,5] key 0 is below the key in the branch above']);
  assert.deepEqual(leafOf(['d', 'm']), [
    'key-order 5 [4,5] key 1 is not below the next key in the branch above',
  ]);
  assert.deepEqual(leafOf(['d', 'l', 'n']), [
    'key-order 5 [4,5] key 2 is not below the next key in the branch above',
  ]);
  const behind = new Handmade([10, 11]).page(4, BRANCH, [
    { key: 'd', child: 5 },
    { key: 'n', child: 6 },
  ]);
  assert.deepEqual(behind.findings(), ['key-order 6 [4,6] key 0 is below the key in the branch above']);
  const unordered = 'is not above the one before it';
  assert.deepEqual(leafOf(['e', 'd']), [`invalid-page 5 [4,5] key 1 ${unordered}`]);
  const branch = new Handmade([5, 6, 7, 10, 11]).page(4, BRANCH, [
    { key: 'm', child: 5 },
    { key: 'm', child: 6 },
  ]);
  assert.deepEqual(branch.findings(), [`invalid-page 4 [4] key 1 ${unordered}`]);
  const inline = new Handmade([10, 11]).page(9, LEAF, [
    { key: 'n', value: inlineBucket([{ key: 'y' }, { key: 'x' }]), isBucket: true },
  ]);
  assert.deepEqual(inline.findings(), [`bucket 9 [9] element 0: in an inline bucket: key 1 ${unordered}`]);
  const deep = new Handmade([11]);
  deep.page(3, LEAF, [
    { key: 'a', value: bucketValue(10), isBucket: true },
    { key: 'c', value: bucketValue(8), isBucket: true },
  ]);
  deep.page(10, BRANCH, [{ key: 'd', child: 4 }]);
  assert.deepEqual(deep.findings(), []);
  deep.page(10, BRANCH, [{ key: 'e', child: 4 }]);
  assert.deepEqual(deep.findings(), ['key-order 4 [10,4] key 0 is below the key in the branch above']);
});

test('a tree that leads to itself, or is too deep, ends', () => {
  const loop = new Handmade([9, 10, 11]).page(8, LEAF, [
    { key: 'nested', value: bucketValue(8), isBucket: true },
  ]);
  assert.deepEqual(loop.findings(), ['multiple-references 8 [8] multiple references']);
  const branches = new Handmade([9, 10, 11]).page(8, BRANCH, [{ key: 'k', child: 8 }]);
  assert.deepEqual(branches.findings(), ['multiple-references 8 [8,8] multiple references']);
});

test('a stored freelist is right to the last id that fits, and what is wrong with one is said, by the check and by the first write', () => {
  const cases: readonly (readonly [string, (made: Handmade) => void, RegExp | null])[] = [
    ['as it is', () => {}, null],
    ['another page', ({ pages }) => pages[2]!.writeBigUInt64LE(9n, 0), /page 2 .*calls itself page 9/],
    ['another type', ({ pages }) => pages[2]!.writeUInt16LE(2, 8), /is not a freelist page/],
    ['too long', ({ pages }) => pages[2]!.writeUInt32LE(10, 12), /the freelist reaches beyond the last page/],
    ['long enough', ({ pages }) => pages[2]!.writeUInt32LE(9, 12), null],
    ['too many', ({ pages }) => pages[2]!.writeUInt16LE(127, 10), /127 page ids do not fit/],
    ['a meta page', ({ pages }) => pages[2]!.writeBigUInt64LE(1n, 16), /free page 1 is outside of \[2, 12\)/],
    ['beyond', ({ pages }) => pages[2]!.writeBigUInt64LE(12n, 24), /free page 12 is outside of \[2, 12\)/],
    ['twice', ({ pages }) => pages[2]!.writeBigUInt64LE(10n, 24), /page 10 is free twice/],
  ];
  for (const [name, change, expected] of cases) {
    const made = new Handmade([10, 11]);
    change(made);
    const findings = made.findings().filter((finding) => finding.startsWith('freelist '));
    const database = made.open();
    if (expected === null) {
      assert.deepEqual(findings, [], name);
      database.beginWrite().rollback();
      assert.equal(database.statistics().freePages, 2, name);
    } else {
      assert.match(findings[0] ?? 'none', expected, name);
      assert.throws(
        () => database.beginWrite(),
        (error) => error instanceof BoltError && expected.test(error.message),
      );
    }
    database.close();
  }
  // 126 ids fill the page to its last byte.
  const full = new Handmade([10, 11]);
  full.pages[2] = freelistPage(Array.from({ length: 126 }, (_, i) => 12 + i));
  for (const slot of [0, 1]) {
    const meta = { rootPgid: 3, freelistPgid: 2n, highWaterPgid: 12 + 126, txid: BigInt(slot) };
    full.pages[slot] = makeMeta(PAGE_BYTES, slot, meta);
  }
  for (let i = 0; i < 126; i++) full.pages.push(Buffer.alloc(PAGE_BYTES));
  assert.deepEqual(full.findings(), [
    'unreachable-unfreed 10 [] unreachable unfreed',
    'unreachable-unfreed 11 [] unreachable unfreed',
  ]);
});

test('without a stored freelist all pages are free that can not be reached, and what is wrong on the way is said', () => {
  const freeIn = (made: Handmade): number[] => {
    const database = made.open({ freelist: 'stored' });
    database.beginWrite().commit();
    const { freelistPgid } = metaOf(made.disk);
    database.close();
    const page = made.disk.readFile('/db').slice(freelistPgid * PAGE_BYTES, (freelistPgid + 1) * PAGE_BYTES);
    const count = Buffer.from(page).readUInt16LE(10);
    return Array.from({ length: count }, (_, i) => Number(Buffer.from(page).readBigUInt64LE(16 + 8 * i)));
  };
  // The root is not written anew by an empty transaction; the list takes the first free page.
  assert.deepEqual(freeIn(new Handmade(null)), [10, 11]);
  const refused = (change: (made: Handmade) => void): string => {
    const made = new Handmade(null);
    change(made);
    const database = made.open();
    let message = '';
    assert.throws(
      () => database.beginWrite(),
      (error) => {
        assert.ok(error instanceof BoltError && error.code === 'corrupt');
        message = error.message.replace('/db: ', '');
        return true;
      },
    );
    database.close();
    return message;
  };
  assert.match(
    refused(({ pages }) => pages[5]!.writeBigUInt64LE(7n, 0)),
    /^page 5 .*calls itself page 7/,
  );
  assert.match(
    refused(({ pages }) => pages[6]!.writeUInt32LE(6, 12)),
    /^page 6 .*6 overflow pages reach beyond page 12/,
  );
  assert.match(
    refused(({ pages }) => pages[6]!.writeUInt32LE(2, 12)),
    /^page 8 .*is in use twice, once under page 6/,
  );
  assert.match(
    refused((made) =>
      made.page(8, LEAF, [
        { key: 'x', value: bucketValue(9), isBucket: true },
        { key: 'y', value: bucketValue(9), isBucket: true },
      ]),
    ),
    /^page 9 .*is in use twice, once by page 8/,
  );
  assert.match(
    refused((made) => made.page(8, LEAF, [{ key: 'x', value: bucketValue(12), isBucket: true }])),
    /^page 8 .*root page 12 of a bucket/,
  );
});

function metaOf(disk: SimDisk): { freelistPgid: number; txid: number } {
  const content = Buffer.from(disk.readFile('/db'));
  const metas = [0, 1].map((slot) => ({
    freelistPgid: Number(content.readBigUInt64LE(slot * PAGE_BYTES + 48)),
    txid: Number(content.readBigUInt64LE(slot * PAGE_BYTES + 64)),
  }));
  return metas.sort((a, b) => b.txid - a.txid)[0]!;
}

test('the meta page with the higher transaction counts; one is refused where its figures can not be', () => {
  const made = (fields: Partial<Parameters<typeof makeMeta>[2]>, other: 'older' | 'none'): Handmade => {
    const database = new Handmade([10, 11]);
    const right = { rootPgid: 3, freelistPgid: 2n, highWaterPgid: HIGH_WATER, txid: 9n };
    database.pages[1] = makeMeta(PAGE_BYTES, 1, { ...right, ...fields });
    if (other === 'none') database.pages[0] = Buffer.alloc(PAGE_BYTES);
    return database;
  };
  const opened = (database: Handmade): number | string => {
    try {
      const open = database.open();
      const read = open.beginRead();
      const { txid } = read;
      read.close();
      open.close();
      return txid;
    } catch (error) {
      assert.ok(error instanceof BoltError, String(error));
      assert.deepEqual(database.disk.openPaths(), []);
      return error.code;
    }
  };
  const cases: readonly (readonly [Partial<Parameters<typeof makeMeta>[2]>, number | string])[] = [
    [{}, 9],
    [{ txid: 7n }, 7],
    [{ magic: 0xed0cdaec }, 'not-a-database'],
    [{ version: 1 }, 'version-mismatch'],
    [{ version: 3 }, 'version-mismatch'],
    [{ rootPgid: 2 }, 9],
    [{ rootPgid: 1 }, 'corrupt'],
    [{ rootPgid: HIGH_WATER - 1 }, 9],
    [{ rootPgid: HIGH_WATER }, 'corrupt'],
    [{ freelistPgid: 1n }, 'corrupt'],
    [{ freelistPgid: BigInt(HIGH_WATER) - 1n }, 9],
    [{ freelistPgid: BigInt(HIGH_WATER) }, 'corrupt'],
    [{ freelistPgid: NO_LIST }, 9],
    [{ freelistPgid: NO_LIST - 2n ** 32n }, 'corrupt'],
    [{ freelistPgid: NO_LIST - 1n }, 'corrupt'],
    [{ highWaterPgid: HIGH_WATER + 1 }, 'truncated'],
    [{ highWaterPgid: 2 ** 31 - 1 }, 'too-large'],
    [{ highWaterPgid: 2 ** 31 - 2 }, 'truncated'],
    [{ txid: 2n ** 53n - 2n }, 2 ** 53 - 2],
    [{ txid: 2n ** 53n - 1n }, 'too-large'],
    [{ pageSizeBytes: 1025 }, 'page-size'],
    [{ pageSizeBytes: 512 }, 'page-size'],
  ];
  for (const [fields, expected] of cases) {
    assert.equal(
      opened(made(fields, 'none')),
      expected,
      JSON.stringify(fields, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
    );
    // Beside an older one that is right, a wrong one is as good as none; the file's length is what the newest says it is.
    const withOlder =
      expected === 'truncated' ? 'truncated' : typeof expected === 'number' ? Math.max(8, expected) : 8;
    assert.equal(opened(made(fields, 'older')), withOlder);
  }
  assert.equal(opened(made({ pageSizeBytes: 2048 }, 'older')), 'page-size');
  const short = made({}, 'none');
  short.pages[HIGH_WATER - 1] = Buffer.alloc(PAGE_BYTES - 1);
  assert.equal(opened(short), 'truncated');
});

test('whichever operation of the disk fails, a database is closed, and the error says why', () => {
  const random = new SeededRandom(4);
  const use = (disk: SimDisk): void => {
    const database = Database.open({ disk, path: '/db', pageSizeBytes: PAGE_BYTES, cacheBytes: 1 });
    try {
      for (let round = 0; round < 3; round++) {
        const write = database.beginWrite();
        try {
          const bucket = write.createBucketIfNotExists(Buffer.from('b'));
          for (let i = 0; i < 40; i++) bucket.put(Buffer.from(`${random.below(100)}`), Buffer.alloc(100));
          write.commit();
        } finally {
          write.rollback();
        }
      }
      const read = database.beginRead();
      const cursor = read.bucket(Buffer.from('b'))!.cursor();
      for (let on = cursor.first(); on; on = cursor.next()) cursor.value();
      read.close();
    } finally {
      database.close();
    }
  };
  let failures = 0;
  for (let failing = 0; ; failing++) {
    let left = failing;
    const disk = new SimDisk({
      onOperation: ({ kind, path }: DiskOperation) => {
        if (left-- === 0) throw new DiskError('EIO', path, `EIO: ${kind}`);
      },
    });
    let error: unknown = null;
    try {
      use(disk);
      use(disk);
    } catch (thrown) {
      error = thrown;
    }
    assert.deepEqual(disk.openPaths(), [], `operation ${failing}`);
    if (error === null && left >= 0) break;
    if (error === null) continue;
    assert.ok(error instanceof BoltError && error.code === 'io', String(error));
    assert.match(error.message, /^\/db: EIO: /);
    failures++;
  }
  assert.ok(failures > 30, `${failures} failures`);
});
