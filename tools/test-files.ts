/** Which files `npm test` runs, and where it leaves what became of them. */
import { existsSync, globSync } from 'node:fs';

const root = new URL('..', import.meta.url).pathname;

/** A line for each test that was skipped, or failed, in the last run. */
export const SKIPPED_PATH = `${root}.cache/skipped-tests.txt`;
export const FAILED_PATH = `${root}.cache/failed-tests.txt`;

/** Those whose path has one of the words, or all. */
export function chooseFiles(words: readonly string[]): string[] {
  const patterns = ['packages/*/src/**/*.test.ts', 'tools/**/*.test.ts', 'tests/support/**/*.test.ts'];
  if (hasSubject()) patterns.push('tests/{interop,program,robustness}/**/*.test.ts');
  return globSync(patterns, { cwd: root })
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
}

/** The tests of whole programs run once there is a program to test. */
function hasSubject(): boolean {
  return process.env['ETCD_UNDER_TEST'] !== undefined || existsSync(`${root}packages/etcd/src/main.ts`);
}
