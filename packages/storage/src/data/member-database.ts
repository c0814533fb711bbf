/** The database of a member as a file: opened and checked, and replaced by one that came with a snapshot from the leader. */
import type { Disk } from '@etcd/base';
import { Backend, type BackendOptions } from '../backend/index.ts';
import { validateSchema } from '../schema/index.ts';
import type { Snapshotter } from '../snap/index.ts';
import { backendPath, type DataPlace, snapDirectory } from './paths.ts';

export interface MemberDatabaseOptions extends Omit<BackendOptions, 'path'> {
  readonly dataDir: string;
}

/** The backend of the member whose data are there, with a schema that is understood. Throws `BoltError` or `SchemaError`. */
export function openMemberDatabase(options: MemberDatabaseOptions): Backend {
  const backend = new Backend({ ...options, path: backendPath(options) });
  try {
    validateSchema(backend);
    return backend;
  } catch (error) {
    backend.close();
    throw error;
  }
}

/** Puts the received database of the snapshot at `index` in the place of the backend's file. Throws `SnapError` if there is none. */
export function takeReceivedDatabase(
  place: Pick<DataPlace, 'dataDir'>,
  disk: Disk,
  snapshotter: Snapshotter,
  index: number,
): void {
  disk.rename(snapshotter.dbFilePath(index), backendPath(place));
  disk.syncDirectory(snapDirectory(place));
}
