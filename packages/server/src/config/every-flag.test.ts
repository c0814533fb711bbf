import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentName, type FlagKind, type FlagSpec } from './flag-spec.ts';
import { flagSupport } from './flag-support.ts';
import { FLAG_TABLE } from './flag-table.ts';
import { configLogFields, loadConfig } from './load-config.ts';
import { config, refusal, startsWith, world } from './testing/starts.ts';

type Sample = readonly [
  name: string,
  text: string,
  field: string,
  value: unknown,
  with_?: Readonly<Record<string, string>>,
];

const SUITE = 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256';
const CLIENT_FILES = { 'cert-file': '/c.pem', 'key-file': '/c.key' };
const REGISTRY = { 'discovery-token': 'x', 'discovery-endpoints': 'x:1' };
const TRACED = { 'enable-distributed-tracing': 'true' };
const BACKED_UP = { 'backup-store': '/b', 'backup-unencrypted': 'true' };
const PEER_FILES = { 'peer-cert-file': '/p.pem', 'peer-key-file': '/p.key' };

const ROTATION = {
  maxSizeMegabytes: 100,
  maxAgeDays: 0,
  maxBackups: 0,
  isLocalTime: false,
  isCompressed: false,
};

/** For every flag that acts a value that is not its default, and the field of the configuration that it comes to. */
const SAMPLES: readonly Sample[] = [
  ['name', 'm1', 'name', 'm1'],
  ['data-dir', '/d', 'dataDir', '/d'],
  ['wal-dir', '/w', 'walDir', '/w'],
  ['snapshot-count', '77', 'snapshotCount', 77],
  ['heartbeat-interval', '50', 'heartbeatIntervalMs', 50],
  ['election-timeout', '2000', 'electionTimeoutMs', 2000],
  ['initial-election-tick-advance', 'false', 'initialElectionTickAdvance', false],
  ['listen-peer-urls', 'http://127.0.0.1:1', 'listenPeerUrls', ['http://127.0.0.1:1']],
  [
    'listen-client-urls',
    'http://127.0.0.1:2,http://127.0.0.1:1',
    'listenClientUrls',
    ['http://127.0.0.1:1', 'http://127.0.0.1:2'],
    { 'advertise-client-urls': 'http://a:2' },
  ],
  ['listen-client-http-urls', 'http://127.0.0.1:3', 'listenClientHttpUrls', ['http://127.0.0.1:3']],
  ['max-snapshots', '3', 'maxSnapshots', 3],
  ['max-wals', '4', 'maxWals', 4],
  ['quota-backend-bytes', '-1', 'quotaBackendBytes', -1],
  ['backend-bbolt-freelist-type', 'array', 'backendFreelistType', 'array'],
  ['backend-batch-interval', '3s', 'backendBatchIntervalMs', 3000],
  ['backend-batch-limit', '55', 'backendBatchLimit', 55],
  ['max-txn-ops', '9', 'maxTxnOps', 9],
  ['max-request-bytes', '4096', 'maxRequestBytes', 4096],
  ['max-concurrent-streams', '12', 'maxConcurrentStreams', 12],
  ['grpc-keepalive-min-time', '1s', 'grpcKeepaliveMinTimeMs', 1000],
  ['grpc-keepalive-interval', '1m', 'grpcKeepaliveIntervalMs', 60_000],
  ['grpc-keepalive-timeout', '3s', 'grpcKeepaliveTimeoutMs', 3000],
  ['socket-reuse-port', 'true', 'socketReusePort', true],
  ['enable-grpc-gateway', 'false', 'enableGrpcGateway', false],
  ['feature-gates', 'InitialCorruptCheck=true', 'featureGates.InitialCorruptCheck', true],

  ['initial-advertise-peer-urls', 'http://a:1', 'initialAdvertisePeerUrls', ['http://a:1']],
  ['initial-cluster', 'm=http://a:1', 'initialCluster', 'm=http://a:1'],
  ['initial-cluster-state', 'existing', 'initialClusterState', 'existing'],
  ['initial-cluster-token', 't', 'initialClusterToken', 't'],
  ['advertise-client-urls', 'http://a:2', 'advertiseClientUrls', ['http://a:2']],
  ['discovery-token', 't', 'discovery.token', 't', REGISTRY],
  ['discovery-endpoints', 'b:1,a:1', 'discovery.endpoints', ['a:1', 'b:1'], REGISTRY],
  ['discovery-dial-timeout', '9s', 'discovery.dialTimeoutMs', 9000, REGISTRY],
  ['discovery-request-timeout', '9s', 'discovery.requestTimeoutMs', 9000, REGISTRY],
  ['discovery-keepalive-time', '9s', 'discovery.keepaliveTimeMs', 9000, REGISTRY],
  ['discovery-keepalive-timeout', '9s', 'discovery.keepaliveTimeoutMs', 9000, REGISTRY],
  ['discovery-insecure-transport', 'false', 'discovery.insecureTransport', false, REGISTRY],
  ['discovery-insecure-skip-tls-verify', 'true', 'discovery.insecureSkipVerify', true, REGISTRY],
  ['discovery-cert', '/d.pem', 'discovery.certFile', '/d.pem', REGISTRY],
  ['discovery-key', '/d.key', 'discovery.keyFile', '/d.key', REGISTRY],
  ['discovery-cacert', '/dca', 'discovery.caFile', '/dca', REGISTRY],
  ['discovery-user', 'u', 'discovery.username', 'u', REGISTRY],
  ['discovery-password', 'p', 'discovery.password', 'p', REGISTRY],
  ['discovery', 'http://d:1/t', 'discovery.url', 'http://d:1/t'],
  ['discovery-proxy', 'p:1', 'discovery.proxy', 'p:1', { discovery: 'http://d:1/t' }],
  ['discovery-srv', 'example.test', 'discovery.domain', 'example.test'],
  ['discovery-srv-name', 'blue', 'discovery.serviceName', 'blue', { 'discovery-srv': 'example.test' }],
  ['strict-reconfig-check', 'false', 'strictReconfigCheck', false],
  ['pre-vote', 'false', 'preVote', false],
  ['auto-compaction-retention', '5m', 'autoCompaction', { mode: 'periodic', retentionMs: 300_000 }],
  [
    'auto-compaction-mode',
    'revision',
    'autoCompaction',
    { mode: 'revision', retentionRevisions: 10 },
    { 'auto-compaction-retention': '10' },
  ],
  ['max-cluster-version', '3.6', 'maxClusterVersion', '3.6'],

  ['cert-file', '/c.pem', 'tls.client.certFile', '/c.pem', CLIENT_FILES],
  ['key-file', '/c.key', 'tls.client.keyFile', '/c.key', CLIENT_FILES],
  ['client-cert-auth', 'true', 'tls.client.clientCertAuth', true],
  ['client-cert-file', '/cc.pem', 'tls.client.clientCertFile', '/cc.pem'],
  ['client-key-file', '/cc.key', 'tls.client.clientKeyFile', '/cc.key'],
  ['client-crl-file', '/crl', 'tls.client.crlFile', '/crl'],
  ['client-cert-allowed-hostname', 'b,a', 'tls.client.allowedHostnames', ['b', 'a']],
  ['trusted-ca-file', '/ca.pem', 'tls.client.trustedCaFile', '/ca.pem'],
  ['auto-tls', 'true', 'tls.clientAuto', true],
  ['peer-cert-file', '/p.pem', 'tls.peer.certFile', '/p.pem', PEER_FILES],
  ['peer-key-file', '/p.key', 'tls.peer.keyFile', '/p.key', PEER_FILES],
  ['peer-client-cert-auth', 'true', 'tls.peer.clientCertAuth', true],
  ['peer-client-cert-file', '/pc.pem', 'tls.peer.clientCertFile', '/pc.pem'],
  ['peer-client-key-file', '/pc.key', 'tls.peer.clientKeyFile', '/pc.key'],
  ['peer-trusted-ca-file', '/pca.pem', 'tls.peer.trustedCaFile', '/pca.pem'],
  ['peer-cert-allowed-cn', 'm', 'tls.peer.allowedCommonNames', ['m']],
  ['peer-cert-allowed-hostname', 'h', 'tls.peer.allowedHostnames', ['h']],
  ['peer-auto-tls', 'true', 'tls.peerAuto', true],
  ['peer-skip-client-san-verification', 'true', 'tls.peer.checksClientSan', false],
  ['peer-crl-file', '/pcrl', 'tls.peer.crlFile', '/pcrl'],
  ['self-signed-cert-validity', '3', 'tls.selfSignedValidityYears', 3],
  ['cipher-suites', SUITE, 'tls.protocol.cipherSuites', [SUITE]],
  ['cors', 'http://b:1,http://a:1', 'cors', ['http://a:1', 'http://b:1']],
  ['host-whitelist', 'b,a,b', 'hostWhitelist', ['a', 'b']],
  ['tls-min-version', 'TLS1.3', 'tls.protocol.minVersion', 'TLS1.3'],
  ['tls-max-version', 'TLS1.2', 'tls.protocol.maxVersion', 'TLS1.2'],

  ['auth-token', 'jwt,sign-method=RS256', 'authToken', 'jwt,sign-method=RS256'],
  ['bcrypt-cost', '5', 'bcryptCost', 5],
  ['auth-min-password-length', '12', 'minPasswordLength', 12],
  ['auth-token-ttl', '60', 'authTokenTtlMs', 60_000],

  ['metrics', 'extensive', 'metrics', 'extensive'],
  ['listen-metrics-urls', 'http://127.0.0.1:9', 'listenMetricsUrls', ['http://127.0.0.1:9']],
  ['log-outputs', 'stdout,stderr,stdout', 'logOutputs', ['stderr', 'stdout']],
  ['log-level', 'debug', 'logLevel', 'debug'],
  ['log-format', 'console', 'logFormat', 'console'],
  ['enable-log-rotation', 'true', 'logRotation', ROTATION, { 'log-outputs': '/log' }],
  [
    'log-rotation-config-json',
    '{"maxsize":7}',
    'logRotation.maxSizeMegabytes',
    7,
    { 'log-outputs': '/log', 'enable-log-rotation': 'true' },
  ],
  ['enable-pprof', 'true', 'enablePprof', true],
  ['warning-unary-request-duration', '1s', 'warningUnaryRequestDurationMs', 1000],

  ['enable-distributed-tracing', 'true', 'tracing.serviceName', 'etcd'],
  ['distributed-tracing-address', 'c:1', 'tracing.address', 'c:1', TRACED],
  ['distributed-tracing-service-name', 's', 'tracing.serviceName', 's', TRACED],
  ['distributed-tracing-instance-id', 'i', 'tracing.instanceId', 'i', TRACED],
  ['distributed-tracing-sampling-rate', '7', 'tracing.samplesPerMillion', 7, TRACED],

  ['backup-store', '/b', 'backup.store', '/b', { 'backup-unencrypted': 'true' }],
  ['backup-schedule', '0 3 * * *', 'backup.schedule', '0 3 * * *', BACKED_UP],
  ['backup-recipients', 'age1a,age1b', 'backup.recipients', ['age1a', 'age1b'], { 'backup-store': '/b' }],
  ['backup-recipients-file', '/r', 'backup.recipientsFile', '/r', { 'backup-store': '/b' }],
  ['backup-passphrase-file', '/p', 'backup.passphraseFile', '/p', { 'backup-store': '/b' }],
  ['backup-unencrypted', 'true', 'backup.isUnencrypted', true, { 'backup-store': '/b' }],
  ['backup-compression', 'gzip', 'backup.compression', 'gzip', BACKED_UP],
  ['backup-keep-last', '3', 'backup.retention.last', 3, BACKED_UP],
  ['backup-keep-within', '2h', 'backup.retention.withinMs', 7_200_000, BACKED_UP],
  ['backup-keep-hourly', '4', 'backup.retention.hourly', 4, BACKED_UP],
  ['backup-keep-daily', '5', 'backup.retention.daily', 5, BACKED_UP],
  ['backup-keep-weekly', '6', 'backup.retention.weekly', 6, BACKED_UP],
  ['backup-keep-monthly', '7', 'backup.retention.monthly', 7, BACKED_UP],
  ['backup-max-age', '8h', 'backup.maxAgeMs', 28_800_000, BACKED_UP],
  ['backup-changes-interval', '2s', 'backup.changesIntervalMs', 2000, BACKED_UP],
  ['auto-defrag-rule', 'dbSize > 9', 'autoDefrag.ruleText', 'dbSize > 9'],
  ['auto-defrag-check-interval', '2m', 'autoDefrag.checkIntervalMs', 120_000, { 'auto-defrag-rule': 'true' }],

  ['corrupt-check-time', '1h', 'corruptCheckTimeMs', 3_600_000],
  ['compact-hash-check-time', '2m', 'compactHashCheckTimeMs', 120_000],
  ['compaction-batch-limit', '5', 'compactionBatchLimit', 5],
  ['compaction-sleep-interval', '20ms', 'compactionSleepIntervalMs', 20],
  ['watch-progress-notify-interval', '5s', 'watchProgressNotifyIntervalMs', 5000],
  ['warning-apply-duration', '1s', 'warningApplyDurationMs', 1000],
  ['bootstrap-defrag-threshold-megabytes', '2', 'bootstrapDefragThresholdBytes', 2 * 1024 ** 2],
  ['max-learners', '3', 'maxLearners', 3],
  ['downgrade-check-time', '9s', 'downgradeCheckTimeMs', 9000],
  ['snapshot-catchup-entries', '6', 'snapshotCatchUpEntries', 6],

  ['force-new-cluster', 'true', 'forceNewCluster', true],
  ['unsafe-no-fsync', 'true', 'unsafeNoFsync', true],
  ['memory-mlock', 'true', 'memoryMlock', true],
];

/** `--logger` has one value only; the others are asked for before there is a configuration. */
const WITHOUT_FIELD = new Set(['logger', 'config-file', 'version', 'check-config', 'discovery-fallback']);

/** A value that is not the default, of flags whose value nobody looks at. */
const OTHER_VALUE: Readonly<Partial<Record<FlagKind, string>>> = {
  duration: '9s',
  int: '7',
  origins: 'http://a:1',
  'string-set': 'a',
  'some-of': 'gone',
  'one-of': 'proxy',
  string: 'x',
};

function otherValue({ kind, defaultText }: FlagSpec): string {
  if (kind === 'bool') return defaultText === 'true' ? 'false' : 'true';
  const value = OTHER_VALUE[kind];
  assert.ok(value !== undefined, kind);
  return value;
}

function flagsThat(status: ReturnType<typeof flagSupport>['status']): FlagSpec[] {
  return [...FLAG_TABLE.values()].filter((spec) => flagSupport(spec).status === status);
}

/** A field by its path; URLs as texts. */
function fieldOf(value: unknown, path: string): unknown {
  const found = path.split('.').reduce((at, name) => (at as Record<string, unknown> | null)?.[name], value);
  const isUrl = (item: unknown): item is { text: string } =>
    typeof item === 'object' && item !== null && 'text' in item;
  return Array.isArray(found) ? found.map((item) => (isUrl(item) ? item.text : item)) : found;
}

test('every flag that acts is among the samples, with a value that is not its default', () => {
  const acting = flagsThat('acts').map(({ name }) => name);
  assert.deepEqual(
    acting.filter((name) => !WITHOUT_FIELD.has(name)).sort(),
    SAMPLES.map(([name]) => name).sort(),
  );
});

for (const source of ['argument', 'environment', 'file'] as const) {
  test(`every flag comes to its field from an ${source}, and leaves it alone when it is not given`, async () => {
    const usual = await config([]);
    let count = 0;
    for (const [name, text, field, value, others = {}] of SAMPLES) {
      const start = startsWith({ ...others, [name]: text }).find((found) => found.source === source);
      if (start === undefined) continue;
      count++;
      const found = fieldOf(await config(start.args, start.overrides), field);
      assert.deepEqual(found, value, `--${name}=${text} by ${source}`);
      assert.notDeepEqual(fieldOf(usual, field), value, `${name}: the default is another`);
    }
    const withoutKey = source === 'file' ? 2 : 0;
    assert.equal(count, SAMPLES.length - withoutKey);
  });
}

test('what has no effect is named in a warning, with the reason, wherever it is said', async () => {
  const idle = flagsThat('no-effect');
  assert.ok(idle.length > 0);
  for (const spec of idle) {
    const support = flagSupport(spec);
    assert.ok(support.status === 'no-effect');
    for (const { source, args, overrides } of startsWith({ [spec.name]: otherValue(spec) })) {
      const request = await loadConfig(args, world(overrides));
      assert.ok(request.kind === 'run', `${spec.name} by ${source}`);
      const warning = request.notices.find(({ message }) => message === 'flag has no effect');
      assert.deepEqual(warning?.fields, { flag: `--${spec.name}`, reason: support.reason });
    }
  }
});

test('flags of earlier ages are accepted with any value and change nothing', async () => {
  const usual = await config([]);
  for (const { name } of flagsThat('ignored')) {
    for (const args of [[`--${name}`], [`--${name}=x`], [`--${name}=`]]) {
      assert.deepEqual(await config(args), usual, args.join());
    }
  }
});

/** What is no value of the kind; of other kinds everything is one. */
const BAD_VALUE: Readonly<Partial<Record<FlagKind, string>>> = {
  bool: 'maybe',
  int: '1.5',
  int64: '9223372036854775808',
  uint: '-1',
  uint32: '4294967296',
  uint64: '18446744073709551616',
  duration: '5 minutes',
  urls: 'nowhere',
  origins: 'nowhere',
  'one-of': 'neither',
  'some-of': 'none',
  'feature-gates': 'NoSuchGate=true',
};

test('S19 a value that is none is refused for every flag, with exit code 2 where Go’s flags end', async () => {
  let count = 0;
  for (const { name, kind } of FLAG_TABLE.values()) {
    const bad = BAD_VALUE[kind];
    if (bad === undefined || name === 'version') continue;
    count++;
    for (const { source, args, overrides } of startsWith({ [name]: bad })) {
      const { message, code, exitCode } = await refusal(args, overrides);
      const what = `${name} by ${source}: ${message}`;
      const isUrlOfFile = source === 'file' && kind === 'urls';
      const label = { argument: `-${name}`, environment: environmentName(name), file: name }[source];
      assert.ok(message.includes(label), what);
      assert.ok(isUrlOfFile || message.includes(`value ${JSON.stringify(bad)}`), what);
      assert.equal(code, isUrlOfFile ? 'file-url' : source === 'argument' ? 'usage' : 'invalid', what);
      assert.equal(exitCode, source === 'argument' ? 2 : 1, what);
    }
  }
  assert.ok(count > 60);
});

test('every flag that is both an argument and a variable is refused, because one of them is meant', async () => {
  for (const [name, text, , , others = {}] of SAMPLES) {
    const [byArgument] = startsWith({ ...others, [name]: text });
    const variable = environmentName(name);
    const { message } = await refusal(byArgument!.args, { environment: { [variable]: text } });
    assert.match(message, new RegExp(`is shadowed by corresponding command-line flag .*: ${variable}$`));
  }
});

test('an empty variable is as good as none', async () => {
  const empty = Object.fromEntries([...FLAG_TABLE.keys()].map((name) => [environmentName(name), '']));
  assert.deepEqual(await config([], { environment: empty }), await config([]));
});

test('S09 a variable that holds a secret is named without its value', async () => {
  for (const { name, secret } of FLAG_TABLE.values()) {
    if (!secret) continue;
    const environment = {
      [environmentName(name)]: 'hunter2',
      ETCD_DISCOVERY_TOKEN: 'x',
      ETCD_DISCOVERY_ENDPOINTS: 'x:1',
    };
    const request = await loadConfig([], world({ environment }));
    assert.ok(request.kind === 'run');
    const told = JSON.stringify([request.notices, configLogFields(request.config)]);
    assert.ok(!told.includes('hunter2'), name);
    assert.ok(told.includes(environmentName(name)));
  }
});
