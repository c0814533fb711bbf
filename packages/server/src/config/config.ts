/**
 * The settings of a member after flags, environment or file have been read, defaults filled in and everything checked.
 * Field names are the flags' names; a unit stands last in the name; a URL list is sorted and free of duplicates.
 */

import type { EtcdUrl } from '@etcd/base';
import type { LogLevelName, LogRotation } from '@etcd/host/logging';
import type { AutoDefrag, BackupConfig } from './backup-config.ts';
import type { MaxClusterVersion } from './cluster-version-limit.ts';
import type { DiscoveryConfig } from './discovery-config.ts';
import type { FeatureGates } from './feature-gates.ts';
import type { TlsConfig } from './tls-config.ts';

export type InitialClusterState = 'new' | 'existing';
export type LogFormat = 'json' | 'console';
export type MetricsDetail = 'basic' | 'extensive';
export type FreelistType = 'array' | 'map';

/** Which history compaction leaves, and how often it looks; null on a member that never compacts by itself. */
export type AutoCompaction =
  | { readonly mode: 'periodic'; readonly retentionMs: number }
  | { readonly mode: 'revision'; readonly retentionRevisions: number };

export interface Config {
  readonly name: string;
  readonly dataDir: string;
  /** Empty: `<dataDir>/member/wal`. */
  readonly walDir: string;

  readonly listenPeerUrls: readonly EtcdUrl[];
  readonly listenClientUrls: readonly EtcdUrl[];
  /** Not empty: HTTP is served here and not on {@link listenClientUrls}. */
  readonly listenClientHttpUrls: readonly EtcdUrl[];
  readonly listenMetricsUrls: readonly EtcdUrl[];
  readonly initialAdvertisePeerUrls: readonly EtcdUrl[];
  readonly advertiseClientUrls: readonly EtcdUrl[];
  readonly socketReusePort: boolean;
  readonly tls: TlsConfig;

  /** Text for `parseInitialCluster`; looked at only by a member without a log. */
  readonly initialCluster: string;
  /** How a member without a log finds its cluster instead; null: {@link initialCluster} says it. */
  readonly discovery: DiscoveryConfig | null;
  readonly initialClusterState: InitialClusterState;
  readonly initialClusterToken: string;
  /** `ETCD_VERIFY`: the member checks its data at its start and at its end. */
  readonly verify: boolean;
  /** `--force-new-cluster`: go on alone with the data of a member of a cluster that is lost. */
  readonly forceNewCluster: boolean;
  readonly strictReconfigCheck: boolean;
  readonly maxLearners: number;
  readonly maxClusterVersion: MaxClusterVersion;

  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly initialElectionTickAdvance: boolean;
  readonly preVote: boolean;
  readonly raftReadTimeoutMs: number;
  readonly raftWriteTimeoutMs: number;

  readonly snapshotCount: number;
  readonly snapshotCatchUpEntries: number;
  /** Free space in the database from which on it is made shorter at start; 0: never. */
  readonly bootstrapDefragThresholdBytes: number;
  /** 0: keep all. */
  readonly maxSnapshots: number;
  /** 0: keep all. */
  readonly maxWals: number;
  readonly unsafeNoFsync: boolean;
  /** Whether the member may only run where its memory can't be swapped out. */
  readonly memoryMlock: boolean;

  /** Negative: no quota. Never 0. */
  readonly quotaBackendBytes: number;
  readonly backendBatchIntervalMs: number;
  readonly backendBatchLimit: number;
  readonly backendFreelistType: FreelistType;
  readonly autoCompaction: AutoCompaction | null;
  readonly compactionBatchLimit: number;
  readonly compactionSleepIntervalMs: number;

  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly maxConcurrentStreams: number;
  /** 0: clients may ping as often as they like. */
  readonly grpcKeepaliveMinTimeMs: number;
  /** 0: silent clients are not pinged. */
  readonly grpcKeepaliveIntervalMs: number;
  readonly grpcKeepaliveTimeoutMs: number;
  readonly watchProgressNotifyIntervalMs: number;
  readonly warningApplyDurationMs: number;
  readonly warningUnaryRequestDurationMs: number;

  /** 0: never. */
  readonly corruptCheckTimeMs: number;
  readonly compactHashCheckTimeMs: number;
  readonly downgradeCheckTimeMs: number;
  readonly featureGates: FeatureGates;

  /** `simple`, `jwt,<options>`, or empty: nobody gets a token. */
  readonly authToken: string;
  readonly authTokenTtlMs: number;
  readonly bcryptCost: number;
  /** Of a new password, in characters. */
  readonly minPasswordLength: number;

  /** `['*']`: all. */
  readonly cors: readonly string[];
  readonly hostWhitelist: readonly string[];
  readonly enableGrpcGateway: boolean;

  readonly metrics: MetricsDetail;
  readonly logLevel: LogLevelName;
  readonly logFormat: LogFormat;
  /** Never empty. */
  readonly logOutputs: readonly string[];
  /** Of the one file among {@link logOutputs}; null: it grows. */
  readonly logRotation: LogRotation | null;
  /** Whether the pages under `/debug/pprof/` are served. */
  readonly enablePprof: boolean;
  /** Null: requests are not traced. */
  readonly tracing: TracingConfig | null;

  /** Null: the cluster does not back itself up. */
  readonly backup: BackupConfig | null;
  /** Null: the database is defragmented when somebody asks for it. */
  readonly autoDefrag: AutoDefrag | null;
}

/** Where traces go, and of how many requests. */
export interface TracingConfig {
  /** Of the collector, `host:port`. */
  readonly address: string;
  readonly serviceName: string;
  /** Empty: none is told. */
  readonly instanceId: string;
  /** Of a million requests that come without a decision; from 0 to {@link MAX_SAMPLES_PER_MILLION}. */
  readonly samplesPerMillion: number;
}

export const MAX_SAMPLES_PER_MILLION = 1_000_000;

/** Heartbeats in an election timeout, rounded down as etcd does. */
export function electionTicks(config: Pick<Config, 'electionTimeoutMs' | 'heartbeatIntervalMs'>): number {
  return Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs);
}

/** How long a request may wait: 5 s for queue, disk and computing, and two elections. */
export function requestTimeoutMs(config: Pick<Config, 'electionTimeoutMs' | 'heartbeatIntervalMs'>): number {
  return 5000 + 2 * electionTicks(config) * config.heartbeatIntervalMs;
}
