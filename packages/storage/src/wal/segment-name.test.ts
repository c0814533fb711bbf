import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { listSegments, segmentName, selectSegments, walExists } from './segment-name.ts';
import { putFiles } from './testing/handmade-log.ts';
import { WalError } from './wal-error.ts';

const DIRECTORY = '/wal';

function diskWith(names: readonly string[]): SimDisk {
  const disk = new SimDisk();
  putFiles(disk, DIRECTORY, new Map(names.map((name) => [name, new Uint8Array(1)])));
  return disk;
}

const isWalError = (code: string, message: RegExp, path: string) => (error: unknown) =>
  error instanceof WalError && error.code === code && message.test(error.message) && error.path === path;

test('a segment is named by sixteen digits of its number and its first index', () => {
  assert.equal(segmentName(0, 0), '0000000000000000-0000000000000000.wal');
  assert.equal(segmentName(0xab, 2 ** 53 - 1), '00000000000000ab-001fffffffffffff.wal');
});

test('segments are found in their order; files of other names are named in a warning, what is in preparation is not', () => {
  const good = [segmentName(2, 9), segmentName(3, 2 ** 53 - 1), segmentName(2 ** 53 - 1, 0x1234)];
  const others = [
    '0000000000000002-000000000000000.wal',
    '0000000000000002-00000000000000009.wal',
    '000000000000000A-0000000000000009.wal',
    '0000000000000002-0020000000000000.wal',
    '0020000000000000-0000000000000002.wal',
    `${good[0]}.broken`,
    `x${good[0]}`,
    'lost+found',
  ];
  const warned: unknown[] = [];
  const warn = (_message: string, fields?: { readonly path?: unknown }): number => warned.push(fields?.path);
  const disk = diskWith([...good, ...others, '0.tmp', '1.tmp']);
  const found = listSegments(disk, DIRECTORY, { ...SILENT_LOGGER, warn });
  assert.deepEqual(found, [
    { name: good[0], sequence: 2, index: 9 },
    { name: good[1], sequence: 3, index: 2 ** 53 - 1 },
    { name: good[2], sequence: 2 ** 53 - 1, index: 0x1234 },
  ]);
  assert.deepEqual(new Set(warned), new Set(others.map((name) => `${DIRECTORY}/${name}`)));
  assert.ok(walExists(disk, DIRECTORY));
  assert.ok(!walExists(diskWith(others), DIRECTORY));
});

test('a directory that is none, or has no segment, has no log', () => {
  const disk = diskWith(['x']);
  for (const [path, reason] of [
    ['/nowhere', /no such directory/],
    [`${DIRECTORY}/x`, /no such directory/],
    [DIRECTORY, /file not found/],
  ] as const) {
    assert.equal(walExists(disk, path), false);
    assert.throws(() => listSegments(disk, path, SILENT_LOGGER), isWalError('not-found', reason, path));
  }
});

test('reading begins in the last segment that begins at the index or before it, and needs all behind it', () => {
  const segments = [
    [4, 10],
    [5, 20],
    [6, 20],
    [7, 35],
  ].map(([sequence, index]) => ({
    name: segmentName(sequence!, index!),
    sequence: sequence!,
    index: index!,
  }));
  const from = (index: number, of = segments): number[] =>
    selectSegments(DIRECTORY, of, index).map(({ sequence }) => sequence);
  for (const [index, first] of [
    [10, 4],
    [19, 4],
    [20, 6],
    [34, 6],
    [35, 7],
    [1e9, 7],
  ] as const) {
    assert.deepEqual(from(index), [4, 5, 6, 7].slice(first - 4));
  }
  const path = `${DIRECTORY}/${segments[0]!.name}`;
  assert.throws(() => from(9), isWalError('not-found', /index '9': .* begins at 10/, path));
  const holed = segments.filter(({ sequence }) => sequence !== 5);
  assert.throws(
    () => from(10, holed),
    isWalError('corrupt', /-14\.wal follows .*-0*a\.wal|follows/, DIRECTORY),
  );
  assert.deepEqual(from(20, holed), [6, 7]);
  const doubled = [...segments, { ...segments[3]!, name: segmentName(7, 36), index: 36 }];
  assert.throws(() => from(20, doubled), isWalError('corrupt', /follows/, DIRECTORY));
});
