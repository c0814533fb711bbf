/**
 * From flag values to a {@link Config}: resolves the values that mean "as usual", fills in what depends on other
 * flags, and checks everything that can be checked without touching the machine. Refusals come in etcd's order and words;
 * those that etcd lacks (it starts with such a value and then misbehaves) have words of our own.
 */
import { isIP } from 'node:net';
import { assert, type EtcdUrl, isUnixUrl, splitHostPort, urlTexts } from '@etcd/base';
import { clampToSafeNumber, formatGoDuration, parseGoDuration, parseGoInteger } from '@etcd/host/args';
import { autoDefrag, backupConfig } from './backup-config.ts';
import type { AutoCompaction, Config } from './config.ts';
import { ConfigError } from './config-error.ts';
import { buildDiscovery, registeredIdentity } from './discovery-config.ts';
import type { FlagSet } from './flag-set.ts';
import { checkObservation, observation } from './observation.ts';
import type { Problems } from './problems.ts';
import { buildTls, type TlsConfig } from './tls-config.ts';

/** A thing worth a log line, found before there is a logger. */
export interface Notice {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;
const DEFAULT_BATCH_INTERVAL_MS = 100;
const DEFAULT_BATCH_LIMIT = 10_000;
const DEFAULT_SNAPSHOT_COUNT = 10_000;
const DEFAULT_CATCH_UP_ENTRIES = 5_000;
const DEFAULT_COMPACTION_BATCH_LIMIT = 1_000;
const DEFAULT_COMPACTION_SLEEP_MS = 10;
const DEFAULT_PROGRESS_NOTIFY_MS = 600_000;
const MIN_PROGRESS_NOTIFY_MS = 100;
const DEFAULT_WARNING_UNARY_MS = 300;
const MIN_RAFT_TIMEOUT_MS = 5_000;
const MAX_ELECTION_MS = 50_000;
const MAX_CONCURRENT_STREAMS = 2 ** 32 - 1;

/** A request is one message, one log entry and one buffer; beyond this none of them is sound. */
const MAX_REQUEST_BYTES = 1024 ** 3;

/** Go's durations end here; a longer retention can't be meant. */
const MAX_RETENTION_HOURS = 2_562_047;

const MAX_PORT = 65_535;

/** Durations that are waited for: etcd starts with a negative one and then spins or panics. */
const NEVER_NEGATIVE_MS = [
  'backend-batch-interval',
  'compaction-sleep-interval',
  'corrupt-check-time',
  'discovery-dial-timeout',
  'discovery-keepalive-time',
  'discovery-keepalive-timeout',
  'discovery-request-timeout',
  'downgrade-check-time',
  'grpc-keepalive-interval',
  'grpc-keepalive-min-time',
  'grpc-keepalive-timeout',
  'warning-apply-duration',
  'warning-unary-request-duration',
  'watch-progress-notify-interval',
] as const;

const NEVER_NEGATIVE_COUNT = ['backend-batch-limit', 'compaction-batch-limit', 'max-learners'] as const;

/** `advertiseClientUrls` and `initialCluster` are those that {@link FlagSet} alone does not decide. */
export interface DerivedUrls {
  readonly advertiseClientUrls: readonly EtcdUrl[];
  readonly initialAdvertisePeerUrls: readonly EtcdUrl[];
  readonly initialCluster: string;
}

/** What flags, or a file in their place, decide. All mistakes go to `problems`; throws where there are some. */
export function buildConfig(
  flags: FlagSet,
  urls: DerivedUrls,
  notices: Notice[],
  problems: Problems,
): Omit<Config, 'verify'> {
  const { founding, autoCompaction, tls, ...upkeep } = checkedParts(flags, urls, notices, problems);
  const name = flags.string('name');
  return {
    name,
    dataDir: flags.string('data-dir') || `${name}.etcd`,
    walDir: flags.string('wal-dir'),

    listenPeerUrls: flags.urls('listen-peer-urls'),
    listenClientUrls: flags.urls('listen-client-urls'),
    listenClientHttpUrls: flags.urls('listen-client-http-urls'),
    listenMetricsUrls: flags.urls('listen-metrics-urls'),
    ...urls,
    socketReusePort: flags.bool('socket-reuse-port'),
    tls,

    ...founding,
    forceNewCluster: flags.bool('force-new-cluster'),
    strictReconfigCheck: flags.bool('strict-reconfig-check'),
    maxLearners: flags.number('max-learners'),
    maxClusterVersion: flags.string('max-cluster-version') as Config['maxClusterVersion'],

    heartbeatIntervalMs: flags.number('heartbeat-interval'),
    electionTimeoutMs: flags.number('election-timeout'),
    initialElectionTickAdvance: flags.bool('initial-election-tick-advance'),
    preVote: flags.bool('pre-vote'),
    raftReadTimeoutMs: raftTimeoutMs(flags, 'raft-read-timeout', notices),
    raftWriteTimeoutMs: raftTimeoutMs(flags, 'raft-write-timeout', notices),

    snapshotCount: flags.number('snapshot-count') || DEFAULT_SNAPSHOT_COUNT,
    bootstrapDefragThresholdBytes: flags.number('bootstrap-defrag-threshold-megabytes') * 1024 ** 2,
    snapshotCatchUpEntries: flags.number('snapshot-catchup-entries') || DEFAULT_CATCH_UP_ENTRIES,
    maxSnapshots: flags.number('max-snapshots'),
    maxWals: flags.number('max-wals'),
    unsafeNoFsync: flags.bool('unsafe-no-fsync'),
    memoryMlock: flags.bool('memory-mlock'),

    quotaBackendBytes: flags.number('quota-backend-bytes') || DEFAULT_QUOTA_BYTES,
    backendBatchIntervalMs: flags.number('backend-batch-interval') || DEFAULT_BATCH_INTERVAL_MS,
    backendBatchLimit: flags.number('backend-batch-limit') || DEFAULT_BATCH_LIMIT,
    backendFreelistType: flags.string('backend-bbolt-freelist-type') === 'array' ? 'array' : 'map',
    autoCompaction,
    compactionBatchLimit: flags.number('compaction-batch-limit') || DEFAULT_COMPACTION_BATCH_LIMIT,
    compactionSleepIntervalMs: flags.number('compaction-sleep-interval') || DEFAULT_COMPACTION_SLEEP_MS,

    maxTxnOps: flags.number('max-txn-ops'),
    maxRequestBytes: flags.number('max-request-bytes'),
    maxConcurrentStreams: flags.number('max-concurrent-streams') || MAX_CONCURRENT_STREAMS,
    ...keepalive(flags),
    watchProgressNotifyIntervalMs: progressNotifyIntervalMs(flags),
    warningApplyDurationMs: flags.number('warning-apply-duration'),
    warningUnaryRequestDurationMs: flags.number('warning-unary-request-duration') || DEFAULT_WARNING_UNARY_MS,

    corruptCheckTimeMs: flags.number('corrupt-check-time'),
    compactHashCheckTimeMs: flags.number('compact-hash-check-time'),
    downgradeCheckTimeMs: flags.number('downgrade-check-time'),
    featureGates: flags.gates('feature-gates'),

    ...accessConfig(flags),
    enableGrpcGateway: flags.bool('enable-grpc-gateway'),

    ...observation(flags),
    ...upkeep,
  };
}

interface CheckedParts extends Pick<Config, 'backup' | 'autoDefrag'> {
  readonly founding: FoundingConfig;
  readonly autoCompaction: AutoCompaction | null;
  readonly tls: TlsConfig;
}

/** All checks, in the order of etcd. */
function checkedParts(
  flags: FlagSet,
  urls: DerivedUrls,
  notices: Notice[],
  problems: Problems,
): CheckedParts {
  checkObservation(flags, problems);
  checkUrls(flags, urls, notices, problems);
  const founding = problems.attempt(() => foundingConfig(flags, urls));
  problems.attempt(() => checkTiming(flags));
  checkNumbers(flags, problems);
  const autoCompaction = problems.attempt(() => buildAutoCompaction(flags, notices));
  problems.attempt(() => checkFeatureGates(flags, notices));
  const tls = problems.attempt(() => tlsConfig(flags, notices));
  const backup = problems.attempt(() => backupConfig(flags)) ?? null;
  const defrag = problems.attempt(() => autoDefrag(flags)) ?? null;
  problems.throwIfAny();
  assert(founding !== undefined && autoCompaction !== undefined && tls !== undefined, 'config: all is well');
  return { founding, autoCompaction, tls, backup, autoDefrag: defrag };
}

type FoundingConfig = Pick<
  Config,
  'initialCluster' | 'initialClusterState' | 'initialClusterToken' | 'discovery'
>;

function foundingConfig(flags: FlagSet, urls: DerivedUrls): FoundingConfig {
  const discovery = buildDiscovery(flags, urls.initialCluster);
  return {
    initialCluster: urls.initialCluster,
    initialClusterState: flags.string('initial-cluster-state') === 'existing' ? 'existing' : 'new',
    initialClusterToken: flags.string('initial-cluster-token'),
    ...registeredIdentity(discovery, flags.string('name'), urls.initialAdvertisePeerUrls),
    discovery,
  };
}

type AccessConfig = Pick<
  Config,
  'authToken' | 'authTokenTtlMs' | 'bcryptCost' | 'cors' | 'hostWhitelist' | 'minPasswordLength'
>;

function accessConfig(flags: FlagSet): AccessConfig {
  return {
    cors: flags.strings('cors'),
    hostWhitelist: flags.strings('host-whitelist'),
    authToken: flags.string('auth-token'),
    authTokenTtlMs: flags.number('auth-token-ttl') * 1000,
    bcryptCost: flags.number('bcrypt-cost'),
    minPasswordLength: flags.number('auth-min-password-length'),
  };
}

function checkUrls(flags: FlagSet, urls: DerivedUrls, notices: Notice[], problems: Problems): void {
  const listenClient = flags.urls('listen-client-urls');
  const listenHttp = flags.urls('listen-client-http-urls');
  for (const name of LISTEN_FLAGS) problems.attempt(() => checkBindUrls(flags.urls(name)));
  if (listenHttp.length === 0) {
    notices.push({
      level: 'warn',
      message: 'Running http and grpc server on single port. This is not recommended for production.',
    });
  }
  problems.attempt(() =>
    checkAdvertised('--initial-advertise-peer-urls', urls.initialAdvertisePeerUrls, '"host:port"'),
  );
  const forms = 'in the format "host:port", "unix:/path/to/socket" or "unixs:/path/to/socket"';
  problems.attempt(() => checkAdvertised('--advertise-client-urls', urls.advertiseClientUrls, forms));
  problems.attempt(() => {
    if (urls.advertiseClientUrls.length === 0) {
      refuse('--advertise-client-urls is required when --listen-client-urls is set explicitly');
    }
  });
  const shared = listenHttp.find((url) => listenClient.some((other) => other.host === url.host));
  problems.attempt(() => {
    if (shared === undefined) return;
    refuse(
      `cannot bind both --listen-client-urls and --listen-client-http-urls on the same url ${shared.text}`,
    );
  });
}

const LISTEN_FLAGS = [
  'listen-peer-urls',
  'listen-client-urls',
  'listen-client-http-urls',
  'listen-metrics-urls',
] as const;

/** A place to listen on is an address of this machine, never a name that somebody else decides about. */
function checkBindUrls(urls: readonly EtcdUrl[]): void {
  for (const url of urls) {
    if (isUnixUrl(url)) continue;
    const { hostname, port } = splitHostPort(url.host) ?? { hostname: '', port: '' };
    if (hostname !== 'localhost' && isIP(hostname) === 0) {
      refuse(`expected IP in URL for binding (${url.text})`);
    }
    if (Number(port) > MAX_PORT) refuse(`listen tcp: address ${port}: invalid port`);
  }
}

function checkAdvertised(flag: string, urls: readonly EtcdUrl[], form: string): void {
  const nameless = urls.find((url) => !isUnixUrl(url) && url.hostname === '');
  if (nameless === undefined) return;
  const list = JSON.stringify(urlTexts(urls).join(','));
  refuse(`${flag} ${list} must be ${form} (unexpected empty host (${nameless.text}))`);
}

function tlsConfig(flags: FlagSet, notices: Notice[]): TlsConfig {
  const urls = {
    peer: flags.urls('listen-peer-urls'),
    client: flags.urls('listen-client-urls'),
    clientHttp: flags.urls('listen-client-http-urls'),
    metrics: flags.urls('listen-metrics-urls'),
  };
  return buildTls(flags, urls, (message, fields = {}) => notices.push({ level: 'warn', message, fields }));
}

function checkTiming(flags: FlagSet): void {
  const heartbeatMs = flags.number('heartbeat-interval');
  const electionMs = flags.number('election-timeout');
  if (heartbeatMs === 0) refuse('--heartbeat-interval must be >0 (set to 0ms)');
  if (electionMs === 0) refuse('--election-timeout must be >0 (set to 0ms)');
  if (5 * heartbeatMs > electionMs) {
    const rule = `should be at least as 5 times as --heartbeat-interval[${heartbeatMs}ms]`;
    refuse(`--election-timeout[${electionMs}ms] ${rule}`);
  }
  if (electionMs > MAX_ELECTION_MS) {
    const rule = `is too long, and should be set less than ${MAX_ELECTION_MS}ms`;
    refuse(`--election-timeout[${electionMs}ms] ${rule}`);
  }
}

function checkNumbers(flags: FlagSet, problems: Problems): void {
  const check = (isRight: boolean, message: () => string): void => {
    if (!isRight) problems.attempt(() => refuse(message()));
  };
  for (const name of NEVER_NEGATIVE_MS) {
    const durationMs = flags.number(name);
    check(durationMs >= 0, () => `--${name} must be >=0 (set to ${formatGoDuration(durationMs)})`);
  }
  for (const name of NEVER_NEGATIVE_COUNT) {
    const count = flags.number(name);
    check(count >= 0, () => `--${name} must be >=0 (set to ${count})`);
  }
  const hashCheckMs = flags.number('compact-hash-check-time');
  check(
    hashCheckMs > 0,
    () => `--compact-hash-check-time must be >0 (set to ${formatGoDuration(hashCheckMs)})`,
  );
  const requestBytes = flags.number('max-request-bytes');
  check(requestBytes > 0, () => '--max-request-bytes must be >0 (set to 0)');
  check(
    requestBytes <= MAX_REQUEST_BYTES,
    () => `--max-request-bytes must be at most ${MAX_REQUEST_BYTES} (set to ${requestBytes})`,
  );
}

function checkFeatureGates(flags: FlagSet, notices: Notice[]): void {
  const gates = flags.gates('feature-gates');
  if (gates.LeaseCheckpointPersist && !gates.LeaseCheckpoint) {
    refuse('enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint');
  }
  if (gates.LeaseCheckpoint && !gates.LeaseCheckpointPersist) {
    notices.push({
      level: 'warn',
      message:
        'lease checkpoints are on but not kept across restarts; see feature gate LeaseCheckpointPersist',
    });
  }
}

function buildAutoCompaction(flags: FlagSet, notices: Notice[]): AutoCompaction | null {
  const mode = flags.string('auto-compaction-mode');
  const text = flags.string('auto-compaction-retention') || '0';
  if (mode === '') refuse('undefined auto-compaction-mode');
  if (mode !== 'periodic' && mode !== 'revision') {
    refuse(`unknown auto-compaction-mode ${JSON.stringify(mode)}`);
  }
  // A plain decimal number counts hours or revisions; everything else, a negative number too, is a duration.
  const plain = /^\+?\d+$/.test(text) ? parseGoInteger(text.replace(/^\+?0*(?=\d)/, ''), 'int64') : null;
  if (plain?.value !== undefined) {
    const count = clampToSafeNumber(plain.value);
    if (count === 0) return null;
    if (mode === 'revision') return { mode, retentionRevisions: count };
    if (count > MAX_RETENTION_HOURS) {
      refuse(`error parsing CompactionRetention: ${text} hours are more than a duration can hold`);
    }
    return { mode, retentionMs: count * 3_600_000 };
  }
  const { durationMs, error } = parseGoDuration(text);
  if (error !== undefined) refuse(`error parsing CompactionRetention: ${error}`);
  if (durationMs < 0) refuse(`error parsing CompactionRetention: negative retention ${JSON.stringify(text)}`);
  if (durationMs === 0) return null;
  if (mode === 'periodic') return { mode, retentionMs: durationMs };
  notices.push({
    level: 'warn',
    message: 'a duration as --auto-compaction-retention in revision mode counts one revision per nanosecond',
    fields: { 'auto-compaction-retention': text },
  });
  return { mode, retentionRevisions: Math.min(durationMs * 1e6, Number.MAX_SAFE_INTEGER) };
}

function keepalive(
  flags: FlagSet,
): Pick<Config, 'grpcKeepaliveMinTimeMs' | 'grpcKeepaliveIntervalMs' | 'grpcKeepaliveTimeoutMs'> {
  const intervalMs = flags.number('grpc-keepalive-interval');
  const timeoutMs = flags.number('grpc-keepalive-timeout');
  const pings = intervalMs > 0 && timeoutMs > 0;
  return {
    grpcKeepaliveMinTimeMs: flags.number('grpc-keepalive-min-time'),
    grpcKeepaliveIntervalMs: pings ? intervalMs : 0,
    grpcKeepaliveTimeoutMs: pings ? timeoutMs : 0,
  };
}

function progressNotifyIntervalMs(flags: FlagSet): number {
  const intervalMs = flags.number('watch-progress-notify-interval');
  return intervalMs === 0 ? DEFAULT_PROGRESS_NOTIFY_MS : Math.max(intervalMs, MIN_PROGRESS_NOTIFY_MS);
}

function raftTimeoutMs(
  flags: FlagSet,
  name: 'raft-read-timeout' | 'raft-write-timeout',
  notices: Notice[],
): number {
  const timeoutMs = flags.number(name);
  if (timeoutMs >= MIN_RAFT_TIMEOUT_MS) return timeoutMs;
  notices.push({ level: 'info', message: `${name} increased to minimum value: 5s` });
  return MIN_RAFT_TIMEOUT_MS;
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
