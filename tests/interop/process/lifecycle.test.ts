/** What programs that start, watch and stop an etcd rely on. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { atLeast, isGo, SUBJECT, versionOf } from '../../support/programs.ts';
import { eventually, run, sleep } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

/** Under an older name in older releases. */
const BOOTSTRAP_DEFRAG = `${atLeast(SUBJECT, 3, 6) ? '' : 'experimental-'}bootstrap-defrag-threshold-megabytes`;

async function fetchText(url: string): Promise<{ status: number; body: string; type: string | null }> {
  const response = await fetch(url);
  return { status: response.status, body: await response.text(), type: response.headers.get('content-type') };
}

test('--version has the lines that harnesses parse', async () => {
  for (const flag of ['--version', '-version', '--version=true']) {
    const { code, stdout } = await run(SUBJECT, [flag]);
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split('\n');
    assert.match(lines[0]!, /^etcd Version: \d+\.\d+\.\d+$/);
    assert.match(lines[1]!, /^Git SHA: /);
    assert.match(lines[2]!, /^Go Version: /);
    assert.match(lines[3]!, /^Go OS\/Arch: \w+\/\w+$/);
  }
});

test('--help names the flags and ends well', async () => {
  const { code, stdout, stderr } = await run(SUBJECT, ['--help']);
  assert.equal(code, 0);
  for (const flag of ['--data-dir', '--listen-client-urls', '--initial-cluster', '--snapshot-count']) {
    assert((stdout + stderr).includes(flag), flag);
  }
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends it by that signal, with everything written and the ports free`, async () => {
    const server = await EtcdServer.start({ flags: FAST_ELECTION });
    const rpc = new EtcdRpc(server.address);
    for (let i = 0; i < 100; i++) await rpc.call('KV.Put', { key: 'k', value: `${i}` });
    const ended = await server.stop(signal);
    assert.equal(ended.signal, signal);
    rpc.close();
    const again = await server.restart();
    const reader = new EtcdRpc(again.address);
    const { kvs } = await reader.call('KV.Range', { key: 'k' });
    assert.equal(kvs[0]!.value.toString(), '99');
    reader.close();
    await again.stop();
  });
}

test('a client that watches does not keep it from stopping', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  const watch = rpc.stream('Watch.Watch');
  watch.send({ create_request: { key: 'a' } });
  await watch.take();
  // One that does not stop by itself is killed.
  const ended = await server.stop();
  assert.equal(ended.signal, 'SIGTERM');
  rpc.close();
});

test('SIGQUIT and SIGHUP break no parser and lose nothing', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  await rpc.call('KV.Put', { key: 'k', value: 'v' });
  rpc.close();
  server.signal('SIGQUIT');
  await Promise.race([server.ended, sleep(500)]);
  await server.kill();
  const again = await server.restart();
  const reader = new EtcdRpc(again.address);
  assert.equal((await reader.call('KV.Range', { key: 'k' })).count, 1n);
  reader.close();
  await again.stop();
});

test('signals that mean nothing to a server do not end it', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  const signals = [
    'SIGUSR1',
    'SIGUSR2',
    'SIGALRM',
    'SIGVTALRM',
    'SIGPROF',
    'SIGIO',
    'SIGPWR',
    'SIGXCPU',
  ] as const;
  for (const signal of [...signals, 'SIGPIPE', 'SIGXFSZ', 'SIGURG', 'SIGWINCH', 'SIGCHLD'] as const) {
    server.signal(signal);
    // What a signal does is done before what is asked afterwards is answered.
    await rpc.call('KV.Put', { key: 'after', value: signal });
  }
  rpc.close();
  assert.equal((await server.stop()).signal, 'SIGTERM');
});

test('/health, /version and /metrics on the client port', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    const health = await fetchText(`${server.clientUrl}/health`);
    assert.equal(health.status, 200);
    assert.deepEqual(JSON.parse(health.body), { health: 'true', reason: '' });
    const serializable = await fetchText(`${server.clientUrl}/health?serializable=true`);
    assert.equal(serializable.status, 200);
    const excluded = await fetchText(`${server.clientUrl}/health?exclude=NOSPACE`);
    assert.equal(excluded.status, 200);

    const { major, minor, patch } = versionOf(SUBJECT);
    const version = await eventually('the cluster version is decided', async () => {
      const { body } = await fetchText(`${server.clientUrl}/version`);
      const parsed = JSON.parse(body) as { etcdserver: string; etcdcluster: string };
      return parsed.etcdcluster === 'not_decided' ? null : parsed;
    });
    assert.equal(version.etcdserver, `${major}.${minor}.${patch}`);
    assert.match(version.etcdcluster, /^3\.\d+\.0$/);

    const metrics = await fetchText(`${server.clientUrl}/metrics`);
    assert.equal(metrics.status, 200);
    assert.match(metrics.type!, /^text\/plain; version=0\.0\.4/);
    for (const name of [
      'etcd_server_has_leader 1',
      'etcd_server_is_leader 1',
      'etcd_mvcc_db_total_size_in_bytes ',
      'etcd_disk_wal_fsync_duration_seconds_bucket',
      'etcd_server_proposals_committed_total ',
      'process_resident_memory_bytes ',
      'grpc_server_handled_total',
    ]) {
      assert(metrics.body.includes(name), name);
    }
    assert.equal((await fetchText(`${server.clientUrl}/nothing-here`)).status, 404);
    if (atLeast(SUBJECT, 3, 6)) {
      for (const path of ['/livez', '/readyz']) {
        assert.equal((await fetchText(server.clientUrl + path)).status, 200, path);
      }
    }
  } finally {
    await server.stop();
  }
});

test('/metrics in gzip, with the names that dashboards of Go programs ask for, and /debug/vars', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    const plain = await fetch(`${server.clientUrl}/metrics`, { headers: { 'accept-encoding': 'identity' } });
    assert.equal(plain.headers.get('content-encoding'), null);
    const packed = await fetch(`${server.clientUrl}/metrics`, {
      headers: { 'accept-encoding': 'deflate, gzip;q=0.5' },
    });
    assert.equal(packed.headers.get('content-encoding'), 'gzip');
    for (const text of [await plain.text(), await packed.text()]) {
      for (const name of [
        'go_memstats_alloc_bytes',
        'go_memstats_heap_inuse_bytes',
        'go_memstats_heap_sys_bytes',
        'go_memstats_sys_bytes',
        'go_threads',
        'go_gc_duration_seconds\\{quantile="0.5"\\}',
        'go_gc_duration_seconds_count',
        'process_cpu_seconds_total',
        'process_open_fds',
        'process_max_fds',
        'process_start_time_seconds',
      ]) {
        assert.match(text, new RegExp(`^${name} \\S+$`, 'm'));
      }
    }
    const vars = await fetchText(`${server.clientUrl}/debug/vars`);
    assert.match(vars.type!, /^application\/json/);
    const parsed = JSON.parse(vars.body) as Record<string, Record<string, unknown>>;
    assert.equal(parsed['raft.status']!['raftState'], 'StateLeader');
    assert.equal(typeof parsed['memstats']!['HeapAlloc'], 'number');
    assert.equal(typeof parsed['file_descriptor_limit'], 'number');
    assert(Array.isArray(parsed['cmdline']));
  } finally {
    await server.stop();
  }
});

test('a key that is twice in the configuration file counts as it is there last', async () => {
  const directory = temporaryDirectory();
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const lines = [
    `data-dir: ${directory}/data`,
    `listen-client-urls: http://127.0.0.1:${clientPort}`,
    `advertise-client-urls: http://127.0.0.1:${clientPort}`,
    `listen-peer-urls: http://127.0.0.1:${peerPort}`,
    'max-request-bytes: 1000',
    'max-request-bytes: 2000000',
  ];
  writeFileSync(`${directory}/etcd.yml`, `${lines.join('\n')}\n`);
  const child = spawn(SUBJECT, [`--config-file=${directory}/etcd.yml`], { cwd: directory, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  try {
    const rpc = new EtcdRpc(`127.0.0.1:${clientPort}`);
    const value = 'x'.repeat(100_000);
    await eventually('it serves', async () =>
      (await rpc.outcome('KV.Put', { key: 'k', value })).ok ? true : null,
    );
    rpc.close();
  } finally {
    child.kill();
    await ended;
  }
});

test('a start makes a database shorter that has as much free space as --bootstrap-defrag-threshold-megabytes says', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const sizes = async (of: EtcdServer): Promise<{ size: number; free: number }> => {
    const rpc = new EtcdRpc(of.address);
    const { dbSize, dbSizeInUse } = await rpc.call('Maintenance.Status', {});
    rpc.close();
    return { size: Number(dbSize), free: Number(dbSize - dbSizeInUse) };
  };
  const rpc = new EtcdRpc(server.address);
  for (let i = 0; i < 20; i++) await rpc.call('KV.Put', { key: 'k', value: `${i}`.repeat(200_000) });
  await rpc.call('KV.Put', { key: 'k', value: 'kept' });
  await rpc.call('KV.Compact', { revision: 22, physical: true });
  const before = await eventually('space is free', async () => {
    // What a commit frees is free from the next one on.
    await rpc.call('KV.Put', { key: 'k', value: 'kept' });
    const now = await sizes(server);
    return now.free > 3 * 1024 ** 2 ? now : null;
  });
  rpc.close();
  await server.stop();
  const kept = await server.restart({ flags: [...FAST_ELECTION, `--${BOOTSTRAP_DEFRAG}=1000`] });
  assert.equal((await sizes(kept)).size, before.size);
  await kept.stop();
  const cut = await kept.restart({ flags: [...FAST_ELECTION, `--${BOOTSTRAP_DEFRAG}=2`] });
  assert((await sizes(cut)).size < before.size - 2 * 1024 ** 2);
  const reader = new EtcdRpc(cut.address);
  assert.equal((await reader.call('KV.Range', { key: 'k' })).kvs[0]!.value.toString(), 'kept');
  reader.close();
  await cut.stop();
});

test('/health, /version and /metrics on the peer port and on a metrics URL', async () => {
  const metricsPort = await freePort();
  const flags = [...FAST_ELECTION, `--listen-metrics-urls=http://127.0.0.1:${metricsPort}`];
  const server = await EtcdServer.start({ flags });
  try {
    const url = `http://127.0.0.1:${metricsPort}`;
    assert.equal((await fetchText(`${url}/health`)).status, 200);
    assert.match((await fetchText(`${url}/metrics`)).body, /^etcd_server_has_leader 1$/m);
    assert.equal((await fetchText(`${server.peerUrl}/version`)).status, 200);
  } finally {
    await server.stop();
  }
});

test('/health says false and why when space has run out', async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--quota-backend-bytes=1000000'] });
  const rpc = new EtcdRpc(server.address);
  try {
    for (let i = 0; i < 1000; i++) {
      const outcome = await rpc.outcome('KV.Put', { key: 'k', value: 'v'.repeat(100_000) });
      if (!outcome.ok) break;
    }
    await eventually(
      'the alarm is raised',
      async () => (await rpc.call('Maintenance.Alarm', {})).alarms.length > 0,
    );
    const health = await fetchText(`${server.clientUrl}/health`);
    assert.equal(health.status, 503);
    assert.deepEqual(JSON.parse(health.body), { health: 'false', reason: 'ALARM NOSPACE' });
  } finally {
    rpc.close();
    await server.stop();
  }
});

test('slow requests are in the log, with what they asked for and without values', async () => {
  // The flags have other names in 3.5, and its text begins with a header.
  if (isGo(SUBJECT)) return;
  const flags = [...FAST_ELECTION, '--warning-apply-duration=1ns', '--warning-unary-request-duration=1ns'];
  const server = await EtcdServer.start({ flags });
  const rpc = new EtcdRpc(server.address);
  try {
    await rpc.call('KV.Put', { key: 'slow', value: 'secret' });
    await rpc.call('KV.Range', { key: 'slow', range_end: 'slox' });
    const applied = await server.waitForLog('"request":"put:<key:\\"slow\\" value_size:6 >"');
    assert.equal(applied.msg, 'apply request took too long');
    assert.equal(applied.fields['expected-duration'], '1ns');
    const read = await server.waitForLog('"prefix":"read-only range "');
    assert.equal(read.msg, 'apply request took too long');
    assert.match(String(read.fields['request']), /key:"slow"/);
    const stats = await server.waitForLog('request stats');
    assert.match(String(stats.fields['remote']), /^127\.0\.0\.1:\d+$/);
    assert.match(String(stats.fields['phase']), /^(queue|log-sync|replication|apply)$/);
    for (const { text } of server.log) assert.doesNotMatch(text, /secret/);
    // What a member asks itself at its start is nobody's request.
    assert.doesNotMatch(
      server.log.map(({ text }) => text).join('\n'),
      /request stats.*"remote":""|key:"\\\\000"/,
    );
  } finally {
    rpc.close();
    await server.stop();
  }
});

test('the log is JSON in the shape of etcd, with the lines that tools wait for', async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--snapshot-count=10'] });
  const rpc = new EtcdRpc(server.address);
  for (let i = 0; i < 30; i++) await rpc.call('KV.Put', { key: 'k', value: `${i}` });
  await rpc.call('KV.Compact', { revision: 10 });
  rpc.close();
  await server.waitForLog('saved snapshot');
  await server.waitForLog('finished scheduled compaction');
  await server.waitForLog('became leader');
  await server.waitForLog('elected leader');
  await server.stop();
  assert(server.log.length > 10);
  for (const { text, fields } of server.log.filter((line) => line.text !== '')) {
    assert.match(text, /^\{"level":"(debug|info|warn|error|fatal|dpanic|panic)","ts":"[^"]+"/, text);
    assert.equal(typeof fields['msg'], 'string', text);
    assert.equal(typeof fields['caller'], 'string', text);
    assert(!Number.isNaN(Date.parse(String(fields['ts']))), text);
  }
});

test('flags in every spelling, and from the environment', async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'sub'));
  const clientPort = await freePort();
  const server = await EtcdServer.start({
    clientPort,
    dataDir: join(directory, 'sub/data'),
    flags: [
      '-heartbeat-interval',
      '20',
      '--election-timeout',
      '200',
      '--pre-vote',
      '--strict-reconfig-check=false',
    ],
    env: { ETCD_SNAPSHOT_COUNT: '12', ETCD_MAX_TXN_OPS: '3', ETCD_NONSENSE: 'x' },
  });
  const rpc = new EtcdRpc(server.address);
  try {
    assert(existsSync(join(directory, 'sub/data/member/wal')));
    const get = { request_range: { key: 'a' } };
    const outcome = await rpc.outcome('KV.Txn', { success: [get, get, get, get] });
    assert.equal(outcome.ok ? '' : outcome.details, 'etcdserver: too many operations in txn request');
    for (let i = 0; i < 30; i++) await rpc.call('KV.Put', { key: 'k', value: `${i}` });
    await server.waitForLog('saved snapshot');
  } finally {
    rpc.close();
    await server.stop();
  }
});

test('limits from the flags: request size', async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--max-request-bytes=10000'] });
  const rpc = new EtcdRpc(server.address);
  try {
    assert((await rpc.outcome('KV.Put', { key: 'k', value: 'v'.repeat(9000) })).ok);
    const outcome = await rpc.outcome('KV.Put', { key: 'k', value: 'v'.repeat(10_000) });
    assert.equal(outcome.ok ? '' : outcome.details, 'etcdserver: request is too large');
  } finally {
    rpc.close();
    await server.stop();
  }
});

test('port 0 is a port of the system, and the log says which', async () => {
  const server = await EtcdServer.start({
    flags: [
      ...FAST_ELECTION,
      '--listen-client-urls=http://127.0.0.1:0',
      '--advertise-client-urls=http://127.0.0.1:0',
    ],
  });
  try {
    const line = await server.waitForLog('serving client traffic insecurely');
    const address = String(line.fields['address']);
    assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
    assert.equal((await fetchText(`http://${address}/health`)).status, 200);
  } finally {
    await server.stop();
  }
});

test('a unix socket serves clients', async () => {
  const socket = join(temporaryDirectory(), 'client.sock');
  const url = `unix://${socket}`;
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, `--listen-client-urls=${url}`] });
  const rpc = new EtcdRpc(url);
  try {
    await rpc.call('KV.Put', { key: 'k', value: 'v' });
    assert.equal((await rpc.call('KV.Range', { key: 'k' })).count, 1n);
  } finally {
    rpc.close();
    await server.stop();
  }
});

test('automatic compaction by revisions', async () => {
  // The check runs every five minutes; that the flag is understood is what can be seen in a test.
  const flags = [...FAST_ELECTION, '--auto-compaction-mode=revision', '--auto-compaction-retention=10'];
  const server = await EtcdServer.start({ flags });
  await server.stop();
});

test('the launcher hands over its process', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  await rpc.call('KV.Put', { key: 'k', value: 'v' });
  // The signal goes to the pid that was started, and nothing is left on the ports.
  await server.kill();
  rpc.close();
  await assert.rejects(fetch(`${server.clientUrl}/health`));
  assert(!isGo(SUBJECT) || server.pid > 0);
});
