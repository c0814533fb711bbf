/** Temporary directories, removed when the test process ends; and ports that nobody else is given. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export { freePort } from '@etcd/testing/free-port';

const directories: string[] = [];
process.on('exit', () => {
  if (process.env['ETCD_TEST_KEEP'] !== undefined) return;
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A fresh directory; `ETCD_TEST_KEEP` in the environment keeps it for a look afterwards. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-test-'));
  directories.push(directory);
  return directory;
}
