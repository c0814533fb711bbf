/** Loads what makes backups where it is asked for, and nowhere else. */
import type { Clock, Logger } from '@etcd/base';
import { urlTexts } from '@etcd/base';
import type { Backups } from '../backups/index.ts';
import { type Config, MemberStartError } from '../config/index.ts';
import { Metrics } from '../metrics/index.ts';

export interface OpenBackupsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Null: none are asked for. Throws {@link MemberStartError}. */
export async function openBackups(options: OpenBackupsOptions): Promise<Backups | null> {
  const { config, clock, logger, metrics } = options;
  if (config.backup === null) return null;
  const { Backups } = await import('../backups/index.ts');
  return Backups.open({
    config: config.backup,
    endpoint: urlTexts(config.advertiseClientUrls)[0] ?? '',
    clock,
    logger: logger.child({ caller: 'server/backups' }),
    metrics: metrics.handles,
  });
}

/** What is wrong with the settings of backups and the files that they name; null: nothing. No store is asked for anything. */
export async function backupProblem(options: Omit<OpenBackupsOptions, 'metrics'>): Promise<string | null> {
  const { metrics: detail, featureGates } = options.config;
  try {
    const backups = await openBackups({ ...options, metrics: new Metrics({ detail, featureGates }) });
    await backups?.stop();
    return null;
  } catch (error) {
    if (error instanceof MemberStartError) return error.message;
    throw error;
  }
}
