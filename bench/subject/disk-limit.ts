/**
 * A limit on what a process writes to the disk in a second, as the kernel sets it for a control group: for members that share this machine's disk,
 * and would otherwise take from each other what each has of its own elsewhere. Needs root and control groups with `blkio` (version 1) or `io` (2).
 *
 * What a process syncs is counted; what the kernel writes back by itself is not, with version 1. Members sync all that they write.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** As the group's limits are written for a device. */
const VERSIONS = [
  {
    parent: join(ROOT, 'blkio'),
    file: 'blkio.throttle.write_bps_device',
    line: (device: string, bytes: number) => `${device} ${bytes}`,
  },
  { parent: ROOT, file: 'io.max', line: (device: string, bytes: number) => `${device} wbps=${bytes}` },
] as const;

let groups = 0;
const living = new Set<DiskLimit>();
process.on('exit', () => {
  for (const limit of living) limit.remove();
});

export class DiskLimit {
  readonly #group: string;

  private constructor(group: string) {
    this.#group = group;
    living.add(this);
  }

  /** For the device on which `directory` lies; null where the kernel, or the user's rights, allow no limit. */
  static create(directory: string, bytesPerSecond: number): DiskLimit | null {
    const device = wholeDevice(directory);
    if (device === null) return null;
    for (const { parent, file, line } of VERSIONS) {
      const group = join(parent, `etcd-bench-${process.pid}-${groups++}`);
      try {
        mkdirSync(group);
      } catch {
        continue;
      }
      const limit = new DiskLimit(group);
      try {
        writeFileSync(join(group, file), line(device, bytesPerSecond));
        return limit;
      } catch {
        limit.remove();
      }
    }
    return null;
  }

  /** The limit is for this process, with all its threads, from now on. */
  add(pid: number): void {
    writeFileSync(join(this.#group, 'cgroup.procs'), String(pid));
  }

  /** All its processes have ended. */
  remove(): void {
    living.delete(this);
    try {
      rmdirSync(this.#group);
    } catch {
      // Something still runs in it: an empty group, once it is one, costs nothing.
    }
  }
}

/** `major:minor` of the disk; of a partition, that of the disk that it is part of. */
function wholeDevice(directory: string): string | null {
  const { dev } = statSync(directory);
  // Linux keeps the number of a device in 12 and 20 bits, the latter in two parts.
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xf_ff00);
  const block = `/sys/dev/block/${major}:${minor}`;
  // A file system that is on no block device has no limit either.
  if (!existsSync(block)) return null;
  const disk = existsSync(join(block, 'partition')) ? join(block, '..', 'dev') : join(block, 'dev');
  return readFileSync(disk, 'latin1').trim();
}
