/** What the packages' READMEs show is true: every example in them runs, inside its package, as a program of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';

const root = new URL('..', import.meta.url).pathname;
const EXAMPLE = /^```ts\n(.*?)^```$/gms;

for (const page of globSync('packages/*/README.md', { cwd: root }).sort()) {
  for (const [index, [, code]] of [...readFileSync(root + page, 'utf8').matchAll(EXAMPLE)].entries()) {
    test(`${page}: example ${index + 1}`, () => {
      const { status, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-'], {
        cwd: root + dirname(page),
        input: code,
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(status, 0, stderr);
    });
  }
}
