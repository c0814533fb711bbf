/**
 * Every flag of `etcd`, in the order in which `--help` lists them: those of etcd 3.7, and our own at the end of their
 * sections. What this implementation does with each is in `flag-support.ts`.
 */
import { MAX_CLUSTER_VERSION_VALUES } from './cluster-version-limit.ts';
import type { FlagKind, FlagSection, FlagSpec } from './flag-spec.ts';

interface Extra {
  /** Where it is not the flag's name. */
  readonly configKey?: string | null;
  readonly values?: readonly string[];
  readonly secret?: boolean;
  readonly lastRelease?: string;
}

type Row = readonly [name: string, kind: FlagKind, defaultText: string, help: string, extra?: Extra];

const CLIENT_TLS = 'client-transport-security';
const PEER_TLS = 'peer-transport-security';
const DISCOVERY = 'discovery-config.client';

const MEMBER: readonly Row[] = [
  ['name', 'string', 'default', 'Name of this member, for people and for --initial-cluster.'],
  ['data-dir', 'string', '', "Directory that holds everything this member keeps. Empty: '<name>.etcd'."],
  ['wal-dir', 'string', '', 'Separate directory for the write-ahead log. Empty: inside the data directory.'],
  ['snapshot-count', 'uint64', '10000', 'Applied entries after which a raft snapshot is taken.'],
  ['heartbeat-interval', 'uint', '100', 'Milliseconds between heartbeats of a leader.'],
  [
    'election-timeout',
    'uint',
    '1000',
    'Milliseconds without a leader until an election. At least 5 heartbeats.',
  ],
  [
    'initial-election-tick-advance',
    'bool',
    'true',
    'Start close to the first election instead of a whole timeout away.',
  ],
  ['listen-peer-urls', 'urls', 'http://localhost:2380', 'URLs to listen on for other members.'],
  [
    'listen-client-urls',
    'urls',
    'http://localhost:2379',
    'URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is given.',
  ],
  [
    'listen-client-http-urls',
    'urls',
    '',
    'URLs to listen on for HTTP clients only. Takes HTTP away from --listen-client-urls.',
  ],
  ['max-snapshots', 'uint', '5', 'Raft snapshot files to keep (0: all). Deprecated by etcd 3.6.'],
  ['max-wals', 'uint', '5', 'Log segments to keep (0: all).'],
  ['memory-mlock', 'bool', 'false', 'Run only where no page of the member can be swapped out.'],
  [
    'quota-backend-bytes',
    'int64',
    '0',
    'Size of the database at which writes are refused (0: 2 GiB, negative: never).',
  ],
  [
    'backend-bbolt-freelist-type',
    'string',
    '',
    "How free pages of the database are kept in memory: 'array', or 'map' for anything else.",
  ],
  [
    'backend-batch-interval',
    'duration',
    '0s',
    'Longest time between two commits of the database (0: 100ms).',
  ],
  ['backend-batch-limit', 'int', '0', 'Most operations between two commits of the database (0: 10000).'],
  ['max-txn-ops', 'uint', '128', 'Most operations in one transaction.'],
  ['max-request-bytes', 'uint', '1572864', 'Largest request of a client, in bytes.'],
  [
    'max-concurrent-streams',
    'uint32',
    '4294967295',
    'Most streams that one client connection may have open.',
  ],
  ['grpc-keepalive-min-time', 'duration', '5s', 'Shortest interval at which a client may ping.'],
  [
    'grpc-keepalive-interval',
    'duration',
    '2h0m0s',
    'Interval at which a silent client is pinged (0: never).',
  ],
  [
    'grpc-keepalive-timeout',
    'duration',
    '20s',
    'Time for the answer to a ping before the connection is closed (0: no ping).',
  ],
  [
    'socket-reuse-port',
    'bool',
    'false',
    'Listen with SO_REUSEPORT.',
    { configKey: 'socket-options.reuse-port' },
  ],
  [
    'socket-reuse-address',
    'bool',
    'false',
    'Listen with SO_REUSEADDR.',
    { configKey: 'socket-options.reuse-address' },
  ],
  ['enable-grpc-gateway', 'bool', 'true', 'Serve the JSON form of the gRPC API.'],
  [
    'raft-read-timeout',
    'duration',
    '5s',
    'Read timeout of connections to members; at least 5s.',
    { configKey: null },
  ],
  [
    'raft-write-timeout',
    'duration',
    '5s',
    'Write timeout of connections to members; at least 5s.',
    { configKey: null },
  ],
  [
    'feature-gates',
    'feature-gates',
    '',
    "Switches of young features: 'Name=true,Other=false'. Names are in docs/flags.md.",
  ],
];

const CLUSTERING: readonly Row[] = [
  [
    'initial-advertise-peer-urls',
    'urls',
    'http://localhost:2380',
    'Peer URLs of this member as the others reach them.',
  ],
  [
    'initial-cluster',
    'string',
    'default=http://localhost:2380',
    "The members of a new cluster: 'name=url,name=url'.",
  ],
  [
    'initial-cluster-state',
    'one-of',
    'new',
    "'new' to found a cluster, 'existing' to join one. Has no effect on a member that has a log.",
    { values: ['new', 'existing'] },
  ],
  [
    'initial-cluster-token',
    'string',
    'etcd-cluster',
    'Goes into the ids of cluster and members: different tokens keep clusters apart.',
  ],
  [
    'advertise-client-urls',
    'urls',
    'http://localhost:2379',
    'Client URLs of this member as clients reach them. Required with --listen-client-urls.',
  ],
  [
    'discovery-token',
    'string',
    '',
    'Token of the discovery service.',
    { configKey: 'discovery-config.token' },
  ],
  [
    'discovery-endpoints',
    'string-set',
    '',
    'Endpoints of the discovery service.',
    { configKey: `${DISCOVERY}.endpoints` },
  ],
  [
    'discovery-dial-timeout',
    'duration',
    '2s',
    'Dial timeout towards the discovery service.',
    { configKey: `${DISCOVERY}.dial-timeout` },
  ],
  [
    'discovery-request-timeout',
    'duration',
    '5s',
    'Timeout of a request to the discovery service.',
    { configKey: `${DISCOVERY}.request-timeout` },
  ],
  [
    'discovery-keepalive-time',
    'duration',
    '2s',
    'Keepalive interval towards the discovery service.',
    { configKey: `${DISCOVERY}.keepalive-time` },
  ],
  [
    'discovery-keepalive-timeout',
    'duration',
    '6s',
    'Keepalive timeout towards the discovery service.',
    { configKey: `${DISCOVERY}.keepalive-timeout` },
  ],
  [
    'discovery-insecure-transport',
    'bool',
    'true',
    'Talk to the discovery service without TLS.',
    { configKey: `${DISCOVERY}.secure.insecure-transport` },
  ],
  [
    'discovery-insecure-skip-tls-verify',
    'bool',
    'false',
    'Accept any certificate of the discovery service.',
    { configKey: `${DISCOVERY}.secure.insecure-skip-tls-verify` },
  ],
  [
    'discovery-cert',
    'string',
    '',
    'Client certificate for the discovery service.',
    { configKey: `${DISCOVERY}.secure.cert` },
  ],
  [
    'discovery-key',
    'string',
    '',
    'Key of the client certificate for the discovery service.',
    { configKey: `${DISCOVERY}.secure.key` },
  ],
  [
    'discovery-cacert',
    'string',
    '',
    'CA bundle that verifies the discovery service.',
    { configKey: `${DISCOVERY}.secure.cacert` },
  ],
  [
    'discovery-user',
    'string',
    '',
    'User (or user:password) at the discovery service.',
    { configKey: `${DISCOVERY}.auth.username`, secret: true },
  ],
  [
    'discovery-password',
    'string',
    '',
    'Password at the discovery service.',
    { configKey: `${DISCOVERY}.auth.password`, secret: true },
  ],
  [
    'discovery-fallback',
    'one-of',
    'exit',
    "What to do when discovery fails; only 'exit' is left.",
    { configKey: null, values: ['exit', 'proxy'] },
  ],
  [
    'discovery',
    'string',
    '',
    'URL of a discovery service of the older kind (v2), with the token. A flag of etcd up to 3.6.',
    { lastRelease: '3.6' },
  ],
  [
    'discovery-proxy',
    'string',
    '',
    'HTTP proxy on the way to it. A flag of etcd up to 3.6.',
    { lastRelease: '3.6', secret: true },
  ],
  ['discovery-srv', 'string', '', 'DNS domain whose SRV records name the members.'],
  ['discovery-srv-name', 'string', '', 'Suffix of the SRV service name.'],
  ['strict-reconfig-check', 'bool', 'true', 'Refuse membership changes that would cost the quorum.'],
  [
    'pre-vote',
    'bool',
    'true',
    'Ask before an election whether it can be won, so that a returning member disturbs nobody.',
  ],
  [
    'auto-compaction-retention',
    'string',
    '0',
    "History to keep: hours or a duration ('5m') in periodic mode, a number of revisions in revision mode. 0: keep all.",
  ],
  [
    'auto-compaction-mode',
    'string',
    'periodic',
    "'periodic' or 'revision'.",
    { values: ['periodic', 'revision'] },
  ],
  [
    'max-cluster-version',
    'one-of',
    'keep',
    "Version up to which this member, as leader, raises its cluster. 'keep' never raises it, so that releases of that version can still open the data; a new cluster starts at the version of its members.",
    { values: MAX_CLUSTER_VERSION_VALUES },
  ],
  [
    'v2-deprecation',
    'some-of',
    'write-only',
    'Stage of the removal of the v2 store; any value has the effect of the default.',
    { values: ['write-only', 'write-only-skip-check', 'write-only-drop-data', 'gone'] },
  ],
];

const SECURITY: readonly Row[] = [
  [
    'cert-file',
    'string',
    '',
    'Certificate of the client listeners.',
    { configKey: `${CLIENT_TLS}.cert-file` },
  ],
  ['key-file', 'string', '', 'Key of the client listeners.', { configKey: `${CLIENT_TLS}.key-file` }],
  [
    'client-cert-auth',
    'bool',
    'false',
    'Demand certificates of clients.',
    { configKey: `${CLIENT_TLS}.client-cert-auth` },
  ],
  [
    'client-cert-file',
    'string',
    '',
    'Certificate used towards client listeners instead of --cert-file.',
    { configKey: `${CLIENT_TLS}.client-cert-file` },
  ],
  [
    'client-key-file',
    'string',
    '',
    'Key used towards client listeners instead of --key-file.',
    { configKey: `${CLIENT_TLS}.client-key-file` },
  ],
  ['client-crl-file', 'string', '', 'Revocation list for certificates of clients.', { configKey: null }],
  [
    'client-cert-allowed-hostname',
    'strings',
    '',
    'Host names allowed in certificates of clients.',
    { configKey: `${CLIENT_TLS}.allowed-hostname` },
  ],
  [
    'trusted-ca-file',
    'string',
    '',
    'CA bundle for certificates of clients.',
    { configKey: `${CLIENT_TLS}.trusted-ca-file` },
  ],
  [
    'auto-tls',
    'bool',
    'false',
    'Client TLS with certificates made at start.',
    { configKey: `${CLIENT_TLS}.auto-tls` },
  ],
  [
    'peer-cert-file',
    'string',
    '',
    'Certificate of the peer listeners.',
    { configKey: `${PEER_TLS}.cert-file` },
  ],
  ['peer-key-file', 'string', '', 'Key of the peer listeners.', { configKey: `${PEER_TLS}.key-file` }],
  [
    'peer-client-cert-auth',
    'bool',
    'false',
    'Demand certificates of members.',
    { configKey: `${PEER_TLS}.client-cert-auth` },
  ],
  [
    'peer-client-cert-file',
    'string',
    '',
    'Certificate used towards members instead of --peer-cert-file.',
    { configKey: `${PEER_TLS}.client-cert-file` },
  ],
  [
    'peer-client-key-file',
    'string',
    '',
    'Key used towards members instead of --peer-key-file.',
    { configKey: `${PEER_TLS}.client-key-file` },
  ],
  [
    'peer-trusted-ca-file',
    'string',
    '',
    'CA bundle for certificates of members.',
    { configKey: `${PEER_TLS}.trusted-ca-file` },
  ],
  [
    'peer-cert-allowed-cn',
    'strings',
    '',
    'Common names allowed in certificates of members.',
    { configKey: `${PEER_TLS}.allowed-cn` },
  ],
  [
    'peer-cert-allowed-hostname',
    'strings',
    '',
    'Host names allowed in certificates of members.',
    { configKey: `${PEER_TLS}.allowed-hostname` },
  ],
  [
    'peer-auto-tls',
    'bool',
    'false',
    'Peer TLS with certificates made at start.',
    { configKey: `${PEER_TLS}.auto-tls` },
  ],
  [
    'peer-skip-client-san-verification',
    'bool',
    'false',
    'Do not compare host names in certificates of members.',
    { configKey: `${PEER_TLS}.skip-client-san-verification` },
  ],
  ['peer-crl-file', 'string', '', 'Revocation list for certificates of members.', { configKey: null }],
  ['self-signed-cert-validity', 'uint', '1', 'Years for which certificates made at start are valid.'],
  ['cipher-suites', 'strings', '', 'TLS cipher suites to offer, by name.'],
  ['cors', 'origins', '*', 'Origins that may read answers across origins (empty or *: all).'],
  ['host-whitelist', 'string-set', '*', 'Host headers accepted from plain HTTP clients (empty or *: all).'],
  ['tls-min-version', 'string', 'TLS1.2', "Lowest TLS version: 'TLS1.2' or 'TLS1.3'."],
  ['tls-max-version', 'string', '', "Highest TLS version: 'TLS1.2', 'TLS1.3', or empty for the newest."],
];

const AUTH: readonly Row[] = [
  ['auth-token', 'string', 'simple', "Kind of auth tokens: 'simple' or 'jwt,<options>'."],
  ['bcrypt-cost', 'uint', '10', 'Cost factor of the password hash.'],
  ['auth-token-ttl', 'uint', '300', 'Lifetime of a simple token in seconds.'],
  [
    'auth-min-password-length',
    'uint',
    '0',
    'Characters that a new password must have; a hash that a client sends is taken as it is.',
  ],
];

const MONITORING: readonly Row[] = [
  ['enable-pprof', 'bool', 'false', 'Serve profiles over HTTP.'],
  ['metrics', 'string', 'basic', "'extensive' adds latency histograms of every RPC."],
  ['listen-metrics-urls', 'urls', '', 'Further URLs to listen on for /metrics and /health.'],
];

const LOGGING: readonly Row[] = [
  ['logger', 'string', 'zap', "Only 'zap', which names the shape of the lines."],
  [
    'log-outputs',
    'string-set',
    'default',
    "Where lines go: 'default' (stderr), 'stderr', 'stdout', 'systemd/journal', or files.",
  ],
  [
    'log-level',
    'string',
    'info',
    'Lowest level that is logged: debug, info, warn, error, dpanic, panic or fatal.',
  ],
  ['log-format', 'string', 'json', "'json' or 'console'."],
  ['enable-log-rotation', 'bool', 'false', 'Rotate the log file.'],
  [
    'log-rotation-config-json',
    'string',
    '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
    'How the log file is rotated.',
  ],
  ['warning-unary-request-duration', 'duration', '300ms', 'Requests that take longer are logged.'],
];

const TRACING: readonly Row[] = [
  ['enable-distributed-tracing', 'bool', 'false', 'Send OpenTelemetry traces.'],
  ['distributed-tracing-address', 'string', 'localhost:4317', 'Address of the trace collector.'],
  ['distributed-tracing-service-name', 'string', 'etcd', 'Service name in traces.'],
  ['distributed-tracing-instance-id', 'string', '', 'Instance id in traces.'],
  ['distributed-tracing-sampling-rate', 'int', '0', 'Samples per million spans.'],
];

const BACKUP: readonly Row[] = [
  [
    'backup-store',
    'string',
    '',
    'Where the cluster backs itself up to: a directory, or s3://BUCKET/PREFIX. Empty: it does not.',
  ],
  [
    'backup-schedule',
    'string',
    '1h',
    "When: an interval ('6h'), or a cron expression in UTC ('15 */6 * * *').",
  ],
  ['backup-recipients', 'strings', '', 'For whom backups are encrypted (age1…).'],
  ['backup-recipients-file', 'string', '', 'File with recipients, one a line.'],
  ['backup-passphrase-file', 'string', '', 'File with a passphrase instead of recipients.'],
  ['backup-unencrypted', 'bool', 'false', 'Backups are for everybody to read.'],
  [
    'backup-compression',
    'one-of',
    'zstd',
    'How backups are compressed.',
    { values: ['zstd', 'gzip', 'none'] },
  ],
  ['backup-keep-last', 'uint', '0', 'So many backups stay. Without any --backup-keep-… all do.'],
  ['backup-keep-within', 'duration', '0s', 'Backups of this last time stay.'],
  ['backup-keep-hourly', 'uint', '0', 'The newest of each of so many hours stays.'],
  ['backup-keep-daily', 'uint', '0', 'The newest of each of so many days stays.'],
  ['backup-keep-weekly', 'uint', '0', 'The newest of each of so many weeks stays.'],
  ['backup-keep-monthly', 'uint', '0', 'The newest of each of so many months stays.'],
  [
    'backup-max-age',
    'duration',
    '0s',
    'A newest backup that is older is warned about (0: twice the time from one backup to the next).',
  ],
  [
    'backup-changes-interval',
    'duration',
    '0s',
    'How often what has changed since the last backup goes to the store, for restores to any moment (0: never).',
  ],
  [
    'auto-defrag-rule',
    'string',
    '',
    "When the database is made shorter while the member serves, as a rule of etcd-defrag ('dbSizeFree > 200*1024*1024'). Empty: never.",
  ],
  ['auto-defrag-check-interval', 'duration', '1m0s', 'How often that rule is looked at.'],
];

const FEATURES: readonly Row[] = [
  ['corrupt-check-time', 'duration', '0s', 'Interval at which members compare their data (0: never).'],
  [
    'compact-hash-check-time',
    'duration',
    '1m0s',
    'Interval at which the leader compares the hashes of compactions.',
  ],
  ['compaction-batch-limit', 'int', '0', 'Most revisions deleted in one step of a compaction (0: 1000).'],
  ['compaction-sleep-interval', 'duration', '0s', 'Pause between two steps of a compaction (0: 10ms).'],
  [
    'watch-progress-notify-interval',
    'duration',
    '0s',
    'Interval of progress notifications to watchers that ask for them (0: 10m).',
  ],
  ['warning-apply-duration', 'duration', '100ms', 'Entries that take longer to apply are logged.'],
  [
    'bootstrap-defrag-threshold-megabytes',
    'uint',
    '0',
    'Defragment at start when that frees as many megabytes (0: never).',
  ],
  ['max-learners', 'int', '1', 'Most learners in the cluster.'],
  ['downgrade-check-time', 'duration', '5s', 'Interval at which the state of a downgrade is checked.'],
  ['snapshot-catchup-entries', 'uint64', '5000', 'Entries kept for slow members after a raft snapshot.'],
];

const UNSAFE: readonly Row[] = [
  ['force-new-cluster', 'bool', 'false', 'Make this member a cluster of its own.'],
  [
    'unsafe-no-fsync',
    'bool',
    'false',
    'Never wait for the disk. A crash of the machine loses acknowledged writes.',
  ],
];

const OTHER: readonly Row[] = [
  [
    'config-file',
    'string',
    '',
    'YAML or JSON file with the configuration; flags and environment are then ignored.',
    { configKey: null },
  ],
  [
    'check-config',
    'bool',
    'false',
    'Check flags, environment or file, and certificates; print what is wrong, and start nothing.',
    { configKey: null },
  ],
  ['version', 'bool', 'false', 'Print the version and exit.', { configKey: null }],
];

const IGNORED_NAMES = [
  'cluster-active-size',
  'cluster-remove-delay',
  'cluster-sync-interval',
  'config',
  'force',
  'max-result-buffer',
  'max-retry-attempts',
  'peer-election-timeout',
  'peer-heartbeat-interval',
  'retry-interval',
  'snapshot',
  'test.coverprofile',
  'test.outputdir',
  'v',
  'vv',
] as const;

const IGNORED: readonly Row[] = IGNORED_NAMES.map((name) => [name, 'ignored', '', '', { configKey: null }]);

const ROWS_BY_SECTION: readonly (readonly [FlagSection, readonly Row[]])[] = [
  ['member', MEMBER],
  ['clustering', CLUSTERING],
  ['security', SECURITY],
  ['auth', AUTH],
  ['monitoring', MONITORING],
  ['logging', LOGGING],
  ['tracing', TRACING],
  ['backup', BACKUP],
  ['features', FEATURES],
  ['unsafe', UNSAFE],
  ['other', OTHER],
  ['ignored', IGNORED],
];

/** Every flag by its name. */
export const FLAG_TABLE: ReadonlyMap<string, FlagSpec> = new Map(
  ROWS_BY_SECTION.flatMap(([section, rows]) => rows.map((row) => [row[0], flagSpec(section, row)] as const)),
);

function flagSpec(section: FlagSection, [name, kind, defaultText, help, extra = {}]: Row): FlagSpec {
  const configKey = extra.configKey === undefined ? name : extra.configKey;
  const { values = [], secret = false, lastRelease = null } = extra;
  return { name, kind, defaultText, section, help, configKey, values, secret, lastRelease };
}

/** What only a file can say, as in etcd; the names are the keys. */
const FILE_ROWS: readonly (readonly [FlagSection, Row])[] = [
  [
    'clustering',
    [`${DISCOVERY}.secure.server-name`, 'string', '', 'Name in the certificate of the discovery service.'],
  ],
  [
    'clustering',
    [`${DISCOVERY}.auth.token`, 'string', '', 'Token for the discovery service.', { secret: true }],
  ],
  ['clustering', [`${DISCOVERY}.max-request-bytes`, 'int', '0', 'Largest request to it (0: 2 MiB).']],
  ['clustering', [`${DISCOVERY}.max-recv-bytes`, 'int', '0', 'Largest answer of it (0: 2 GiB).']],
  [
    'security',
    [`${CLIENT_TLS}.allowed-cn`, 'strings', '', 'Common names allowed in certificates of clients.'],
  ],
  [
    'security',
    [`${CLIENT_TLS}.skip-client-san-verification`, 'bool', 'false', 'Do not compare host names of clients.'],
  ],
];

/** Settings without a flag, by their key in a file. */
export const FILE_SETTINGS: ReadonlyMap<string, FlagSpec> = new Map(
  FILE_ROWS.map(([section, row]) => [row[0], flagSpec(section, row)]),
);

/** A flag, or a setting of a file. */
export function settingSpec(name: string): FlagSpec | undefined {
  return FLAG_TABLE.get(name) ?? FILE_SETTINGS.get(name);
}
