/** A file of tests that looks at what its tests leave behind fails where they leave what is wrong. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const INDEX = new URL('./index.ts', import.meta.url).href;

/** Tests, of which each leaves one file on one disk. */
const TESTS = `
import { test } from 'node:test';
import { checkFilesLeft, SimDisk } from '${INDEX}';
const left = checkFilesLeft((path, bytes) => (bytes[0] === 66 ? 'bad' : null));
function leave(text, disk = new SimDisk()) {
  disk.makeDirectory('/data', 0o700);
  const file = disk.openFile('/data/file', { access: 'readwrite', create: true });
  file.write(Buffer.from(text), 0, text.length, 0);
  return disk;
}
test('good', () => void leave('A'));
test('bad', () => void leave('B'));
test('bad, as expected', () => { left.expectDamage(); leave('B'); });
test('bad again', () => void leave('B'));
test('bad, and without power', () => leave('B').crash());
test('bad in what a kill leaves', () => void leave('B').afterKill());
`;

test('a test that leaves damage fails, unless it says so or the disk is dead', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'left-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'x.test.mjs');
  writeFileSync(path, TESTS);
  // A run inside of a run of tests would report to it.
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const { stdout } = spawnSync(process.execPath, ['--test-reporter=tap', path], { encoding: 'utf8', env });
  const outcomes = stdout.match(/^(ok|not ok) \d+ - .*$/gm);
  assert.deepEqual(outcomes, [
    'ok 1 - good',
    'not ok 2 - bad',
    'ok 3 - bad, as expected',
    'not ok 4 - bad again',
    'ok 5 - bad, and without power',
    'not ok 6 - bad in what a kill leaves',
  ]);
  assert.match(stdout, /\/data\/file: bad/);
});
