/** The backend file of a member: opened at start, and replaced by the database that comes with a snapshot from the leader. */
import type { Clock, Disk, Logger } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import { Backend } from '@etcd/storage/backend';
import { readAuthEnabled, validateSchema } from '@etcd/storage/schema';
import type { Snapshotter } from '@etcd/storage/snap';
import { backendPath, type Config, snapDirectory } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { MemberStartError } from './member-start-error.ts';

export interface MemberBackendOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly onBackendFatal: (error: BoltError) => void;
}

/** Throws `BoltError`, `SchemaError` or {@link MemberStartError}. */
export function openMemberBackend(options: MemberBackendOptions): Backend {
  const { config, disk, clock, logger, metrics, onBackendFatal } = options;
  const backend = new Backend({
    disk,
    clock,
    path: backendPath(config),
    logger: logger.child({ caller: 'storage/backend' }),
    batchIntervalMs: config.backendBatchIntervalMs,
    batchLimit: config.backendBatchLimit,
    noSync: config.unsafeNoFsync,
    onFatal: onBackendFatal,
    onCommit: (durationMs, { rebalanceMs, spillMs, writeMs }) => {
      metrics.backendCommitDurationSeconds.observe(durationMs / 1000);
      metrics.backendCommitRebalanceSeconds.observe(rebalanceMs / 1000);
      metrics.backendCommitSpillSeconds.observe(spillMs / 1000);
      metrics.backendCommitWriteSeconds.observe(writeMs / 1000);
    },
  });
  try {
    validateSchema(backend);
    refuseAuthentication(backend);
    return backend;
  } catch (error) {
    backend.close();
    throw error;
  }
}

/** Data that are meant for some are not to be shown to everybody. */
function refuseAuthentication(backend: Backend): void {
  if (!readAuthEnabled(backend)) return;
  throw new MemberStartError(
    `${backend.path}: authentication is enabled in this database, which is not supported yet; ` +
      'disable it first (etcdctl auth disable) where it is',
  );
}

/** Puts the received database of the snapshot at `index` in the place of the backend's file. Throws `SnapError` if there is none. */
export function takeReceivedDatabase(
  { config, disk }: Pick<MemberBackendOptions, 'config' | 'disk'>,
  snapshotter: Snapshotter,
  index: number,
): void {
  disk.rename(snapshotter.dbFilePath(index), backendPath(config));
  disk.syncDirectory(snapDirectory(config));
}
