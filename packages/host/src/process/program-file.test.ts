import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { filePages, unmapProgramFile } from './program-file.ts';

const NODE = '/opt/node/bin/node';

function mapping(range: string, permissions: string, path: string, anonymousKb = 0, swapKb = 0): string {
  return [
    `${range} ${permissions} 0034a000 fe:00 5352124                            ${path}`,
    'Size:              42984 kB',
    'Rss:               28764 kB',
    'Private_Dirty:         0 kB',
    `Anonymous:      ${String(anonymousKb).padStart(8)} kB`,
    `Swap:           ${String(swapKb).padStart(8)} kB`,
    'VmFlags: rd ex mr mw me',
    '',
  ].join('\n');
}

test('pages that may be unmapped are those of the file, not writable, and as they are in the file', () => {
  const smaps = [
    mapping('00400000-00746000', 'r--p', NODE),
    mapping('0074a000-03044000', 'r-xp', NODE),
    mapping('06b51000-06b60000', 'r--p', NODE, 12),
    mapping('06b51000-06b60000', 'r--p', NODE, 0, 12),
    mapping('06b60000-06b90000', 'rw-p', NODE),
    mapping('06b90000-06ba0000', 'r--s', NODE),
    mapping('06ba0000-06bb0000', '---p', NODE),
    mapping('7fd297dc0000-7fd297fc5000', 'r-xp', NODE),
    mapping('7fd297fc5000-7fd297fc6000', 'rw-p', NODE),
    mapping('7fd297fc6000-7fd297fc7000', 'r-xp', `${NODE}-other`),
    '7ffd8a5f1000-7ffd8a612000 rw-p 00000000 00:00 0                          [stack]',
    'Anonymous:             0 kB',
    'Swap:                  0 kB',
    'VmFlags: rd wr mr mw me gd ac',
    '',
  ].join('\n');
  assert.deepEqual(
    filePages(smaps, NODE).map(({ start, end }) => [start.toString(16), end.toString(16)]),
    [
      ['400000', '746000'],
      ['74a000', '3044000'],
      ['7fd297dc0000', '7fd297fc5000'],
    ],
  );
});

test('a program whose pages were unmapped goes on', () => {
  const mapped = (): number => {
    const ranges = filePages(fs.readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
    return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  };
  const before = mapped();
  assert.ok(before > 0, 'Node has a file of its own');
  unmapProgramFile();
  assert.equal(mapped(), before, 'the mappings stay');
  assert.equal(Array.from({ length: 1000 }, (_, i) => JSON.stringify({ i })).length, 1000);
});
