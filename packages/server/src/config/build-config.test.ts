import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from './config.ts';
import { electionTicks, requestTimeoutMs } from './config.ts';
import { markdownTable } from './markdown-table.ts';
import { maskArguments } from './mask-arguments.ts';
import { config, refusal, warnings } from './testing/starts.ts';
import { versionText } from './version.ts';

type Field = keyof Config;

test('zero means the usual where etcd says so, and nothing or never where it does not', async () => {
  const cases: readonly [string, Field, unknown][] = [
    ['--quota-backend-bytes=0', 'quotaBackendBytes', 2 * 1024 ** 3],
    ['--backend-batch-interval=0', 'backendBatchIntervalMs', 100],
    ['--backend-batch-limit=0', 'backendBatchLimit', 10_000],
    ['--compaction-batch-limit=0', 'compactionBatchLimit', 1000],
    ['--compaction-sleep-interval=0s', 'compactionSleepIntervalMs', 10],
    ['--watch-progress-notify-interval=0s', 'watchProgressNotifyIntervalMs', 600_000],
    ['--warning-unary-request-duration=0s', 'warningUnaryRequestDurationMs', 300],
    ['--warning-apply-duration=0s', 'warningApplyDurationMs', 0],
    ['--max-snapshots=0', 'maxSnapshots', 0],
    ['--max-wals=0', 'maxWals', 0],
    ['--max-txn-ops=0', 'maxTxnOps', 0],
    ['--max-learners=0', 'maxLearners', 0],
    ['--corrupt-check-time=0s', 'corruptCheckTimeMs', 0],
    ['--downgrade-check-time=0s', 'downgradeCheckTimeMs', 0],
    ['--grpc-keepalive-min-time=0s', 'grpcKeepaliveMinTimeMs', 0],
    ['--bootstrap-defrag-threshold-megabytes=0', 'bootstrapDefragThresholdBytes', 0],
    ['--data-dir=', 'dataDir', 'default.etcd'],
    ['--log-level=', 'logLevel', 'info'],
    ['--log-format=', 'logFormat', 'json'],
    ['--log-outputs=', 'logOutputs', ['default']],
    ['--auto-compaction-retention=0', 'autoCompaction', null],
  ];
  for (const [argument, field, value] of cases) {
    assert.deepEqual((await config([argument]))[field], value, argument);
  }
});

test('a ping needs an interval and a time for its answer: without one of them there is none', async () => {
  for (const args of [['--grpc-keepalive-interval=0s'], ['--grpc-keepalive-timeout=0s']]) {
    const it = await config(args);
    assert.deepEqual([it.grpcKeepaliveIntervalMs, it.grpcKeepaliveTimeoutMs], [0, 0]);
  }
  const usual = await config([]);
  assert.deepEqual([usual.grpcKeepaliveIntervalMs, usual.grpcKeepaliveTimeoutMs], [7_200_000, 20_000]);
});

test('S19 the limits of what may be set are exact', async () => {
  const cases: readonly [accepted: readonly string[], refused: readonly string[]][] = [
    [
      ['--heartbeat-interval=100', '--election-timeout=500'],
      ['--heartbeat-interval=100', '--election-timeout=499'],
    ],
    [['--election-timeout=50000'], ['--election-timeout=50001']],
    [['--max-request-bytes=1073741824'], ['--max-request-bytes=1073741825']],
    [['--max-request-bytes=1'], ['--max-request-bytes=0']],
    [['--compact-hash-check-time=1ns'], ['--compact-hash-check-time=0s']],
    [['--auto-compaction-retention=2562047'], ['--auto-compaction-retention=2562048']],
    [['--listen-peer-urls=http://127.0.0.1:65535'], ['--listen-peer-urls=http://127.0.0.1:65536']],
    [['--listen-peer-urls=http://[::1]:1'], ['--listen-peer-urls=http://example:1']],
    [['--backend-batch-limit=1'], ['--backend-batch-limit=-1']],
    [['--log-outputs=default'], ['--log-outputs=default,/x']],
    [['--log-outputs=stdout,/x'], ['--log-outputs=/x,default']],
  ];
  for (const [accepted, refused] of cases) {
    await config(accepted);
    assert.equal((await refusal(refused)).exitCode, 1, refused.join(' '));
  }
});

test('S19 no duration that is waited for may be negative', async () => {
  for (const name of [
    'backend-batch-interval',
    'compaction-sleep-interval',
    'corrupt-check-time',
    'downgrade-check-time',
    'grpc-keepalive-interval',
    'grpc-keepalive-min-time',
    'grpc-keepalive-timeout',
    'warning-apply-duration',
    'warning-unary-request-duration',
    'watch-progress-notify-interval',
  ]) {
    assert.equal((await refusal([`--${name}=-1500ms`])).message, `--${name} must be >=0 (set to -1.5s)`);
  }
});

test('a progress notification comes at most ten times a second', async () => {
  const at = async (text: string) =>
    (await config([`--watch-progress-notify-interval=${text}`])).watchProgressNotifyIntervalMs;
  assert.deepEqual([await at('1ms'), await at('100ms'), await at('101ms')], [100, 100, 101]);
});

test('retention beyond what can be counted stays the longest that can', async () => {
  const { autoCompaction } = await config([
    '--auto-compaction-mode=revision',
    '--auto-compaction-retention=9223372036854775807',
  ]);
  assert.deepEqual(autoCompaction, { mode: 'revision', retentionRevisions: Number.MAX_SAFE_INTEGER });
  const hours = await config(['--auto-compaction-retention=2562047h']);
  assert.deepEqual(hours.autoCompaction, { mode: 'periodic', retentionMs: 2_562_047 * 3_600_000 });
});

test('every level of etcd is a level, in any case', async () => {
  for (const level of ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal']) {
    assert.equal((await config([`--log-level=${level.toUpperCase()}`])).logLevel, level);
  }
});

test('a member may listen and advertise on Unix sockets, whose names need no address', async () => {
  const it = await config([
    '--listen-client-urls=unix://localhost:1',
    '--advertise-client-urls=unix://localhost:1',
    '--listen-peer-urls=unix://peer:2',
  ]);
  assert.equal(it.listenClientUrls[0]!.text, 'unix://localhost:1');
  assert.equal(it.listenPeerUrls[0]!.text, 'unix://peer:2');
});

test('what is dangerous or young is warned about, and only when it is asked for', async () => {
  const usual = await warnings([]);
  const cases: readonly [readonly string[], RegExp][] = [
    [['--unsafe-no-fsync'], /^fsync is off/],
    [['--max-request-bytes=10485761'], /^exceeded recommended request limit$/],
    [['--feature-gates=LeaseCheckpoint=true'], /^lease checkpoints are on but not kept/],
    [
      ['--auto-compaction-mode=revision', '--auto-compaction-retention=1us'],
      /counts one revision per nanosecond$/,
    ],
    [['--max-snapshots=5'], /^--max-snapshots is deprecated in 3\.6/],
  ];
  for (const [args, line] of cases) {
    assert.equal(usual.filter((message) => line.test(message)).length, 0);
    assert.equal((await warnings(args)).filter((message) => line.test(message)).length, 1, args.join());
  }
  for (const [args, line] of [
    [['--name=m1'], /^no --name given/],
    [['--data-dir=/d'], /^'data-dir' was empty/],
    [['--listen-client-http-urls=http://127.0.0.1:1'], /^Running http and grpc server on single port/],
  ] as const) {
    assert.equal(usual.filter((message) => line.test(message)).length, 1);
    assert.equal((await warnings(args)).filter((message) => line.test(message)).length, 0, args.join());
  }
});

test('an election lasts whole heartbeats, and a request may wait for two elections', () => {
  const cases: readonly [number, number, number, number][] = [
    [1000, 100, 10, 7000],
    [1050, 100, 10, 7000],
    [500, 100, 5, 6000],
    [50_000, 7, 7142, 5000 + 2 * 7142 * 7],
  ];
  for (const [electionTimeoutMs, heartbeatIntervalMs, ticks, timeoutMs] of cases) {
    assert.equal(electionTicks({ electionTimeoutMs, heartbeatIntervalMs }), ticks);
    assert.equal(requestTimeoutMs({ electionTimeoutMs, heartbeatIntervalMs }), timeoutMs);
  }
});

// --- TLS

const CLIENT_FILES = ['--cert-file=/c.pem', '--key-file=/c.key'];
const PEER_FILES = ['--peer-cert-file=/p.pem', '--peer-key-file=/p.key'];
const SECURE_CLIENT = ['--listen-client-urls=https://127.0.0.1:1', '--advertise-client-urls=https://a:1'];
const SECURE_PEER = ['--listen-peer-urls=https://127.0.0.1:2'];
const SECURE_HTTP = ['--listen-client-http-urls=https://127.0.0.1:3'];
const SECURE_METRICS = ['--listen-metrics-urls=https://127.0.0.1:4'];

test('S14 a secure listener starts with a certificate of its own side or one made at the start', async () => {
  const sides: readonly [readonly string[], readonly string[], string, readonly string[]][] = [
    [SECURE_CLIENT, CLIENT_FILES, '--auto-tls', PEER_FILES],
    [SECURE_HTTP, CLIENT_FILES, '--auto-tls', PEER_FILES],
    [SECURE_METRICS, CLIENT_FILES, '--auto-tls', PEER_FILES],
    [SECURE_PEER, PEER_FILES, '--peer-auto-tls', CLIENT_FILES],
  ];
  for (const [listener, files, auto, others] of sides) {
    await config([...listener, ...files]);
    await config([...listener, auto]);
    await refusal(listener);
    await refusal([...listener, ...others]);
  }
});

test('files come before certificates that the member would make itself', async () => {
  const { tls } = await config([...CLIENT_FILES, ...PEER_FILES, '--auto-tls', '--peer-auto-tls']);
  assert.deepEqual([tls.clientAuto, tls.peerAuto], [false, false]);
  const messages = await warnings([...CLIENT_FILES, ...PEER_FILES, '--auto-tls', '--peer-auto-tls']);
  assert.ok(messages.includes('ignoring client auto TLS since certs given'));
  assert.ok(messages.includes('ignoring peer auto TLS since certs given'));
});

test('S14 files and rules for a listener that is not secure are warned about, because somebody believes in them', async () => {
  const cases: readonly [readonly string[], string][] = [
    [CLIENT_FILES, 'scheme is HTTP while key and cert files are present; ignoring key and cert files'],
    [PEER_FILES, 'scheme is HTTP while key and cert files are present; ignoring key and cert files'],
    [
      ['--client-cert-auth'],
      'scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL',
    ],
    [
      ['--peer-client-cert-auth'],
      'scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL',
    ],
  ];
  for (const [args, message] of cases) {
    assert.equal((await warnings(args)).filter((found) => found === message).length, 1, args.join());
  }
  const secure = await warnings([...CLIENT_FILES, '--client-cert-auth', ...SECURE_CLIENT]);
  assert.deepEqual(
    secure.filter((message) => message.startsWith('scheme is')),
    [],
  );
});

test('S14 versions and suites of TLS fit together or are refused', async () => {
  const suite = '--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256';
  for (const [args, message] of [
    [['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'], /min version .* is greater than max version/],
    [['--tls-min-version=TLS1.3', suite], /cipher suites cannot be configured when only TLS1\.3 is enabled/],
    [['--tls-max-version=TLS1.0'], /unexpected TLS version "TLS1\.0"/],
    [['--cipher-suites=NO_SUCH_SUITE'], /NO_SUCH_SUITE/],
  ] as const) {
    assert.match((await refusal(args)).message, message);
  }
  await config([suite, '--tls-max-version=TLS1.3']);
});

// --- what is printed

test('S09 the value of a secret is masked in whatever form it stands, and what follows it is not', () => {
  for (const [args, masked] of [
    [['--discovery-password=a=b'], ['--discovery-password=***']],
    [['-discovery-password=x'], ['-discovery-password=***']],
    [
      ['--discovery-password', 'x', 'y'],
      ['--discovery-password', '***', 'y'],
    ],
    [['--discovery-password'], ['--discovery-password']],
    [['--discovery-token=x'], ['--discovery-token=x']],
    [['discovery-password=x'], ['discovery-password=x']],
    [[], []],
  ] as const) {
    assert.deepEqual(maskArguments(args), masked);
  }
});

test('a version names the processor as Go does', () => {
  for (const [architecture, name] of [
    ['x64', 'amd64'],
    ['arm64', 'arm64'],
    ['ia32', '386'],
    ['s390x', 's390x'],
  ] as const) {
    const text = versionText({ os: 'linux', architecture, nodeVersion: 'v24.0.0' });
    assert.ok(text.includes(`Go OS/Arch: linux/${name}\n`));
  }
});

test('a table of Markdown has columns of one width, and bars in cells are escaped', () => {
  assert.deepEqual(
    markdownTable(
      ['a', 'long head'],
      [
        ['x|y', ''],
        ['', 'z'],
      ],
    ),
    ['| a    | long head |', '| ---- | --------- |', '| x\\|y |           |', '|      | z         |'],
  );
});
