/** What the flags ask for, looked at as a whole before anything is done. */
import type { FlagValues } from '@etcd/host/cli';
import { Rule } from './rule/index.ts';

/** The message is for whoever gave the flags. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
}

export interface JobOptions {
  /** All members that vote, instead of the given endpoints. */
  readonly isWholeCluster: boolean;
  readonly excludesLocalhost: boolean;
  readonly checksGivenOnly: boolean;
  readonly compacts: boolean;
  readonly goesOnAfterErrors: boolean;
  readonly isDryRun: boolean;
  readonly movesLeader: boolean;
  readonly waitMs: number;
  readonly quotaBytes: number;
  readonly disarms: boolean;
  /** Share of the quota. */
  readonly disarmThreshold: number;
  readonly timeoutMs: number;
}

/** Throws {@link OptionsError}. */
export function jobOptions(flags: FlagValues): JobOptions {
  const problem = problemOf(flags);
  if (problem !== null) throw new OptionsError(problem);
  return {
    isWholeCluster: flags.bool('cluster'),
    excludesLocalhost: flags.bool('exclude-localhost'),
    checksGivenOnly: flags.bool('skip-healthcheck-cluster-endpoints'),
    compacts: flags.bool('compaction'),
    goesOnAfterErrors: flags.bool('continue-on-error'),
    isDryRun: flags.bool('dry-run'),
    movesLeader: flags.bool('move-leader'),
    waitMs: flags.durationMs('wait-between-defrags'),
    quotaBytes: flags.number('etcd-storage-quota-bytes'),
    disarms: flags.bool('auto-disalarm'),
    disarmThreshold: flags.number('disalarm-threshold'),
    timeoutMs: Math.max(1, flags.durationMs('command-timeout')),
  };
}

function problemOf(flags: FlagValues): string | null {
  for (const name of ['cert', 'key', 'cacert']) {
    if (flags.isSet(name) && flags.text(name) === '') return `empty string is passed to --${name} option`;
  }
  const skipping = '--skip-healthcheck-cluster-endpoints';
  if (flags.bool('skip-healthcheck-cluster-endpoints')) {
    if (flags.list('endpoints').length === 0) {
      return `${skipping} requires explicit endpoints to be provided via --endpoints flag`;
    }
    if (flags.bool('cluster')) return `${skipping} and --cluster flags are mutually exclusive`;
    if (flags.text('discovery-srv') !== '') {
      return `${skipping} and --discovery-srv flags are mutually exclusive`;
    }
  }
  const threshold = flags.number('disalarm-threshold');
  if (flags.bool('auto-disalarm') && !(threshold > 0 && threshold < 1)) {
    return '--disalarm-threshold must be greater than 0 and less than 1.0 when --auto-disalarm is enabled';
  }
  // A share of nothing, or of less, is no share.
  return flags.number('etcd-storage-quota-bytes') > 0 ? null : '--etcd-storage-quota must be greater than 0';
}

/** Throws `RuleError`. */
export function ruleOf(flags: FlagValues): Rule {
  return new Rule(flags.text('defrag-rule'));
}
