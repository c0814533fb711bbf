import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkExports, type ExportingFile } from './tidy/exports.ts';
import { checkLinks } from './tidy/links.ts';
import { type CountedFile, roomsWithFewTests } from './tidy/test-ratio.ts';
import { tidy } from './tidy.ts';

test('the tree is tidy', () => {
  assert.deepEqual(tidy(new URL('..', import.meta.url).pathname), []);
});

test('a link to a file or heading that is not there is found', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'links-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'docs'));
  writeFileSync(
    join(root, 'docs/wal.md'),
    '# The log, and `its` files\n```sh\n# not a heading\n[no](link.md)\n```\n',
  );
  writeFileSync(
    join(root, 'README.md'),
    [
      '[good](docs/wal.md#the-log-and-its-files) [out](https://example.com/x) [folder](docs)',
      '[gone](docs/gone.md)',
      '[no heading](docs/wal.md#not-a-heading)',
      '[outside](../secret.md)',
    ].join('\n'),
  );
  assert.deepEqual(checkLinks(root, ['README.md', 'docs/wal.md']), [
    'README.md:2: the link to docs/gone.md leads nowhere',
    'README.md:3: docs/wal.md has no heading #not-a-heading',
    'README.md:4: the link to ../secret.md leaves the repository',
  ]);
});

test('an export that no other file names is found, unless it is what a published package is for', () => {
  const file = (path: string, text: string): ExportingFile => ({
    path,
    package: path.split('/')[1]!,
    isGenerated: false,
    text,
  });
  const files = [
    file(
      'packages/storage/src/wal.ts',
      'export const used = 1;\nexport function dead() {}\nexport class Passed {}\n',
    ),
    file('packages/storage/src/index.ts', "export { Passed } from './wal.ts';\n"),
    file('packages/storage/src/x.ts', "import { used } from './wal.ts';\nuse(used);\n"),
    file('packages/raft/src/raft.ts', 'export class Raft {}\n'),
    file('packages/raft/src/index.ts', "export { Raft } from './raft.ts';\n"),
  ];
  assert.deepEqual(checkExports(files), [
    'packages/storage/src/wal.ts: nobody uses the export dead',
    'packages/storage/src/wal.ts: nobody uses the export Passed',
  ]);
});

test('a room with fewer than six lines of tests for ten of code is refused, helpers counted and benchmarks not', () => {
  const file = (path: string, lines: number): CountedFile => ({
    path: `packages/server/src/${path}`,
    isTest: path.endsWith('.test.ts'),
    isBench: path.endsWith('.bench.ts'),
    isForTests: path.includes('/testing/'),
    text: 'x\n'.repeat(lines),
  });
  const few = [
    file('rpc/a.ts', 10),
    file('rpc/a.test.ts', 3),
    file('rpc/testing/b.ts', 2),
    file('rpc/c.bench.ts', 9),
  ];
  assert.deepEqual(roomsWithFewTests(few), [
    'packages/server/src/rpc: 0.50 lines of tests per line of code, of at least 0.6',
  ]);
  assert.deepEqual(roomsWithFewTests([...few, file('rpc/d.test.ts', 1)]), []);
});
