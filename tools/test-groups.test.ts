import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { chooseFiles } from './test-files.ts';
import { groupFiles, type TestFile, writeGroups } from './test-groups.ts';

const file = (path: string, text = "test('x', () => {});\n"): TestFile => ({ path, text });

test('files of a room share a process, but for those that touch it, and those of other packages', () => {
  const { groups, alone } = groupFiles([
    file('packages/server/src/rpc/a.test.ts'),
    file('packages/server/src/rpc/deep/b.test.ts'),
    file('packages/server/src/rpc/hooked.test.ts', 'let x;\nbeforeEach(() => {});\n'),
    file('packages/server/src/rpc/inner-hooks.test.ts', "describe('x', () => {\n  before(() => {});\n});\n"),
    file('packages/server/src/rpc/environment.test.ts', "process.env['X'] = '1';\n"),
    file('packages/server/src/http/only.test.ts'),
    file('packages/raft/src/a.test.ts'),
    file('packages/raft/src/b.test.ts'),
    file('packages/sim/src/a.test.ts'),
    file('packages/sim/src/b.test.ts'),
    file('tests/interop/http/a.test.ts'),
  ]);
  assert.deepEqual(Object.fromEntries(groups), {
    'server-rpc': [
      'packages/server/src/rpc/a.test.ts',
      'packages/server/src/rpc/deep/b.test.ts',
      'packages/server/src/rpc/inner-hooks.test.ts',
    ],
    raft: ['packages/raft/src/a.test.ts', 'packages/raft/src/b.test.ts'],
  });
  assert.deepEqual(alone, [
    'packages/server/src/rpc/hooked.test.ts',
    'packages/server/src/rpc/environment.test.ts',
    'packages/sim/src/a.test.ts',
    'packages/sim/src/b.test.ts',
    'tests/interop/http/a.test.ts',
    'packages/server/src/http/only.test.ts',
  ]);
});

test('every test file is run once', () => {
  const root = new URL('..', import.meta.url).pathname;
  const paths = chooseFiles([]);
  const { groups, alone } = groupFiles(
    paths.map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') })),
  );
  assert.deepEqual([...alone, ...[...groups.values()].flat()].sort(), paths);
});

test('a group runs all tests of its files, and tells of a failure where it is', () => {
  const root = `${mkdtempSync(join(tmpdir(), 'test-groups-'))}/`;
  try {
    const folder = 'packages/raft/src/log';
    mkdirSync(`${root}${folder}`, { recursive: true });
    const write = (name: string, body: string): void =>
      writeFileSync(
        `${root}${folder}/${name}.test.ts`,
        `import { test } from 'node:test';\ntest('${name}', () => {${body}});\n`,
      );
    write('one', '');
    write('two', "throw new Error('no')");
    write('three', '');
    const paths = ['one', 'two', 'three'].map((name) => `${folder}/${name}.test.ts`);
    const entries = writeGroups(root, `${root}groups`, paths);
    assert.deepEqual(entries, [`${root}groups/raft-log.test.mjs`]);
    const reporter = new URL('failed-reporter.ts', import.meta.url).pathname;
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = (name: string): string =>
      spawnSync(process.execPath, ['--test', `--test-reporter=${name}`, ...entries], {
        encoding: 'utf8',
        env,
      }).stdout;
    assert.equal(run(reporter), `${folder}/two.test.ts: two\n`);
    assert.match(run('tap'), /^# pass 2$/m);
  } finally {
    rmSync(root, { recursive: true });
  }
});
