/** Which errors are the disk's: nobody's fault here, wherever they are thrown, and nothing that a process could go on with. */
import { DiskError } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';

/** Whether `error` says that a file can't be read or written, or is damaged. */
export function isStorageFailure(error: unknown): boolean {
  return error instanceof BoltError || error instanceof DiskError;
}
