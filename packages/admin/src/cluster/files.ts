/** Files of a host: whole or not at all, under a directory that may stand for its root. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** What is not whole yet has a name with a dot: the kubelet starts whatever else lies beside its manifests. */
export function writeWhole(path: string, content: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  rmSync(temporary, { force: true });
  writeFileSync(temporary, content, { mode, flush: true });
  renameSync(temporary, path);
}

/** Null for a file that is not there. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
