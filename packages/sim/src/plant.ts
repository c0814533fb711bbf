/**
 * Bugs to be put into simulated members from outside, each a way in which a real one could be wrong: what they break must be
 * found by the checks, or the checks are worth nothing.
 */
import type { Message } from '@etcd/api/raftpb';
import type { Disk, DiskFile } from '@etcd/base';

export interface Plant {
  /** Stands between a member and its disk. */
  readonly disk?: (disk: Disk) => Disk;
  /** Stands between the network and a member: what it makes of a message. */
  readonly receive?: (message: Message) => readonly Message[];
}

/** Files whose path has `part` say that they are synced without having done anything. */
export function acknowledgeBeforeSync(part: string): Plant {
  return {
    disk: (disk) =>
      through(disk, {
        openFile: (path, options) => {
          const file = disk.openFile(path, options);
          return path.includes(part) ? unsynced(file) : file;
        },
      }),
  };
}

function unsynced(file: DiskFile): DiskFile {
  return through(file, {
    sync: () => {},
    // Goes through the disk all the same, so that the answer comes in a later turn.
    syncThen: (done) => file.readThen(new Uint8Array(1), 0, 1, 0, (error) => done(error)),
  });
}

/** An object that is `target` but for some methods. */
function through<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(of, name) {
      const own = replaced[name as keyof T];
      if (own !== undefined) return own;
      const value = of[name as keyof T];
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}

export const plants: Readonly<Record<string, Plant>> = {
  'wal-sync': acknowledgeBeforeSync('.wal'),
};
