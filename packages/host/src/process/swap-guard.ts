/**
 * What keeps the memory of this process from being swapped out. V8 does not live with locked pages (`mlockall`): it gives parts of its memory back
 * to the kernel, which refuses that for locked ones. Where there is nothing to swap to, pages stay as well as if they were locked.
 */
import fs from 'node:fs';

/** Files of the kernel, by path; null: it is not there. */
export type ReadKernelFile = (path: string) => string | null;

/** Where version 2 of control groups is mounted, alone or beside version 1. */
const GROUP_ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];
const OWN_GROUP = /^0::(\/.*)$/m;

/** In words for a log; null: it may be swapped out, or nobody can tell. */
export function swapGuard(read: ReadKernelFile = readKernelFile): string | null {
  const swaps = read('/proc/swaps');
  if (swaps === null) return null;
  // The first line names the columns.
  if (swaps.trimEnd().split('\n').length <= 1) return 'the machine has no swap';
  const group = OWN_GROUP.exec(read('/proc/self/cgroup') ?? '')?.[1];
  if (group === undefined) return null;
  // In a container the path may be that of the host: the walk up finds the container's own root all the same.
  for (const path of ancestors(group)) {
    for (const root of GROUP_ROOTS) {
      const file = `${root}${path}/memory.swap.max`;
      if (read(file)?.trim() === '0') return `${file} is 0`;
    }
  }
  return null;
}

/** `/a/b`, `/a`, and the empty string for the root. */
function ancestors(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '..');
  return Array.from({ length: names.length + 1 }, (_, i) =>
    names
      .slice(0, names.length - i)
      .map((name) => `/${name}`)
      .join(''),
  );
}

function readKernelFile(path: string): string | null {
  try {
    return fs.readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}
