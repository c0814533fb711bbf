/** TCP ports on loopback for servers that have to know theirs before they start. */
import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Below those that the kernel gives outgoing connections: one of these would take the port of a server that is not running yet, or starts anew. */
const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 31_000;

/** A file for each port that a test has taken: whoever looks for one beside it takes another. */
const DIRECTORY = join(tmpdir(), 'etcd-test-ports');

const taken = new Set<string>();
process.on('exit', () => {
  for (const path of taken) rmSync(path, { force: true });
});

/** One that nothing listens on, and that nobody who asks here is given as long as this process lives. */
export async function freePort(): Promise<number> {
  mkdirSync(DIRECTORY, { recursive: true });
  for (;;) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if (take(join(DIRECTORY, String(port))) && (await isFree(port))) return port;
  }
}

/** @param path named after the port. */
export function take(path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    taken.add(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Where nothing can be noted, nobody can be asked.
    if (code !== 'EEXIST') return true;
    if (!isHeld(path)) rmSync(path, { force: true });
    return false;
  }
}

/** False for what a process left that was killed. */
function isHeld(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
