/**
 * Spellings of etcd 3.4, 3.5 and 3.6 that etcd 3.7 has dropped. They keep working here, with a warning, so that this
 * program can take the place of an older etcd under an unchanged command line, environment or configuration file.
 */

import type { FeatureName } from './feature-gates.ts';
import type { FlagKind } from './flag-spec.ts';

export type LegacyFlag =
  /** Another name of a flag. */
  | { readonly means: 'flag'; readonly target: string }
  /** A boolean that has become a feature gate. */
  | { readonly means: 'gate'; readonly target: FeatureName }
  /** Gone with what it configured. Only `harmless` values (null: all) are accepted, and then do nothing. */
  | { readonly means: 'nothing'; readonly kind: FlagKind; readonly harmless: readonly string[] | null };

const gate = (target: FeatureName): LegacyFlag => ({ means: 'gate', target });
const nothing = (kind: FlagKind, harmless: readonly string[] | null): LegacyFlag => ({
  means: 'nothing',
  kind,
  harmless,
});

/** Flags whose plain name is the old one without `experimental-`. */
const STABLE_SINCE = [
  'backend-bbolt-freelist-type',
  'bootstrap-defrag-threshold-megabytes',
  'compact-hash-check-time',
  'compaction-batch-limit',
  'compaction-sleep-interval',
  'corrupt-check-time',
  'distributed-tracing-address',
  'distributed-tracing-instance-id',
  'distributed-tracing-sampling-rate',
  'distributed-tracing-service-name',
  'downgrade-check-time',
  'enable-distributed-tracing',
  'memory-mlock',
  'peer-skip-client-san-verification',
  'snapshot-catchup-entries',
  'warning-apply-duration',
  'warning-unary-request-duration',
  'watch-progress-notify-interval',
] as const;

const OFF = ['false', '0', 'f', 'F', 'FALSE', 'False'];

export const LEGACY_FLAGS: ReadonlyMap<string, LegacyFlag> = new Map<string, LegacyFlag>([
  ...STABLE_SINCE.map((target): [string, LegacyFlag] => [
    `experimental-${target}`,
    { means: 'flag', target },
  ]),

  ['experimental-compact-hash-check-enabled', gate('CompactHashCheck')],
  ['experimental-enable-lease-checkpoint', gate('LeaseCheckpoint')],
  ['experimental-enable-lease-checkpoint-persist', gate('LeaseCheckpointPersist')],
  ['experimental-initial-corrupt-check', gate('InitialCorruptCheck')],
  ['experimental-stop-grpc-service-on-defrag', gate('StopGRPCServiceOnDefrag')],
  ['experimental-txn-mode-write-with-shared-buffer', gate('TxnModeWriteWithSharedBuffer')],

  ['log-output', { means: 'flag', target: 'log-outputs' }],

  ['enable-v2', nothing('bool', OFF)],
  ['experimental-enable-v2v3', nothing('string', [''])],
  ['proxy', nothing('string', ['off'])],
  ['proxy-dial-timeout', nothing('uint', null)],
  ['proxy-failure-wait', nothing('uint', null)],
  ['proxy-read-timeout', nothing('uint', null)],
  ['proxy-refresh-interval', nothing('uint', null)],
  ['proxy-write-timeout', nothing('uint', null)],
  ['debug', nothing('bool', OFF)],
  ['log-package-levels', nothing('string', null)],
  ['next-cluster-version-compatible', nothing('bool', null)],
]);

/** What stands for the old spelling today, as `--help` and warnings name it; null when nothing does. */
export function legacyReplacement(flag: LegacyFlag): string | null {
  if (flag.means === 'flag') return `--${flag.target}`;
  return flag.means === 'gate' ? `--feature-gates=${flag.target}=…` : null;
}
