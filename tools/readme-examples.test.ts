/**
 * What the packages' READMEs show is true: every example in them runs, inside its package, as a program of its own. One that speaks with
 * a server finds one.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../tests/support/etcd-server.ts';
import { run } from '../tests/support/run.ts';

const root = new URL('..', import.meta.url).pathname;
/** Where a server is, in an example. */
const ADDRESS = '127.0.0.1:2379';
const EXAMPLE = /^```ts\n(.*?)^```$/gms;

for (const page of globSync('packages/*/README.md', { cwd: root }).sort()) {
  for (const [index, [, code]] of [...readFileSync(root + page, 'utf8').matchAll(EXAMPLE)].entries()) {
    test(`${page}: example ${index + 1}`, async () => {
      const cwd = root + dirname(page);
      const server = code!.includes(ADDRESS) ? await EtcdServer.start({ flags: FAST_ELECTION }) : null;
      const stdin = server === null ? code! : code!.replaceAll(ADDRESS, server.address);
      const { code: exitCode, stderr } = await run(
        process.execPath,
        ['--input-type=module-typescript', '-'],
        { cwd, stdin },
      );
      await server?.stop();
      assert.equal(exitCode, 0, stderr);
    });
  }
}
