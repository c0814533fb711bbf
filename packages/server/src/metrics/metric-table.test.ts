import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Definition, exponentialBounds, Family, Histogram } from '@etcd/host/metrics';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { FEATURE_NAMES, FEATURES } from '../config/index.ts';
import { ABSENT_METRICS } from './absent-metrics.ts';
import { createHandles, METRIC_TABLE } from './metric-table.ts';
import { Metrics } from './metrics.ts';
import { metricsDocument } from './metrics-document.ts';

/** etcd's metrics by name: type, labels, and start, factor and number of the bounds of a histogram. */
const ETCD_METRICS = `
etcd_cluster_version gauge {cluster_version}
etcd_debugging_auth_revision gauge
etcd_debugging_disk_backend_commit_rebalance_duration_seconds histogram 0.001*2^14
etcd_debugging_disk_backend_commit_spill_duration_seconds histogram 0.001*2^14
etcd_debugging_disk_backend_commit_write_duration_seconds histogram 0.001*2^14
etcd_debugging_lease_granted_total counter
etcd_debugging_lease_renewed_total counter
etcd_debugging_lease_revoked_total counter
etcd_debugging_lease_ttl_total histogram 1*2^24
etcd_debugging_mvcc_compact_revision gauge
etcd_debugging_mvcc_current_revision gauge
etcd_debugging_mvcc_db_compaction_keys_total counter
etcd_debugging_mvcc_db_compaction_last gauge
etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds histogram 1*2^13
etcd_debugging_mvcc_db_compaction_total_duration_milliseconds histogram 100*2^14
etcd_debugging_mvcc_events_total counter
etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds histogram 0.5*2^14
etcd_debugging_mvcc_keys_total gauge
etcd_debugging_mvcc_pending_events_total gauge
etcd_debugging_mvcc_slow_watcher_total gauge
etcd_debugging_mvcc_total_put_size_in_bytes gauge
etcd_debugging_mvcc_watch_stream_total gauge
etcd_debugging_mvcc_watcher_total gauge
etcd_debugging_server_alarms gauge {server_id,alarm_type}
etcd_debugging_server_lease_expired_total counter
etcd_debugging_snap_save_marshalling_duration_seconds histogram 0.001*2^14
etcd_debugging_snap_save_total_duration_seconds histogram 0.001*2^14
etcd_debugging_store_expires_total counter
etcd_debugging_store_reads_failed_total counter {action}
etcd_debugging_store_reads_total counter {action}
etcd_debugging_store_watch_requests_total counter
etcd_debugging_store_watchers gauge
etcd_debugging_store_writes_failed_total counter {action}
etcd_debugging_store_writes_total counter {action}
etcd_disk_backend_commit_duration_seconds histogram 0.001*2^14
etcd_disk_backend_defrag_duration_seconds histogram 0.1*2^13
etcd_disk_backend_snapshot_duration_seconds histogram 0.01*2^17
etcd_disk_defrag_inflight gauge
etcd_disk_wal_fsync_duration_seconds histogram 0.001*2^14
etcd_disk_wal_write_bytes_total gauge
etcd_disk_wal_write_duration_seconds histogram 0.001*2^14
etcd_grpc_proxy_cache_hits_total gauge
etcd_grpc_proxy_cache_keys_total gauge
etcd_grpc_proxy_cache_misses_total gauge
etcd_grpc_proxy_events_coalescing_total counter
etcd_grpc_proxy_watchers_coalescing_total gauge
etcd_mvcc_db_open_read_transactions gauge
etcd_mvcc_db_total_size_in_bytes gauge
etcd_mvcc_db_total_size_in_use_in_bytes gauge
etcd_mvcc_delete_total counter
etcd_mvcc_hash_duration_seconds histogram 0.01*2^15
etcd_mvcc_hash_rev_duration_seconds histogram 0.01*2^15
etcd_mvcc_put_total counter
etcd_mvcc_range_total counter
etcd_mvcc_txn_total counter
etcd_network_active_peers gauge {Local,Remote}
etcd_network_client_grpc_received_bytes_total counter
etcd_network_client_grpc_sent_bytes_total counter
etcd_network_disconnected_peers_total counter {Local,Remote}
etcd_network_known_peers gauge {Local,Remote}
etcd_network_peer_received_bytes_total counter {From}
etcd_network_peer_received_failures_total counter {From}
etcd_network_peer_round_trip_time_seconds histogram {To} 0.0001*2^16
etcd_network_peer_sent_bytes_total counter {To}
etcd_network_peer_sent_failures_total counter {To}
etcd_network_server_stream_failures_total counter {Type,API}
etcd_network_snapshot_receive_failures counter {From}
etcd_network_snapshot_receive_inflights_total gauge {From}
etcd_network_snapshot_receive_success counter {From}
etcd_network_snapshot_receive_total_duration_seconds histogram {From} 0.1*2^10
etcd_network_snapshot_send_failures counter {To}
etcd_network_snapshot_send_inflights_total gauge {To}
etcd_network_snapshot_send_success counter {To}
etcd_network_snapshot_send_total_duration_seconds histogram {To} 0.1*2^10
etcd_server_apply_duration_seconds histogram {version,op,success} 0.0001*2^20
etcd_server_client_requests_total counter {type,client_api_version}
etcd_server_feature_enabled gauge {name,stage}
etcd_server_go_version gauge {server_go_version}
etcd_server_has_leader gauge
etcd_server_health_failures counter
etcd_server_health_success counter
etcd_server_healthcheck gauge {type,name}
etcd_server_healthchecks_total counter {type,name,status}
etcd_server_heartbeat_send_failures_total counter
etcd_server_id gauge {server_id}
etcd_server_is_leader gauge
etcd_server_is_learner gauge
etcd_server_leader_changes_seen_total counter
etcd_server_learner_promote_failures counter {Reason}
etcd_server_learner_promote_successes counter
etcd_server_proposals_applied_total gauge
etcd_server_proposals_committed_total gauge
etcd_server_proposals_failed_total counter
etcd_server_proposals_pending gauge
etcd_server_quota_backend_bytes gauge
etcd_server_range_duration_seconds histogram {success} 0.0001*2^20
etcd_server_read_indexes_failed_total counter
etcd_server_request_duration_seconds histogram {type,success} 0.001*2^14
etcd_server_slow_apply_total counter
etcd_server_slow_read_indexes_total counter
etcd_server_snapshot_apply_in_progress_total gauge
etcd_server_version gauge {server_version}
etcd_snap_db_fsync_duration_seconds histogram 0.001*2^14
etcd_snap_db_save_total_duration_seconds histogram 0.1*2^10
etcd_snap_fsync_duration_seconds histogram 0.001*2^14
os_fd_limit gauge
os_fd_used gauge
process_network_receive_bytes_total counter
process_network_transmit_bytes_total counter
process_virtual_memory_max_bytes gauge
promhttp_metric_handler_requests_in_flight gauge
promhttp_metric_handler_requests_total counter {code}
`;

/** The others that etcd has: of its gRPC server and client, of its runtime, its process; of parts that it alone has. */
const OTHER_METRICS = `
etcd_debugging_server_watch_send_loop_control_stream_duration_seconds histogram
etcd_debugging_server_watch_send_loop_progress_duration_seconds histogram
etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds histogram
etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds histogram
go_gc_duration_seconds summary {quantile}
go_gc_gogc_percent gauge
go_gc_gomemlimit_bytes gauge
go_goroutines gauge
go_info gauge {version}
go_memstats_alloc_bytes gauge
go_memstats_alloc_bytes_total counter
go_memstats_buck_hash_sys_bytes gauge
go_memstats_frees_total counter
go_memstats_gc_sys_bytes gauge
go_memstats_heap_alloc_bytes gauge
go_memstats_heap_idle_bytes gauge
go_memstats_heap_inuse_bytes gauge
go_memstats_heap_objects gauge
go_memstats_heap_released_bytes gauge
go_memstats_heap_sys_bytes gauge
go_memstats_last_gc_time_seconds gauge
go_memstats_mallocs_total counter
go_memstats_mcache_inuse_bytes gauge
go_memstats_mcache_sys_bytes gauge
go_memstats_mspan_inuse_bytes gauge
go_memstats_mspan_sys_bytes gauge
go_memstats_next_gc_bytes gauge
go_memstats_other_sys_bytes gauge
go_memstats_stack_inuse_bytes gauge
go_memstats_stack_sys_bytes gauge
go_memstats_sys_bytes gauge
go_sched_gomaxprocs_threads gauge
go_threads gauge
grpc_client_* counter {grpc_method,grpc_service,grpc_type}
grpc_server_handled_total counter {grpc_code,grpc_method,grpc_service,grpc_type}
grpc_server_handling_seconds histogram {grpc_method,grpc_service,grpc_type}
grpc_server_msg_received_total counter {grpc_method,grpc_service,grpc_type}
grpc_server_msg_sent_total counter {grpc_method,grpc_service,grpc_type}
grpc_server_started_total counter {grpc_method,grpc_service,grpc_type}
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_virtual_memory_bytes gauge
`;

/** What other releases do not have, because they do not do it. */
const OWN_METRICS = [
  'etcd_network_certificate_expires_in_seconds',
  'etcd_network_rejected_connections_total',
  'etcd_server_auth_refusals_total',
  'etcd_server_auto_defrag_freed_bytes_total',
  'etcd_server_auto_defrags_total',
  'etcd_server_backup_changes_revision',
  'etcd_server_backup_duration_seconds',
  'etcd_server_backup_newest_timestamp_seconds',
  'etcd_server_backup_overdue',
  'etcd_server_backup_stored_bytes',
  'etcd_server_backups_total',
  'etcd_server_cluster_version_kept',
  'etcd_server_integrity_compared_revisions_total',
  'etcd_server_integrity_differing_members',
  'etcd_server_integrity_fenced',
  'etcd_server_integrity_mismatches_total',
];

interface Expected {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly bounds: readonly number[] | null;
}

function parseLine(line: string): Expected {
  const [, name, type, labels, start, factor, count] =
    /^(\S+) (\S+)(?: \{(\S+)\})?(?: ([\d.e-]+)\*([\d.]+)\^(\d+))?$/.exec(line)!;
  const bounds =
    start === undefined ? null : [...exponentialBounds(Number(start), Number(factor), Number(count))];
  return { name: name!, type: type!, labels: labels?.split(',') ?? [], bounds };
}

const EXPECTED = ETCD_METRICS.trim().split('\n').map(parseLine);
const DEFINITIONS = new Map<string, Definition>(
  Object.values(METRIC_TABLE).map((definition) => [definition.name, definition]),
);
const featureGates = parseFeatureGates('').gates!;

async function scrape(metrics: Metrics): Promise<string[]> {
  return (await metrics.render()).text.split('\n');
}

test('every metric of etcd is there under its name, with its type, labels and bounds', () => {
  for (const { name, type, labels, bounds } of EXPECTED) {
    const definition = DEFINITIONS.get(name);
    assert.ok(definition !== undefined, name);
    assert.equal(definition.type, type, name);
    const handle = definition.create();
    const labelNames = handle instanceof Family ? handle.labelNames : [];
    assert.deepEqual(labelNames.toSorted(), labels.toSorted(), name);
    const one = handle instanceof Family ? handle.labels(...labels.map(() => 'x')) : handle;
    assert.deepEqual(one instanceof Histogram ? [...one.bounds] : null, bounds, name);
  }
});

test('every other metric of etcd is served with its type and labels, or the document says why not', async () => {
  const metrics = new Metrics({ detail: 'extensive', featureGates });
  metrics.grpc.register('a.Service', 'Method', 'unary');
  const lines = await scrape(metrics);
  const document = metricsDocument();
  for (const { name, type, labels } of OTHER_METRICS.trim().split('\n').map(parseLine)) {
    const isServed = lines.includes(`# TYPE ${name} ${type}`);
    assert.notEqual(isServed, name in ABSENT_METRICS, name);
    if (!isServed) assert.ok(document.includes(`| \`${name}\` `), `${name} is not in the document`);
    if (!isServed || labels.length === 0) continue;
    const series = lines.find((line) => line.startsWith(`${name}{`) || line.startsWith(`${name}_bucket{`));
    const found = [...series!.matchAll(/(\w+)="/g)]
      .map(([, label]) => label!)
      .filter((label) => label !== 'le');
    assert.deepEqual(found.toSorted(), labels, name);
  }
});

test('what is said to be absent is', async () => {
  const lines = await scrape(new Metrics({ detail: 'extensive', featureGates }));
  for (const name of Object.keys(ABSENT_METRICS)) {
    const isServed = lines.some((line) => line.startsWith(`# TYPE ${name.replace('*', '')}`));
    assert.equal(isServed, false, name);
  }
});

test('a metric that etcd does not have is known to be our own', () => {
  const known = new Set(EXPECTED.map(({ name }) => name));
  assert.deepEqual([...DEFINITIONS.keys()].filter((name) => !known.has(name)).sort(), OWN_METRICS);
});

test('a first scrape shows whatever has no labels at zero, and of the rest the names at least', async () => {
  const lines = await scrape(new Metrics({ detail: 'basic', featureGates }));
  const values = new Map(lines.map((line) => line.split(' ') as [string, string]));
  for (const { name, type, labels } of EXPECTED) {
    assert.ok(lines.includes(`# TYPE ${name} ${type}`), name);
    if (labels.length > 0 || /^(os|process|promhttp)_|compact_revision$/.test(name)) continue;
    assert.equal(values.get(type === 'histogram' ? `${name}_count` : name), '0', name);
  }
});

test('families are printed once each, those of etcd and gRPC in order, with a help before the type', async () => {
  const lines = await scrape(new Metrics({ detail: 'extensive', featureGates }));
  const names = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2]!);
  assert.equal(new Set(names).size, names.length);
  const ordered = names.filter((name) => /^(etcd|go|grpc)_/.test(name));
  assert.deepEqual(ordered, ordered.toSorted());
  assert.ok(ordered.length > EXPECTED.length - 10);
  for (const [i, line] of lines.entries()) {
    if (line.startsWith('# TYPE ')) assert.ok(lines[i - 1]!.startsWith(`# HELP ${line.split(' ')[2]} `));
  }
});

test('every histogram ends with a bucket that holds all, which is its count', async () => {
  const metrics = new Metrics({ detail: 'basic', featureGates });
  for (const handle of Object.values(metrics.handles)) {
    if (handle instanceof Histogram) for (const value of [0, 1, 1e9]) handle.observe(value);
  }
  const lines = await scrape(metrics);
  for (const { name, type, labels, bounds } of EXPECTED) {
    if (type !== 'histogram' || labels.length > 0) continue;
    assert.ok(lines.includes(`${name}_bucket{le="+Inf"} 3`), name);
    assert.ok(lines.includes(`${name}_count 3`), name);
    const buckets = lines.filter((line) => line.startsWith(`${name}_bucket{`));
    assert.equal(buckets.length, bounds!.length + 1, name);
  }
});

test('every gate is shown with its stage and whether it is on', async () => {
  for (const isOn of [true, false]) {
    const gates = parseFeatureGates(FEATURE_NAMES.map((name) => `${name}=${isOn}`).join()).gates!;
    const lines = await scrape(new Metrics({ detail: 'basic', featureGates: gates }));
    for (const name of FEATURE_NAMES) {
      const series = `etcd_server_feature_enabled{name="${name}",stage="${FEATURES[name].stage}"}`;
      assert.ok(lines.includes(`${series} ${isOn ? 1 : 0}`), name);
    }
  }
});

test('the cluster version stays the current one when it is set again, and is absent before it is known', async () => {
  const metrics = new Metrics({ detail: 'basic', featureGates });
  const versions = async () =>
    (await scrape(metrics)).filter((line) => line.startsWith('etcd_cluster_version{'));
  assert.deepEqual(await versions(), []);
  metrics.setClusterVersion('3.6');
  metrics.setClusterVersion('3.6');
  assert.deepEqual(await versions(), ['etcd_cluster_version{cluster_version="3.6"} 1']);
  metrics.setClusterVersion('3.5');
  metrics.setClusterVersion('3.6');
  assert.deepEqual((await versions()).toSorted(), [
    'etcd_cluster_version{cluster_version="3.5"} 0',
    'etcd_cluster_version{cluster_version="3.6"} 1',
  ]);
});

test('members of one process count for themselves', () => {
  const [first, second] = [createHandles(), createHandles()];
  first.putTotal.inc();
  first.activePeers.labels('a', 'b').set(1);
  assert.equal(second.putTotal.value, 0);
  assert.deepEqual([...second.activePeers.series()], []);
});
