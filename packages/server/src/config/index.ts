/**
 * The configuration of a member: what may be said on the command line, in the environment and in a configuration file,
 * what it means, and what is refused.
 *
 * {@link loadConfig} turns a start's arguments into a {@link Config} or into what to print instead; it does no I/O but
 * through its {@link StartWorld}. The one place that lists every flag is `flag-table.ts`; what this implementation does
 * with each, and why, is `flag-support.ts`; spellings of older releases are `legacy-flags.ts`. `docs/flags.md` is written from
 * these tables by `node packages/server/src/config/flags-document.ts`.
 *
 * A {@link Config} is complete and checked: there are no absent values, zeros that mean "default" are replaced, and
 * durations are milliseconds. What only matters to a member without a log — the initial cluster — is a text until
 * {@link parseInitialCluster}, {@link bootstrapProblem} and {@link joinProblem} are asked about it.
 */

export type { AutoDefrag, BackupConfig, BackupRetention } from './backup-config.ts';
export type { Notice } from './build-config.ts';
export {
  type ClusterVersion,
  compareClusterVersions,
  type MaxClusterVersion,
  newClusterVersion,
  raisedClusterVersion,
} from './cluster-version-limit.ts';
export {
  type AutoCompaction,
  type Config,
  electionTicks,
  requestTimeoutMs,
} from './config.ts';
export { ConfigError } from './config-error.ts';
export type { DiscoveryConfig } from './discovery-config.ts';
export { FEATURE_NAMES, FEATURES, type FeatureGates, type FeatureName } from './feature-gates.ts';
export { helpText } from './help.ts';
export { configLogFields, loadConfig, type StartRequest, type StartWorld } from './load-config.ts';
export { markdownTable } from './markdown-table.ts';
export { maskArguments } from './mask-arguments.ts';
export { MemberStartError } from './member-start-error.ts';
export { nodeResolveHost, nodeStartWorld } from './node-start-world.ts';
export {
  ETCD_VERSION,
  GIT_SHA,
  IMPLEMENTATION_NAME,
  IMPLEMENTATION_VERSION,
  MIN_CLUSTER_VERSION,
  versionText,
} from './version.ts';
