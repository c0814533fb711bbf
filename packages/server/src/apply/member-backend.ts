/** The backend of a member, with the settings and the metrics of this one. */
import type { Clock, Disk, Logger } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import type { Backend } from '@etcd/storage/backend';
import { openMemberDatabase } from '@etcd/storage/data';
import type { Config } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';

export interface MemberBackendOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly onBackendFatal: (error: BoltError) => void;
}

/** Throws `BoltError` or `SchemaError`. */
export function openMemberBackend(options: MemberBackendOptions): Backend {
  const { config, disk, clock, logger, metrics, onBackendFatal } = options;
  return openMemberDatabase({
    dataDir: config.dataDir,
    disk,
    clock,
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
}
