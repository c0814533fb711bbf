import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { GRPC_CODE_NAMES } from '@etcd/base';
import {
  Counter,
  exponentialBounds,
  Family,
  formatBound,
  Gauge,
  Histogram,
  OVERFLOW_LABEL,
} from '@etcd/host/metrics';
import fc from 'fast-check';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { METRIC_TABLE } from './metric-table.ts';
import { Metrics } from './metrics.ts';
import { metricsDocument } from './metrics-document.ts';

const featureGates = parseFeatureGates('LeaseCheckpoint=true').gates!;

function setUp(detail: 'basic' | 'extensive' = 'basic'): Metrics {
  return new Metrics({ detail, featureGates });
}

/** Values of a scrape by name and labels, and the types of the metrics. */
async function scrape(
  metrics: Metrics,
): Promise<{ values: Map<string, string>; types: Map<string, string> }> {
  const { text } = await metrics.render();
  const values = new Map<string, string>();
  const types = new Map<string, string>();
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    assert.ok(!values.has(line.slice(0, space)), `series printed twice: ${line}`);
    values.set(line.slice(0, space), line.slice(space + 1));
  }
  return { values, types };
}

test('what is counted is what a scrape shows', async () => {
  const metrics = setUp();
  const { handles } = metrics;
  handles.putTotal.inc();
  handles.putTotal.add(2);
  handles.hasLeader.set(1);
  let keys = 5;
  handles.keysTotal.readFrom(() => keys);
  const first = await scrape(metrics);
  assert.equal(first.values.get('etcd_mvcc_put_total'), '3');
  assert.equal(first.values.get('etcd_server_has_leader'), '1');
  assert.equal(first.values.get('etcd_debugging_mvcc_keys_total'), '5');
  keys = 7;
  assert.equal((await scrape(metrics)).values.get('etcd_debugging_mvcc_keys_total'), '7');
});

test('a histogram counts in cumulative buckets with the bounds of etcd', async () => {
  const metrics = setUp();
  for (const seconds of [0.0005, 0.001, 0.0011, 5, 100])
    metrics.handles.walFsyncDurationSeconds.observe(seconds);
  const { values, types } = await scrape(metrics);
  const name = 'etcd_disk_wal_fsync_duration_seconds';
  assert.equal(types.get(name), 'histogram');
  assert.equal(values.get(`${name}_bucket{le="0.001"}`), '2');
  assert.equal(values.get(`${name}_bucket{le="0.002"}`), '3');
  assert.equal(values.get(`${name}_bucket{le="8.192"}`), '4');
  assert.equal(values.get(`${name}_bucket{le="+Inf"}`), '5');
  assert.equal(values.get(`${name}_count`), '5');
  assert.ok(Math.abs(Number(values.get(`${name}_sum`)) - 105.0026) < 1e-9);
});

test('labels are sorted by name, le last', async () => {
  const metrics = setUp();
  metrics.handles.applyDurationSeconds.labels('v3', 'Put', 'true').observe(0.0003);
  const { values } = await scrape(metrics);
  const series =
    'etcd_server_apply_duration_seconds_bucket{op="Put",success="true",version="v3",le="0.0004"}';
  assert.equal(values.get(series), '1');
});

test('bounds are printed as Go prints them, so that members of both kinds add up', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0.0001, '0.0001'],
    [0.00005, '5e-05'],
    [0.001, '0.001'],
    [8.192, '8.192'],
    [819200, '819200'],
    [1048576, '1.048576e+06'],
    [8388608, '8.388608e+06'],
  ];
  for (const [bound, text] of cases) assert.equal(formatBound(bound), text);
  assert.deepEqual([...exponentialBounds(0.001, 2, 4)], [0.001, 0.002, 0.004, 0.008]);
});

test('an observation lies in the first bucket whose bound it does not exceed', () => {
  const bounds = exponentialBounds(0.001, 2, 14);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), (observations) => {
      const histogram = new Histogram(bounds);
      for (const value of observations) histogram.observe(value);
      assert.equal(histogram.count(), observations.length);
      let below = 0;
      for (const [i, bound] of bounds.entries()) {
        below += histogram.counts[i]!;
        assert.equal(below, observations.filter((value) => value <= bound).length);
      }
    }),
  );
});

test('S20 labels that clients choose can not make series without end', () => {
  const family = new Family(['type', 'client_api_version'], () => new Counter());
  for (let i = 0; i < 5000; i++) family.labels('unary', `v${i}`).inc();
  const series = [...family.series()];
  assert.equal(series.length, 1001);
  const overflow = series.find(({ labelValues }) => labelValues[0] === OVERFLOW_LABEL);
  assert.equal(overflow?.metric.value, 4000);
  assert.equal(family.labels('unary', 'v7').value, 1);
});

test('label values are escaped', async () => {
  const metrics = setUp();
  metrics.handles.learnerPromoteFailures.labels('said "no"\nand left\\').inc();
  const { text } = await metrics.render();
  assert.ok(
    text.includes('etcd_server_learner_promote_failures{Reason="said \\"no\\"\\nand left\\\\"} 1'),
    text,
  );
});

test('a change of the cluster version leaves one current version', async () => {
  const metrics = setUp();
  metrics.setClusterVersion('3.5');
  metrics.setClusterVersion('3.6');
  const { values } = await scrape(metrics);
  assert.equal(values.get('etcd_cluster_version{cluster_version="3.5"}'), '0');
  assert.equal(values.get('etcd_cluster_version{cluster_version="3.6"}'), '1');
});

test('versions and feature gates are there from the start', async () => {
  const { values } = await scrape(setUp());
  assert.equal(values.get('etcd_server_version{server_version="3.7.3"}'), '1');
  assert.equal(values.get('etcd_server_feature_enabled{name="LeaseCheckpoint",stage="ALPHA"}'), '1');
  assert.equal(values.get('etcd_server_feature_enabled{name="AllBeta",stage="BETA"}'), '0');
  assert.equal(values.get('etcd_debugging_mvcc_compact_revision'), '-1');
});

test('a registered method has all its series at zero, every status among them', async () => {
  const metrics = setUp();
  const put = metrics.grpc.register('etcdserverpb.KV', 'Put', 'unary');
  put.started += 2;
  put.handled[GRPC_CODE_NAMES.indexOf('OK')]!++;
  assert.equal(metrics.grpc.register('etcdserverpb.KV', 'Put', 'unary'), put);
  const { values, types } = await scrape(metrics);
  const labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"';
  assert.equal(values.get(`grpc_server_started_total{${labels}}`), '2');
  assert.equal(values.get(`grpc_server_msg_sent_total{${labels}}`), '0');
  assert.equal(values.get(`grpc_server_handled_total{grpc_code="OK",${labels}}`), '1');
  assert.equal(values.get(`grpc_server_handled_total{grpc_code="DataLoss",${labels}}`), '0');
  assert.equal([...values.keys()].filter((key) => key.startsWith('grpc_server_handled_total')).length, 17);
  assert.equal(types.has('grpc_server_handling_seconds'), false);
});

test('latencies of RPCs are shown when --metrics=extensive', async () => {
  const metrics = setUp('extensive');
  metrics.grpc.register('etcdserverpb.KV', 'Range', 'unary').handlingSeconds?.observe(0.02);
  const { values } = await scrape(metrics);
  const labels = 'grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"';
  assert.equal(values.get(`grpc_server_handling_seconds_bucket{${labels},le="0.01"}`), '0');
  assert.equal(values.get(`grpc_server_handling_seconds_bucket{${labels},le="0.025"}`), '1');
});

test('the process is measured with the names of other exporters', async () => {
  const { values, types } = await scrape(setUp());
  for (const name of [
    'process_cpu_seconds_total',
    'process_open_fds',
    'process_max_fds',
    'process_resident_memory_bytes',
    'process_start_time_seconds',
    'process_virtual_memory_bytes',
    'os_fd_used',
    'os_fd_limit',
    'nodejs_heap_size_used_bytes',
  ]) {
    assert.ok(Number(values.get(name)) > 0, `${name}: ${values.get(name)}`);
  }
  assert.equal(types.get('nodejs_eventloop_lag_seconds'), 'gauge');
});

test('scrapes are counted, and may come at the same time', async () => {
  const metrics = setUp();
  const [first, second] = await Promise.all([metrics.render(), metrics.render()]);
  assert.match(first.contentType, /^text\/plain; version=0\.0\.4/);
  assert.ok(first.text.includes('promhttp_metric_handler_requests_in_flight 2'));
  assert.ok(second.text.length > 0);
  const { values } = await scrape(metrics);
  assert.equal(values.get('promhttp_metric_handler_requests_total{code="200"}'), '2');
});

test('a source that fails fails the scrape, and the next one works', async () => {
  const metrics = setUp();
  let works = false;
  metrics.handles.dbTotalSizeBytes.readFrom(() => {
    if (!works) throw new Error('closed');
    return 1;
  });
  await assert.rejects(metrics.render(), /closed/);
  works = true;
  const { values } = await scrape(metrics);
  assert.equal(values.get('promhttp_metric_handler_requests_total{code="500"}'), '1');
  assert.equal(values.get('promhttp_metric_handler_requests_in_flight'), '1');
});

test('no two metrics share a name, and every help is a sentence', () => {
  const definitions = Object.values(METRIC_TABLE);
  assert.equal(new Set(definitions.map(({ name }) => name)).size, definitions.length);
  for (const { name, help } of definitions) assert.match(help, /^[A-Z0-9].*\.$/, name);
});

test('gauges move both ways', () => {
  const gauge = new Gauge();
  gauge.add(3);
  gauge.add(-1);
  assert.equal(gauge.value, 2);
});

test('docs/metrics.md is what the table says', () => {
  const written = readFileSync(new URL('../../../../docs/metrics.md', import.meta.url), 'utf8');
  assert.equal(written, metricsDocument(), 'run: node packages/server/src/metrics/metrics-document.ts');
});
