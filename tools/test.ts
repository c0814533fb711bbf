/**
 * `npm test`: the unit tests of every package, then the tests that run whole programs. Arguments choose by a part of
 * the path: `npm test -- bbolt wal` runs only the files whose path has one of the words.
 *
 * Tests of whole programs need other programs as judges; see `test-requirements.ts`. What is missing is listed last,
 * with the tests that could not run for it, and is a failure when `CI` is set.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { chooseFiles, FAILED_PATH, SKIPPED_PATH } from './test-files.ts';
import { writeGroups } from './test-groups.ts';
import { bringRequirements, type Missing } from './test-requirements.ts';

const root = new URL('..', import.meta.url).pathname;
/** Nothing may hang the run: this long for one file or group, which takes a minute or two where nothing else is going on. */
const TIMEOUT_MS = 1_200_000;

/** Whatever a member leaves behind in a test is looked at, unless somebody asks for something else. */
function testEnvironment(): NodeJS.ProcessEnv {
  return { ETCD_VERIFY: 'all', ...process.env, NODE_COMPILE_CACHE: `${root}.cache/compile` };
}

function runTests(files: readonly string[]): number {
  mkdirSync(`${root}.cache`, { recursive: true });
  for (const path of [SKIPPED_PATH, FAILED_PATH]) rmSync(path, { force: true });
  const { status } = spawnSync(
    process.execPath,
    [
      '--test',
      '--test-concurrency=2',
      `--test-timeout=${TIMEOUT_MS}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${root}tools/skipped-reporter.ts`,
      `--test-reporter-destination=${SKIPPED_PATH}`,
      `--test-reporter=${root}tools/failed-reporter.ts`,
      `--test-reporter-destination=${FAILED_PATH}`,
      ...writeGroups(root, `${root}.cache/groups`, files),
    ],
    { cwd: root, stdio: 'inherit', env: testEnvironment() },
  );
  return status ?? 1;
}

/** Says last, where it is seen, what was not tested and why. */
function reportMissing(missing: readonly Missing[]): void {
  const skipped = existsSync(SKIPPED_PATH) ? readFileSync(SKIPPED_PATH, 'utf8').trimEnd() : '';
  if (missing.length === 0 && skipped === '') return;
  const count = skipped === '' ? 0 : skipped.split('\n').length;
  process.stderr.write(`\nMISSING: ${missing.length} test requirements; ${count} tests did not run\n`);
  for (const { name, purpose, reason } of missing) {
    process.stderr.write(`  ${name} (${purpose}): ${reason}\n`);
  }
  if (skipped !== '') process.stderr.write(`tests that did not run:\n${skipped}\n`);
}

const files = chooseFiles(process.argv.slice(2));
if (files.length === 0) {
  process.stderr.write(`no test file matches ${process.argv.slice(2).join(' ')}\n`);
  process.exit(1);
}
const missing = files.some((file) => /^tests\/(interop|program|robustness)\//.test(file))
  ? bringRequirements()
  : [];
const status = runTests(files);
reportMissing(missing);
process.exit(status !== 0 ? status : missing.length > 0 && process.env['CI'] !== undefined ? 1 : 0);
