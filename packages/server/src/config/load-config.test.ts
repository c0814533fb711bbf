import assert from 'node:assert/strict';
import { test } from 'node:test';
import { urlTexts } from '@etcd/base';
import { findDefaultHost } from '@etcd/host/net';
import fc from 'fast-check';
import { ConfigError } from './config-error.ts';
import { environmentName } from './flag-spec.ts';
import { FLAG_TABLE } from './flag-table.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';
import { configLogFields, loadConfig, type StartRequest } from './load-config.ts';
import { maskArguments } from './mask-arguments.ts';
import { config, fromFile, refusal, warnings, world } from './testing/starts.ts';

test('without arguments everything has its default', async () => {
  const it = await config([]);
  assert.equal(it.name, 'default');
  assert.equal(it.dataDir, 'default.etcd');
  assert.deepEqual(urlTexts(it.listenClientUrls), ['http://localhost:2379']);
  assert.deepEqual(urlTexts(it.advertiseClientUrls), ['http://localhost:2379']);
  assert.equal(it.initialCluster, 'default=http://localhost:2380');
  assert.equal(it.quotaBackendBytes, 2 * 1024 ** 3);
  assert.equal(it.backendBatchLimit, 10_000);
  assert.equal(it.backendBatchIntervalMs, 100);
  assert.equal(it.watchProgressNotifyIntervalMs, 600_000);
  assert.equal(it.autoCompaction, null);
  assert.deepEqual(it.logOutputs, ['default']);
  assert.equal(it.maxClusterVersion, 'keep');
});

test('help and version are requests of their own', async () => {
  assert.equal((await loadConfig(['--help'], world())).kind, 'help');
  assert.equal((await loadConfig(['--version'], world())).kind, 'version');
  assert.equal((await loadConfig(['-version=true', '--name=x'], world())).kind, 'version');
});

test('an argument that is no flag ends the start', async () => {
  const error = await refusal(['extra']);
  assert.equal(error.message, '"extra" is not a valid flag');
  assert.equal(error.exitCode, 1);
  assert.equal((await refusal(['--nonsense'])).exitCode, 2);
});

test('name and directory of a member follow its name', async () => {
  const it = await config(['--name=m1']);
  assert.equal(it.dataDir, 'm1.etcd');
  assert.equal(it.initialCluster, 'm1=http://localhost:2380');
  const told = await config(['--name=m1', '--initial-cluster=m1=http://10.0.0.1:2380', '--data-dir=/d']);
  assert.equal(told.initialCluster, 'm1=http://10.0.0.1:2380');
  assert.equal(told.dataDir, '/d');
});

test('the default cluster follows the advertised peer URLs of a named member', async () => {
  const it = await config(['--name=m1', '--initial-advertise-peer-urls=http://a:1,http://b:2']);
  assert.equal(it.initialCluster, 'm1=http://a:1,m1=http://b:2');
});

test('a member that listens everywhere advertises the address of its default route', async () => {
  const listen = [
    '--listen-client-urls=http://0.0.0.0:1379',
    '--listen-peer-urls=http://0.0.0.0:1380',
    '--advertise-client-urls=http://localhost:2379',
    '--name=m1',
  ];
  const it = await config(listen, { defaultHost: () => ({ host: '10.1.2.3' }) });
  assert.deepEqual(urlTexts(it.advertiseClientUrls), ['http://10.1.2.3:1379']);
  assert.deepEqual(urlTexts(it.initialAdvertisePeerUrls), ['http://10.1.2.3:1380']);
  assert.equal(it.initialCluster, 'm1=http://10.1.2.3:1380');
  const alone = await config(listen);
  assert.deepEqual(urlTexts(alone.advertiseClientUrls), ['http://localhost:2379']);
});

test('the address of the default route is found, IPv4 before IPv6', () => {
  const ipv4Routes =
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n' +
    'eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n' +
    'eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n';
  const zeros = '0'.repeat(32);
  const ipv6Routes =
    `${zeros} 00 ${zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n` +
    `${zeros} 00 ${zeros} 00 ${zeros} ffffffff 00000001 00000000 00200200       lo\n`;
  const addressesOf = (name: string) =>
    name === 'eth0'
      ? ([
          { family: 'IPv6', address: '2001:db8::1' },
          { family: 'IPv4', address: '172.17.0.2' },
        ] as const)
      : [];
  assert.equal(findDefaultHost({ ipv4Routes, ipv6Routes, addressesOf }).host, '172.17.0.2');
  assert.equal(findDefaultHost({ ipv4Routes: '', ipv6Routes, addressesOf }).host, '2001:db8::1');
  assert.equal(
    findDefaultHost({ ipv4Routes: '', ipv6Routes: '', addressesOf }).error,
    'could not find default route',
  );
  assert.equal(
    findDefaultHost({ ipv4Routes, ipv6Routes: '', addressesOf: () => [] }).error,
    'could not find default host',
  );
});

test('the environment sets what no argument sets', async () => {
  const environment = {
    ETCD_NAME: 'm2',
    ETCD_PRE_VOTE: 'false',
    ETCD_HEARTBEAT_INTERVAL: '50',
    ETCD_DATA_DIR: '',
  };
  const it = await config(['--election-timeout=500'], { environment });
  assert.equal(it.name, 'm2');
  assert.equal(it.preVote, false);
  assert.equal(it.heartbeatIntervalMs, 50);
  assert.equal(it.dataDir, 'm2.etcd');
});

test('an old spelling works in the environment', async () => {
  const environment = { ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK: 'true', ETCD_ENABLE_V2: 'false' };
  assert.equal((await config([], { environment })).featureGates.InitialCorruptCheck, true);
});

test('variables of older releases only warn, whatever they say', async () => {
  for (const name of LEGACY_FLAGS.keys()) {
    const variable = environmentName(name);
    for (const text of ['true', '/v2', 'x=y', '-1', '']) {
      const environment = { [variable]: text };
      const request = await loadConfig([], world({ environment }));
      assert.equal(request.kind, 'run', `${variable}=${text}`);
    }
  }
  for (const text of [
    'ETCD_DEBUG=true',
    'ETCD_ENABLE_V2=true',
    'ETCD_EXPERIMENTAL_ENABLE_V2V3=/v2',
    'ETCD_PROXY=on',
  ]) {
    const [variable, value] = text.split('=') as [string, string];
    const environment = { [variable]: value };
    assert.ok((await warnings([], { environment })).includes('unrecognized environment variable'), text);
    const flag = `--${variable.slice('ETCD_'.length).toLowerCase().replaceAll('_', '-')}=${value}`;
    assert.match((await refusal([flag])).message, /etcd 3\.7 has removed this flag/);
  }
});

test('a variable of an older release gives way to the flag that has replaced it', async () => {
  const environment = {
    ETCD_EXPERIMENTAL_CORRUPT_CHECK_TIME: '7h',
    ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK: 'false',
    ETCD_EXPERIMENTAL_ENABLE_DISTRIBUTED_TRACING: 'true',
    ETCD_CORRUPT_CHECK_TIME: '2h',
  };
  const it = await config(['--feature-gates=InitialCorruptCheck=true'], { environment });
  assert.equal(it.corruptCheckTimeMs, 2 * 3_600_000);
  assert.equal(it.featureGates.InitialCorruptCheck, true);
});

test('setting a flag in both places ends the start, even to nothing', async () => {
  for (const value of ['zz', '']) {
    const error = await refusal(['--name=m1'], { environment: { ETCD_NAME: value } });
    assert.match(error.message, /^conflicting environment variable is shadowed by .*: ETCD_NAME$/);
    assert.equal(error.exitCode, 1);
  }
});

test('a bad value in the environment is refused under the name of its variable', async () => {
  const error = await refusal([], { environment: { ETCD_MAX_WALS: 'abc' } });
  assert.equal(error.message, 'invalid value "abc" for ETCD_MAX_WALS: parse error');
  assert.equal(error.exitCode, 1);
});

test('variables that nobody recognizes are named, but not what is in them', async () => {
  const environment = {
    ETCD_SECRET_TOKEN: 'hunter2',
    ETCD_NODE_OPTIONS: '--inspect',
    ETCD_VERSION: '3',
    PATH: '/',
  };
  const request = await loadConfig([], world({ environment }));
  assert.ok(request.kind === 'run');
  const text = JSON.stringify(request.notices);
  assert.ok(text.includes('unrecognized environment variable'));
  assert.ok(text.includes('ETCD_SECRET_TOKEN'));
  assert.ok(text.includes('cannot set special environment variable'));
  assert.equal(text.includes('hunter2'), false);
  assert.equal(text.includes('ETCD_NODE_OPTIONS'), false);
});

test('ETCD_VERIFY has a member check its data, under the names that etcd has for that', async () => {
  const verifies = async (value: string | undefined): Promise<boolean> => {
    const request = await loadConfig([], world({ environment: { ETCD_VERIFY: value } }));
    assert.ok(request.kind === 'run');
    assert.equal(JSON.stringify(request.notices).includes('ETCD_VERIFY'), false);
    return request.config.verify;
  };
  for (const value of ['all', 'ALL', 'storage_wal']) assert.equal(await verifies(value), true, value);
  for (const value of [undefined, '', 'assert', 'lock', 'true'])
    assert.equal(await verifies(value), false, value);
});

test('listening explicitly means advertising explicitly', async () => {
  const expected = '--advertise-client-urls is required when --listen-client-urls is set explicitly';
  assert.equal((await refusal(['--listen-client-urls=http://127.0.0.1:1'])).message, expected);
  assert.equal((await refusal(['--listen-client-urls='])).message, expected);
  assert.equal(
    (await refusal([], { environment: { ETCD_LISTEN_CLIENT_URLS: 'http://127.0.0.1:1' } })).message,
    expected,
  );
});

test('impossible settings are refused in the words of etcd', async () => {
  const tls =
    'TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme';
  const client = '--advertise-client-urls=http://127.0.0.1:1';
  const cases: readonly (readonly [string, string])[] = [
    ['--heartbeat-interval=0', '--heartbeat-interval must be >0 (set to 0ms)'],
    ['--election-timeout=0', '--election-timeout must be >0 (set to 0ms)'],
    [
      '--election-timeout=400',
      '--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]',
    ],
    [
      '--election-timeout=60000',
      '--election-timeout[60000ms] is too long, and should be set less than 50000ms',
    ],
    [
      '--heartbeat-interval=4294967296000',
      '--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[4294967296000ms]',
    ],
    ['--listen-peer-urls=http://example.com:1', 'expected IP in URL for binding (http://example.com:1)'],
    ['--listen-metrics-urls=http://example.com:1', 'expected IP in URL for binding (http://example.com:1)'],
    ['--listen-peer-urls=http://localhost:99999', 'listen tcp: address 99999: invalid port'],
    [
      '--advertise-client-urls=http://:2379',
      '--advertise-client-urls "http://:2379" must be in the format "host:port", "unix:/path/to/socket" or "unixs:/path/to/socket" (unexpected empty host (http://:2379))',
    ],
    [
      '--initial-advertise-peer-urls=http://:2379',
      '--initial-advertise-peer-urls "http://:2379" must be "host:port" (unexpected empty host (http://:2379))',
    ],
    ['--backup-keep-last=3', '--backup-keep-last says how backups are made, but --backup-store not where'],
    [
      '--backup-store=/b',
      'give one of --backup-recipients (or --backup-recipients-file), --backup-passphrase-file, --backup-unencrypted',
    ],
    ['--auto-defrag-rule=dbSize', "--auto-defrag-rule: the rule isn't a boolean expression"],
    ['--auto-compaction-mode=foo', 'unknown auto-compaction-mode "foo"'],
    ['--auto-compaction-mode=', 'undefined auto-compaction-mode'],
    [
      '--auto-compaction-retention=-1',
      'error parsing CompactionRetention: time: missing unit in duration "-1"',
    ],
    ['--auto-compaction-retention=abc', 'error parsing CompactionRetention: time: invalid duration "abc"'],
    [
      '--auto-compaction-retention=1.5',
      'error parsing CompactionRetention: time: missing unit in duration "1.5"',
    ],
    ['--log-outputs=default,stdout', 'multi logoutput for "default" is not supported yet'],
    ['--log-level=xx', 'unrecognized level: "xx"'],
    ['--log-format=xx', 'unknown log format: xx, supported values json, console'],
    ['--logger=xx', 'unknown logger option "xx"'],
    ['--logger=capnslog', '--logger=capnslog is removed in v3.5'],
    ['--listen-client-urls=https://127.0.0.1:1', tls],
    [
      '--listen-peer-urls=https://127.0.0.1:1',
      'cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented',
    ],
    [
      '--listen-metrics-urls=https://127.0.0.1:1',
      'client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url',
    ],
    [
      '--listen-client-http-urls=http://localhost:2379',
      'cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379',
    ],
    ['--compact-hash-check-time=0s', '--compact-hash-check-time must be >0 (set to 0s)'],
    [
      '--feature-gates=LeaseCheckpointPersist=true',
      'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
    ],
  ];
  for (const [argument, message] of cases) {
    const args = argument.startsWith('--advertise-client') ? [argument] : [client, argument];
    const error = await refusal(args);
    assert.equal(error.message, message);
    assert.equal(error.exitCode, 1);
  }
});

test('S19 numbers that etcd accepts and trips over are refused', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['--auto-compaction-retention=-1h', /negative retention "-1h"/],
    ['--auto-compaction-retention=9999999999999', /more than a duration can hold/],
    ['--backend-batch-limit=-5', /--backend-batch-limit must be >=0 \(set to -5\)/],
    ['--backend-batch-interval=-5s', /--backend-batch-interval must be >=0 \(set to -5s\)/],
    ['--compaction-batch-limit=-1', /must be >=0/],
    ['--watch-progress-notify-interval=-1s', /must be >=0/],
    ['--grpc-keepalive-timeout=-1s', /must be >=0/],
    ['--max-request-bytes=0', /--max-request-bytes must be >0/],
    ['--max-request-bytes=99999999999', /--max-request-bytes must be at most 1073741824/],
    ['--max-learners=-1', /must be >=0/],
  ];
  for (const [argument, message] of cases) assert.match((await refusal([argument])).message, message);
});

test('S19 huge counts mean "never" and keep comparing', async () => {
  const it = await config([
    '--snapshot-count=18446744073709551615',
    '--quota-backend-bytes=9223372036854775807',
  ]);
  assert.equal(it.snapshotCount, Number.MAX_SAFE_INTEGER);
  assert.equal(it.quotaBackendBytes, Number.MAX_SAFE_INTEGER);
});

test('zero means the usual where etcd says so', async () => {
  const it = await config([
    '--snapshot-count=0',
    '--snapshot-catchup-entries=0',
    '--max-concurrent-streams=0',
    '--max-wals=0',
  ]);
  assert.equal(it.snapshotCount, 10_000);
  assert.equal(it.snapshotCatchUpEntries, 5000);
  assert.equal(it.maxConcurrentStreams, 2 ** 32 - 1);
  assert.equal(it.maxWals, 0);
});

test('retention is hours, a duration or revisions', async () => {
  const retention = async (...args: string[]) => (await config(args)).autoCompaction;
  assert.deepEqual(await retention('--auto-compaction-retention=5'), {
    mode: 'periodic',
    retentionMs: 18_000_000,
  });
  assert.deepEqual(await retention('--auto-compaction-retention=007'), {
    mode: 'periodic',
    retentionMs: 25_200_000,
  });
  assert.deepEqual(await retention('--auto-compaction-retention=5m'), {
    mode: 'periodic',
    retentionMs: 300_000,
  });
  assert.equal(await retention('--auto-compaction-retention=0s'), null);
  assert.equal(await retention('--auto-compaction-retention='), null);
  const revision = '--auto-compaction-mode=revision';
  assert.deepEqual(await retention(revision, '--auto-compaction-retention=1000'), {
    mode: 'revision',
    retentionRevisions: 1000,
  });
  assert.deepEqual(await retention(revision, '--auto-compaction-retention=1us'), {
    mode: 'revision',
    retentionRevisions: 1000,
  });
});

test('defaults may be given', async () => {
  await config(['--auto-tls=false', '--client-cert-auth=false', '--auth-token=simple', '--cors=*']);
});

test('what has no effect is accepted with a warning', async () => {
  assert.ok((await warnings(['--v2-deprecation=gone'])).includes('flag has no effect'));
  assert.equal((await warnings(['--socket-reuse-address=false'])).includes('flag has no effect'), false);
  const gate = 'feature gate has no effect';
  assert.ok((await warnings(['--feature-gates=PriorityRequest=true'])).includes(gate));
  assert.equal((await warnings(['--experimental-initial-corrupt-check'])).includes(gate), false);
  assert.equal((await warnings(['--feature-gates=PriorityRequest=false'])).includes(gate), false);
});

test('old and deprecated spellings are warned about', async () => {
  const found = await warnings([
    '--experimental-compaction-batch-limit=5',
    '--max-snapshots=3',
    '--enable-v2=false',
  ]);
  assert.ok(
    found.includes('--experimental-compaction-batch-limit is deprecated: use --compaction-batch-limit'),
  );
  assert.ok(found.includes('--enable-v2 is deprecated: it has no effect any more'));
  assert.ok(found.includes('--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.'));
});

test('files and rules of TLS, by flags and by sections of a file', async () => {
  const files = [
    '--cert-file=/c.pem',
    '--key-file=/c.key',
    '--trusted-ca-file=/ca.pem',
    '--client-cert-auth',
    '--client-crl-file=/crl',
    '--peer-cert-file=/p.pem',
    '--peer-key-file=/p.key',
    '--peer-cert-allowed-cn=a,b',
    '--peer-skip-client-san-verification',
    '--tls-min-version=TLS1.3',
  ];
  const { tls } = await config([
    ...files,
    '--listen-client-urls=https://127.0.0.1:1',
    '--advertise-client-urls=https://a:1',
  ]);
  assert.equal(tls.client.certFile, '/c.pem');
  assert.equal(tls.client.clientCertAuth, true);
  assert.equal(tls.client.crlFile, '/crl');
  assert.equal(tls.client.checksClientSan, false);
  assert.deepEqual(tls.peer.allowedCommonNames, ['a', 'b']);
  assert.equal(tls.peer.checksClientSan, false);
  assert.equal(tls.protocol.minVersion, 'TLS1.3');
  const text =
    'peer-transport-security: {cert-file: /x, key-file: /y, allowed-hostname: [h], client-cert-auth: true}';
  const ofFile = await config([], fromFile(text));
  assert.equal(ofFile.tls.peer.certFile, '/x');
  assert.deepEqual(ofFile.tls.peer.allowedHostnames, ['h']);
  assert.equal(ofFile.tls.peer.checksClientSan, true);
});

test('S14 weak suites, unknown versions, and secure listeners without a certificate are refused', async () => {
  for (const [args, message] of [
    [
      ['--cipher-suites=TLS_RSA_WITH_RC4_128_SHA'],
      /weak TLS cipher suite "TLS_RSA_WITH_RC4_128_SHA" is refused/,
    ],
    [['--tls-min-version=TLS1.1'], /unexpected TLS version "TLS1.1"/],
    [
      ['--listen-peer-urls=https://127.0.0.1:1'],
      /cannot listen on TLS for 127\.0\.0\.1:1: KeyFile and CertFile/,
    ],
    [['--listen-metrics-urls=https://127.0.0.1:1'], /must be provided for metrics secure url/],
    [
      ['--listen-client-urls=https://127.0.0.1:1', '--advertise-client-urls=https://127.0.0.1:1'],
      /TLS key\/cert \(--cert-file, --key-file\) must be provided for client url https:\/\/127\.0\.0\.1:1/,
    ],
  ] as const) {
    assert.match((await refusal([...args])).message, message);
  }
});

test('every command line that kubeadm writes without TLS is accepted', async () => {
  for (const extra of [
    ['--experimental-initial-corrupt-check=true', '--experimental-watch-progress-notify-interval=5s'],
    ['--feature-gates=InitialCorruptCheck=true', '--watch-progress-notify-interval=5s'],
  ]) {
    const it = await config([
      '--name=node1',
      '--initial-cluster=node1=http://10.0.0.1:2380',
      '--listen-client-urls=http://127.0.0.1:2379,http://10.0.0.1:2379',
      '--advertise-client-urls=http://10.0.0.1:2379',
      '--listen-peer-urls=http://10.0.0.1:2380',
      '--initial-advertise-peer-urls=http://10.0.0.1:2380',
      '--data-dir=/var/lib/etcd',
      '--snapshot-count=10000',
      '--listen-metrics-urls=http://127.0.0.1:2381',
      ...extra,
    ]);
    assert.equal(it.featureGates.InitialCorruptCheck, true);
    assert.equal(it.watchProgressNotifyIntervalMs, 5000);
  }
});

test('a configuration file replaces arguments and environment', async () => {
  const request = await loadConfig(
    ['--name=from-argument', '--config-file=/etc/etcd.yml'],
    world({
      environment: { ETCD_HEARTBEAT_INTERVAL: '7' },
      readFile: () =>
        'name: from-file\nwatch-progress-notify-interval: 600000000000\nlog-outputs: [stdout, stderr]\n',
    }),
  );
  assert.ok(request.kind === 'run');
  assert.equal(request.config.name, 'from-file');
  assert.equal(request.config.heartbeatIntervalMs, 100);
  assert.equal(request.config.watchProgressNotifyIntervalMs, 600_000);
  assert.deepEqual(request.config.logOutputs, ['stderr', 'stdout']);
  assert.ok(request.notices.some((notice) => notice.message.startsWith('loaded server configuration')));
});

test('a file may be JSON, have sections, old spellings, and unknown keys', async () => {
  const text = JSON.stringify({
    name: 'm1',
    'listen-client-urls': 'http://127.0.0.1:1',
    'socket-options': { 'reuse-port': true },
    'client-transport-security': { 'cert-file': '', 'auto-tls': false },
    'experimental-initial-corrupt-check': true,
    'auto-compaction-retention': 5,
    nonsense: 1,
    section: { inner: 2 },
  });
  const request = await loadConfig([], world(fromFile(text)));
  assert.ok(request.kind === 'run', request.kind === 'refused' ? request.error.message : '');
  assert.equal(request.config.socketReusePort, true);
  assert.equal(request.config.featureGates.InitialCorruptCheck, true);
  assert.deepEqual(request.config.autoCompaction, { mode: 'periodic', retentionMs: 18_000_000 });
  // Unlike a command line, a file that says where to listen need not say what to advertise.
  assert.deepEqual(urlTexts(request.config.advertiseClientUrls), ['http://localhost:2379']);
  const unknown = request.notices.find((notice) => notice.message.includes('nothing reads'));
  assert.deepEqual(unknown?.fields?.['keys'], ['nonsense', 'section.inner']);
});

test('an empty file is a configuration of defaults', async () => {
  assert.equal((await config([], fromFile(''))).name, 'default');
});

test('a file that can not be used is refused with its path and what is wrong', async () => {
  assert.equal(
    (await refusal(['--config-file=/nonexistent'])).message,
    'open /nonexistent: no such file or directory',
  );
  const cases: readonly (readonly [string, RegExp])[] = [
    ['a: [', /error converting YAML to JSON: \/etc\/etcd.yml: /],
    ['x: &a [1]\ny: [*a, *a]\npre-vote: *a', /pre-vote must be true or false/],
    ['- 1', /\/etc\/etcd.yml: not a map of settings/],
    ['pre-vote: 3', /\/etc\/etcd.yml:1: pre-vote must be true or false/],
    ['name: [1, 2]', /\/etc\/etcd.yml:1: name must be a value of type string/],
    ['heartbeat-interval: -1', /invalid value "-1" for heartbeat-interval: parse error/],
    ['discovery-config: {token: x}', /both --discovery-token and --discovery-endpoints must be set/],
  ];
  for (const [text, message] of cases) assert.match((await refusal([], fromFile(text))).message, message);
});

test('S17 no command line, environment or file breaks the start in any other way than by refusing it', async () => {
  const name = fc.constantFrom(...FLAG_TABLE.keys(), ...LEGACY_FLAGS.keys(), 'nonsense');
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('true', '0', '-1', '1h', 'http://127.0.0.1:1', 'a=http://b:1', '99999999999999999999'),
  );
  const argument = fc.oneof(
    fc.tuple(name, value).map(([n, v]) => `--${n}=${v}`),
    fc.string(),
  );
  const isFinal = (request: StartRequest): boolean =>
    request.kind !== 'refused' || request.error instanceof ConfigError;
  await fc.assert(
    fc.asyncProperty(fc.array(argument, { maxLength: 6 }), async (args) => {
      assert.ok(isFinal(await loadConfig(args, world())));
    }),
  );
  const document = fc.oneof(
    fc.string(),
    fc.json(),
    fc.dictionary(name, fc.jsonValue()).map((d) => JSON.stringify(d)),
  );
  await fc.assert(
    fc.asyncProperty(document, async (text) => {
      assert.ok(isFinal(await loadConfig([], world(fromFile(text)))));
    }),
  );
});

test('S09 secrets of a command line are not logged', () => {
  assert.deepEqual(
    maskArguments([
      '--name=a',
      '--discovery-password=x',
      '-discovery-user',
      'me:x',
      '--pre-vote',
      'discovery-password',
    ]),
    ['--name=a', '--discovery-password=***', '-discovery-user', '***', '--pre-vote', 'discovery-password'],
  );
});

test('the settings are logged under the names of etcd', async () => {
  const fields = configLogFields(await config(['--name=m1']));
  assert.equal(fields['name'], 'm1');
  assert.deepEqual(fields['listen-client-urls'], ['http://localhost:2379']);
  assert.equal(fields['quota-backend-bytes'], 2147483648);
});
