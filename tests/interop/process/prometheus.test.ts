/**
 * Prometheus's own tool as the judge: what a member serves is well-formed, and rules of the kind that people have for etcd fire on it when
 * they should and not before. The rules here ask for every series that etcd's public alerts and dashboards name.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, tool } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { metricOf, type Scrape, scrape } from '../../support/scrape.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const options = needs('promtool');
const JOB = { job: 'etcd', instance: 'a' };

const members: EtcdServer[] = [];
const metricsUrls: string[] = [];
let rpc: EtcdRpc;
before(async () => {
  const ports = [await freePort(), await freePort()];
  const initialCluster = ports.map((port, i) => `m${i}=http://127.0.0.1:${port}`).join();
  for (let i = 0; i < ports.length; i++) metricsUrls.push(`http://127.0.0.1:${await freePort()}`);
  const starting = ports.map((peerPort, i) => {
    const flags = [...FAST_ELECTION, '--metrics=extensive', `--listen-metrics-urls=${metricsUrls[i]}`];
    return EtcdServer.start({ name: `m${i}`, peerPort, initialCluster, flags });
  });
  members.push(...(await Promise.all(starting)));
  rpc = new EtcdRpc(members[0]!.address);
});
after(async () => {
  rpc.close();
  await Promise.all(members.map((member) => member.kill()));
});

/** Series that etcd's alerts and dashboards ask for. */
const ASKED_FOR = [
  'etcd_disk_backend_commit_duration_seconds_bucket',
  'etcd_disk_wal_fsync_duration_seconds_bucket',
  'etcd_mvcc_db_total_size_in_bytes',
  'etcd_mvcc_db_total_size_in_use_in_bytes',
  'etcd_network_client_grpc_received_bytes_total',
  'etcd_network_client_grpc_sent_bytes_total',
  'etcd_network_peer_received_bytes_total',
  'etcd_network_peer_round_trip_time_seconds_bucket',
  'etcd_network_peer_sent_bytes_total',
  'etcd_network_peer_sent_failures_total',
  'etcd_server_has_leader',
  'etcd_server_leader_changes_seen_total',
  'etcd_server_proposals_applied_total',
  'etcd_server_proposals_committed_total',
  'etcd_server_proposals_failed_total',
  'etcd_server_proposals_pending',
  'etcd_server_quota_backend_bytes',
  'grpc_server_handled_total',
  'grpc_server_handling_seconds_bucket',
  'grpc_server_started_total',
  'process_resident_memory_bytes',
];

test('what is served is well-formed', options, async () => {
  const { text } = await scrape(metricsUrls[0]!);
  const { code, stdout, stderr } = await run(tool('promtool'), ['check', 'metrics'], { stdin: text });
  // 3: there are names that a linter would have chosen otherwise; etcd has chosen them.
  assert.ok(code === 0 || code === 3, stdout + stderr);
  const complaints = stderr.split('\n').filter((line) => line !== '');
  const unknown = complaints.filter(
    (line) => !/(should|use base unit|_total|not contain|have "_)/.test(line),
  );
  assert.deepEqual(unknown, []);
});

test('every series is there that alerts and dashboards ask for', async () => {
  let missing: string[] = [...ASKED_FOR];
  // The way to the other member is measured once a while; a failure makes the series of failures.
  await eventually('every series is there', async () => {
    const { values, types } = await scrape(metricsUrls[0]!);
    const names = new Set([...values.keys()].map((series) => series.replace(/\{.*/s, '')));
    const isThere = (name: string): boolean =>
      name.endsWith('sent_failures_total') ? types.has(metricOf(name, types)) : names.has(name);
    missing = ASKED_FOR.filter((name) => !isThere(name));
    return missing.length === 0;
  }).catch(() => assert.deepEqual(missing, []));
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

const FAILED = '{grpc_code=~"Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss"}';

const RULES: readonly Rule[] = [
  { alert: 'LeaderLost', expr: 'etcd_server_has_leader == 0' },
  { alert: 'LeaderChanges', expr: 'increase(etcd_server_leader_changes_seen_total[10m]) > 2' },
  { alert: 'PeerUnreachable', expr: 'sum(rate(etcd_network_peer_sent_failures_total[10m])) > 0' },
  { alert: 'ProposalsFail', expr: 'rate(etcd_server_proposals_failed_total[10m]) > 0' },
  {
    alert: 'RequestsFail',
    expr: `sum(rate(grpc_server_handled_total${FAILED}[10m])) by (grpc_method) / sum(rate(grpc_server_handled_total[10m])) by (grpc_method) > 0.5`,
  },
  {
    alert: 'RequestsSlow',
    expr: 'histogram_quantile(0.99, sum(rate(grpc_server_handling_seconds_bucket{grpc_type="unary"}[10m])) by (grpc_method, le)) > 0.000001',
  },
  {
    alert: 'DiskMeasured',
    expr: 'histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[10m])) > 0 and histogram_quantile(0.99, rate(etcd_disk_backend_commit_duration_seconds_bucket[10m])) > 0',
  },
  {
    alert: 'PeersMeasured',
    expr: 'histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket[10m])) > 0',
  },
  { alert: 'QuotaNear', expr: 'etcd_mvcc_db_total_size_in_bytes / etcd_server_quota_backend_bytes > 0.95' },
  {
    alert: 'Fragmented',
    expr: 'etcd_mvcc_db_total_size_in_use_in_bytes / etcd_mvcc_db_total_size_in_bytes < 0.01',
  },
];

/** Which of the rules fire for a member that was scraped twice, ten minutes apart as the rules see it. */
async function firing(earlier: Scrape['values'], later: Scrape): Promise<string[]> {
  const directory = temporaryDirectory();
  // Prometheus's files are YAML, of which JSON is a part.
  const rules = RULES.map(({ alert, expr }) => ({ alert, expr: `count(${expr}) > 0` }));
  writeFileSync(join(directory, 'rules.yml'), JSON.stringify({ groups: [{ name: 'etcd', rules }] }));
  const series = [...later.values].map(([name, value]) => ({
    series: withLabels(name),
    values: `${earlier.get(name) ?? 0} ${value}`,
  }));
  const expectations = RULES.map(({ alert }) => ({ eval_time: '10m', alertname: alert, exp_alerts: [] }));
  const tests = [{ interval: '10m', input_series: series, alert_rule_test: expectations }];
  const file = join(directory, 'tests.yml');
  writeFileSync(file, JSON.stringify({ rule_files: ['rules.yml'], evaluation_interval: '10m', tests }));
  const { stdout, stderr } = await run(tool('promtool'), ['test', 'rules', file]);
  // That nothing fires is what is expected; whatever does is named.
  const fired = [...(stdout + stderr).matchAll(/alertname: ?(\w+)/g)].map(([, alert]) => alert!);
  assert.ok(fired.length > 0, stdout + stderr);
  return fired;
}

function withLabels(series: string): string {
  const labels = Object.entries(JOB)
    .map(([name, value]) => `${name}="${value}"`)
    .join();
  const brace = series.indexOf('{');
  if (brace < 0) return `${series}{${labels}}`;
  return `${series.slice(0, brace)}{${labels},${series.slice(brace + 1)}`;
}

test('rules fire when they should, and not before', options, async () => {
  const [url] = metricsUrls;
  for (let i = 0; i < 20; i++) await rpc.call('KV.Put', { key: 'a', value: 'x' });
  // A commit of the database and the round trips to the other member come by themselves, a little later.
  const well = await eventually('disk and peers are measured', async () => {
    const now = await scrape(url!);
    const isMeasured = (name: string): boolean =>
      [...now.values].some(([series, value]) => series.startsWith(name) && value > 0);
    const isDone =
      isMeasured('etcd_disk_backend_commit_duration_seconds_count') &&
      isMeasured('etcd_network_peer_round_trip_time_seconds_count');
    return isDone ? now : null;
  });
  assert.deepEqual(await firing(new Map(), well), ['RequestsSlow', 'DiskMeasured', 'PeersMeasured']);

  await members[1]!.kill();
  await eventually('the leader is gone', async () => {
    return (await scrape(url!)).values.get('etcd_server_has_leader') === 0;
  });
  assert.equal((await rpc.outcome('KV.Put', { key: 'a', value: 'x' })).ok, false);
  const fired = await firing(well.values, await scrape(url!));
  for (const alert of ['LeaderLost', 'PeerUnreachable', 'ProposalsFail', 'RequestsFail'])
    assert.ok(fired.includes(alert), `${alert} is not among ${fired}`);
  assert.ok(!fired.includes('QuotaNear') && !fired.includes('Fragmented'), fired.join());
});
