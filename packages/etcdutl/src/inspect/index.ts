/** What a data directory says of itself to other programs. It is only read. */
import { decodeMetadata } from '@etcd/api/etcdserverpb';
import { NodeDisk } from '@etcd/base/node';
import { leftDataProblem, walDirectory } from '@etcd/storage/data';
import { newestSnapshot, readWal, walExists } from '@etcd/storage/wal';

/** Who a data directory belongs to. */
export interface DataIdentity {
  readonly memberId: bigint;
  readonly clusterId: bigint;
}

/** By the log, which a running member may be writing; null where there is none. Throws what is wrong with the log. */
export function dataIdentity(dataDir: string): DataIdentity | null {
  const disk = new NodeDisk();
  const directory = walDirectory({ dataDir, walDir: '' });
  if (!walExists(disk, directory)) return null;
  const options = { disk, directory };
  const { metadata } = readWal(options, newestSnapshot(options), null);
  const { nodeId, clusterId } = decodeMetadata(metadata);
  return { memberId: nodeId, clusterId };
}

/** The first thing that is wrong with the data of a member that does not run; null if nothing is. */
export function dataProblem(dataDir: string): string | null {
  return leftDataProblem({ disk: new NodeDisk(), place: { dataDir, walDir: '' } });
}
