/** Operations of a disk in callbacks, from which nobody is there to catch what is thrown. */
import { DiskError } from '@etcd/base';

/** What `run` returns, or the error of the disk that it throws. */
export function tryDisk<T>(run: () => T): T | DiskError {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return error;
  }
}
