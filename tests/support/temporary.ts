/** Temporary directories, removed when the test process ends; and ports that nothing listens on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

// Below the range from which the kernel takes ports for outgoing connections, so that a port chosen here is still
// free when the server is started, or started again, a moment later.
const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 31_000;

/** A TCP port on loopback that nothing listens on now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
