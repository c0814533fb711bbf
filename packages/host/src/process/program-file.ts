/**
 * The pages of Node's own file that this process has mapped: 45 MB after a start, most of which only the start had use for. They count as
 * resident, though the system has them once for all processes.
 */
import fs from 'node:fs';
import { unmapPages } from './node-libc.ts';

/** Addresses, `end` is behind the last. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

const HEAD = /^([0-9a-f]+)-([0-9a-f]+) (r-[x-]p) [0-9a-f]+ \S+ \d+ +(\/.*)$/;
/** Pages that were written to before they were protected, in memory or swapped out: the file does not have what they hold. */
const WRITTEN = /^(?:Anonymous|Swap): +[1-9]\d* kB$/;
/** The last line of a mapping. */
const TAIL = 'VmFlags:';

/**
 * Ranges of `smaps` (text of `/proc/self/smaps`) that are nothing but pages of `file` as it is: not writable, and no page was written to before it
 * became so, as the loader does with what it relocates.
 */
export function filePages(smaps: string, file: string): PageRange[] {
  const ranges: PageRange[] = [];
  let range: PageRange | null = null;
  for (const line of smaps.split('\n')) {
    if (WRITTEN.test(line)) range = null;
    if (line.startsWith(TAIL)) {
      if (range !== null) ranges.push(range);
      range = null;
    }
    const head = HEAD.exec(line);
    if (head === null) continue;
    const [, start, end, , path] = head;
    range = path === file ? { start: Number.parseInt(start!, 16), end: Number.parseInt(end!, 16) } : null;
  }
  return ranges;
}

let programPages: readonly PageRange[] | null = null;

/** Unmaps them; what is still needed is mapped again when it is touched, from the system's cache. */
export function unmapProgramFile(): void {
  // They stay what they are, and the kernel looks at every page of the process to say so: of gigabytes, that takes a while.
  programPages ??= readProgramPages();
  for (const { start, end } of programPages) unmapPages(start, end - start);
}

function readProgramPages(): readonly PageRange[] {
  try {
    return filePages(fs.readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
  } catch {
    // Not Linux, or not ours to read: nothing is unmapped.
    return [];
  }
}
