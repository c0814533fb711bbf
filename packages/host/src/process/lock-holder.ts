/** Which process has locked a file, as far as Linux tells. */
import fs from 'node:fs';

/** The holder's process id; null where the system does not say, as across containers. */
export function findLockHolder(path: string): number | null {
  try {
    const { ino } = fs.statSync(path);
    return lockHolderIn(fs.readFileSync('/proc/locks', 'utf8'), ino);
  } catch {
    // No Linux, no /proc, or no permission: the message has to do without.
    return null;
  }
}

/**
 * Looks a lock up in the text of `/proc/locks`. Lines are `1: FLOCK  ADVISORY  WRITE 4242 08:01:131073 0 EOF`; the device is
 * left out of the comparison, because layered file systems print another one than stat does.
 */
export function lockHolderIn(locks: string, inode: number): number | null {
  for (const line of locks.split('\n')) {
    const match = /^\d+: FLOCK\s+\S+\s+\S+\s+(-?\d+)\s+[\da-f]+:[\da-f]+:(\d+)\s/.exec(line);
    if (match === null || Number(match[2]) !== inode) continue;
    const pid = Number(match[1]);
    return pid > 0 ? pid : null;
  }
  return null;
}
