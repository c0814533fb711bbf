/**
 * Every metric of a member, under etcd's names, labels and bucket bounds. The keys are the handles' names in
 * {@link Metrics}. Metrics of parts that this implementation does not have (the v2 store, the gRPC proxy) are here
 * because etcd shows them on every member, as zeros.
 */
import {
  counter,
  counters,
  exponentialBounds,
  gauge,
  gauges,
  type Handle,
  histogram,
  histograms,
} from '@etcd/host/metrics';

/** 1 ms to 8.2 s. */
const DISK_SECONDS = exponentialBounds(0.001, 2, 14);
/** 100 µs to 52 s. */
const APPLY_SECONDS = exponentialBounds(0.0001, 2, 20);
/** 10 ms to 164 s. */
const HASH_SECONDS = exponentialBounds(0.01, 2, 15);
/** 100 ms to 51 s. */
const SNAPSHOT_SECONDS = exponentialBounds(0.1, 2, 10);

/** Of the cluster's own backups: what a member that has none does not show. */
const BACKUPS = {
  backupNewestTimestampSeconds: gauges(
    'etcd_server_backup_newest_timestamp_seconds',
    'When the newest backup was made, in seconds since 1970; 0 when there is none.',
    ['store'],
  ),
  backupOverdue: gauges(
    'etcd_server_backup_overdue',
    '1 while the newest backup is older than --backup-max-age.',
    ['store'],
  ),
  backupsTotal: counters('etcd_server_backups_total', 'Backups that this member began, by success.', [
    'success',
  ]),
  backupStoredBytes: gauges('etcd_server_backup_stored_bytes', 'Size of the last backup of this member.', [
    'store',
  ]),
  backupDurationSeconds: gauges('etcd_server_backup_duration_seconds', 'Time that the last backup took.', [
    'store',
  ]),
  backupChangesRevision: gauges(
    'etcd_server_backup_changes_revision',
    'Revision up to which this member has brought changes to the store.',
    ['store'],
  ),
};

const DEFRAG = {
  autoDefragsTotal: counter(
    'etcd_server_auto_defrags_total',
    'Defragmentations that --auto-defrag-rule asked for.',
  ),
  autoDefragFreedBytesTotal: counter(
    'etcd_server_auto_defrag_freed_bytes_total',
    'Bytes by which they made the database shorter.',
  ),
};

const SERVER = {
  clusterVersion: gauges('etcd_cluster_version', 'Version of the cluster; the current one has value 1.', [
    'cluster_version',
  ]),
  clusterVersionKept: gauge(
    'etcd_server_cluster_version_kept',
    '1 while this member, as leader, keeps the cluster at a version that all could leave.',
  ),
  applyDurationSeconds: histograms(
    'etcd_server_apply_duration_seconds',
    'Time to apply an entry, by kind of request.',
    ['version', 'op', 'success'],
    APPLY_SECONDS,
  ),
  rangeDurationSeconds: histograms(
    'etcd_server_range_duration_seconds',
    'Time to answer a range from the store.',
    ['success'],
    APPLY_SECONDS,
  ),
  requestDurationSeconds: histograms(
    'etcd_server_request_duration_seconds',
    'Time from a request to its answer, by kind of request.',
    ['type', 'success'],
    DISK_SECONDS,
  ),
  clientRequestsTotal: counters(
    'etcd_server_client_requests_total',
    'Requests, by API version of the client.',
    ['type', 'client_api_version'],
  ),
  featureEnabled: gauges('etcd_server_feature_enabled', 'Feature gates: 1 when on.', ['name', 'stage']),
  goVersion: gauges('etcd_server_go_version', 'What the server runs on; the value is 1.', [
    'server_go_version',
  ]),
  serverVersion: gauges('etcd_server_version', 'Version of the server; the value is 1.', ['server_version']),
  serverId: gauges('etcd_server_id', 'Id of the member in hexadecimal; the value is 1.', ['server_id']),
  integrityFenced: gauge(
    'etcd_server_integrity_fenced',
    '1 when the data of this member differ from those of the majority, and it serves no clients.',
  ),
  integrityDifferingMembers: gauge(
    'etcd_server_integrity_differing_members',
    'Members whose data are known to differ from those of the majority.',
  ),
  integrityMismatchesTotal: counter(
    'etcd_server_integrity_mismatches_total',
    'Comparisons of data with other members that found a difference.',
  ),
  integrityComparedRevisionsTotal: counter(
    'etcd_server_integrity_compared_revisions_total',
    'Revisions whose changes were the same here and on another member.',
  ),
  hasLeader: gauge('etcd_server_has_leader', '1 when the member knows a leader.'),
  isLeader: gauge('etcd_server_is_leader', '1 when the member leads.'),
  isLearner: gauge('etcd_server_is_learner', '1 when the member is a learner.'),
  leaderChangesSeenTotal: counter('etcd_server_leader_changes_seen_total', 'Changes of leader seen.'),
  heartbeatSendFailuresTotal: counter(
    'etcd_server_heartbeat_send_failures_total',
    'Heartbeats that the leader sent too late; a slow disk is the usual reason.',
  ),
  slowApplyTotal: counter('etcd_server_slow_apply_total', 'Entries that took long to apply.'),
  applySnapshotInProgress: gauge(
    'etcd_server_snapshot_apply_in_progress_total',
    '1 while a snapshot of the leader is being applied.',
  ),
  proposalsCommittedTotal: gauge(
    'etcd_server_proposals_committed_total',
    'Index of the last committed entry.',
  ),
  proposalsAppliedTotal: gauge('etcd_server_proposals_applied_total', 'Index of the last applied entry.'),
  proposalsPending: gauge('etcd_server_proposals_pending', 'Proposals that wait to be committed.'),
  proposalsFailedTotal: counter('etcd_server_proposals_failed_total', 'Proposals that failed.'),
  slowReadIndexesTotal: counter(
    'etcd_server_slow_read_indexes_total',
    'Linearizable reads whose confirmation took long or timed out.',
  ),
  readIndexesFailedTotal: counter(
    'etcd_server_read_indexes_failed_total',
    'Linearizable reads not confirmed.',
  ),
  quotaBackendBytes: gauge('etcd_server_quota_backend_bytes', 'Quota of the database in bytes.'),
  healthSuccess: counter('etcd_server_health_success', 'Health checks that found the member healthy.'),
  healthFailures: counter('etcd_server_health_failures', 'Health checks that found the member unhealthy.'),
  healthcheck: gauges('etcd_server_healthcheck', 'Result of the last check: 1 when it passed.', [
    'type',
    'name',
  ]),
  healthchecksTotal: counters('etcd_server_healthchecks_total', 'Results of checks.', [
    'type',
    'name',
    'status',
  ]),
  learnerPromoteSuccesses: counter(
    'etcd_server_learner_promote_successes',
    'Learners promoted while this member led.',
  ),
  learnerPromoteFailures: counters(
    'etcd_server_learner_promote_failures',
    'Promotions of learners refused while this member led.',
    ['Reason'],
  ),
  alarms: gauges('etcd_debugging_server_alarms', 'Alarms: 1 when raised.', ['server_id', 'alarm_type']),
  leaseExpiredTotal: counter('etcd_debugging_server_lease_expired_total', 'Leases that expired.'),
  authRevision: gauge('etcd_debugging_auth_revision', 'Revision of users, roles and permissions.'),
  authRefusalsTotal: counters(
    'etcd_server_auth_refusals_total',
    'Refused tokens, logins and changes of users and roles.',
    ['reason'],
  ),
} as const;

const LEASE = {
  leaseGrantedTotal: counter('etcd_debugging_lease_granted_total', 'Leases granted.'),
  leaseRevokedTotal: counter('etcd_debugging_lease_revoked_total', 'Leases revoked.'),
  leaseRenewedTotal: counter('etcd_debugging_lease_renewed_total', 'Leases renewed while this member led.'),
  leaseTtlTotal: histogram(
    'etcd_debugging_lease_ttl_total',
    'Granted leases by their time to live in seconds.',
    exponentialBounds(1, 2, 24),
  ),
} as const;

const MVCC = {
  rangeTotal: counter('etcd_mvcc_range_total', 'Ranges served by the store.'),
  putTotal: counter('etcd_mvcc_put_total', 'Puts applied to the store.'),
  deleteTotal: counter('etcd_mvcc_delete_total', 'Deletions applied to the store.'),
  txnTotal: counter('etcd_mvcc_txn_total', 'Transactions applied to the store.'),
  dbTotalSizeBytes: gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the database file.'),
  dbTotalSizeInUseBytes: gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'The part of it that holds data.'),
  dbOpenReadTransactions: gauge(
    'etcd_mvcc_db_open_read_transactions',
    'Open read transactions of the database.',
  ),
  hashDurationSeconds: histogram(
    'etcd_mvcc_hash_duration_seconds',
    'Time to hash the whole database.',
    HASH_SECONDS,
  ),
  hashRevDurationSeconds: histogram(
    'etcd_mvcc_hash_rev_duration_seconds',
    'Time to hash the store at a revision.',
    HASH_SECONDS,
  ),
  keysTotal: gauge('etcd_debugging_mvcc_keys_total', 'Keys in the store.'),
  watchStreamTotal: gauge('etcd_debugging_mvcc_watch_stream_total', 'Watch streams.'),
  watcherTotal: gauge('etcd_debugging_mvcc_watcher_total', 'Watchers.'),
  slowWatcherTotal: gauge('etcd_debugging_mvcc_slow_watcher_total', 'Watchers that are behind.'),
  eventsTotal: counter('etcd_debugging_mvcc_events_total', 'Events sent to watchers.'),
  pendingEventsTotal: gauge(
    'etcd_debugging_mvcc_pending_events_total',
    'Always 0: events do not queue; a watcher whose client does not read becomes a slow one.',
  ),
  totalPutSizeBytes: gauge(
    'etcd_debugging_mvcc_total_put_size_in_bytes',
    'Size of all keys and values ever put.',
  ),
  currentRevision: gauge('etcd_debugging_mvcc_current_revision', 'Revision of the store.'),
  compactRevision: gauge('etcd_debugging_mvcc_compact_revision', 'Revision of the last compaction.'),
  dbCompactionKeysTotal: counter(
    'etcd_debugging_mvcc_db_compaction_keys_total',
    'Revisions removed by compactions.',
  ),
  dbCompactionLast: gauge('etcd_debugging_mvcc_db_compaction_last', 'Unix time of the last compaction.'),
  dbCompactionPauseMilliseconds: histogram(
    'etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds',
    'Time of one step of a compaction.',
    exponentialBounds(1, 2, 13),
  ),
  dbCompactionTotalMilliseconds: histogram(
    'etcd_debugging_mvcc_db_compaction_total_duration_milliseconds',
    'Time of a whole compaction.',
    exponentialBounds(100, 2, 14),
  ),
  indexCompactionPauseMilliseconds: histogram(
    'etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds',
    'The same: a step works on index and database together.',
    exponentialBounds(0.5, 2, 14),
  ),
} as const;

const DISK = {
  walFsyncDurationSeconds: histogram(
    'etcd_disk_wal_fsync_duration_seconds',
    'Time of a sync of the log.',
    DISK_SECONDS,
  ),
  walWriteDurationSeconds: histogram(
    'etcd_disk_wal_write_duration_seconds',
    'Time of a write to the log.',
    DISK_SECONDS,
  ),
  walWriteBytesTotal: gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.'),
  backendCommitDurationSeconds: histogram(
    'etcd_disk_backend_commit_duration_seconds',
    'Time of a commit of the database.',
    DISK_SECONDS,
  ),
  backendDefragDurationSeconds: histogram(
    'etcd_disk_backend_defrag_duration_seconds',
    'Time of a defragmentation.',
    exponentialBounds(0.1, 2, 13),
  ),
  backendSnapshotDurationSeconds: histogram(
    'etcd_disk_backend_snapshot_duration_seconds',
    'Time to send the database as a snapshot.',
    exponentialBounds(0.01, 2, 17),
  ),
  defragInflight: gauge('etcd_disk_defrag_inflight', '1 while the database is being defragmented.'),
  backendCommitRebalanceSeconds: histogram(
    'etcd_debugging_disk_backend_commit_rebalance_duration_seconds',
    'Time that a commit spends merging pages.',
    DISK_SECONDS,
  ),
  backendCommitSpillSeconds: histogram(
    'etcd_debugging_disk_backend_commit_spill_duration_seconds',
    'Time that a commit spends laying out pages.',
    DISK_SECONDS,
  ),
  backendCommitWriteSeconds: histogram(
    'etcd_debugging_disk_backend_commit_write_duration_seconds',
    'Time that a commit spends writing pages.',
    DISK_SECONDS,
  ),
  snapFsyncDurationSeconds: histogram(
    'etcd_snap_fsync_duration_seconds',
    'Time of a sync of a raft snapshot.',
    DISK_SECONDS,
  ),
  snapDbFsyncDurationSeconds: histogram(
    'etcd_snap_db_fsync_duration_seconds',
    'Time of a sync of a received database.',
    DISK_SECONDS,
  ),
  snapDbSaveTotalDurationSeconds: histogram(
    'etcd_snap_db_save_total_duration_seconds',
    'Time to store a received database.',
    SNAPSHOT_SECONDS,
  ),
  snapSaveTotalDurationSeconds: histogram(
    'etcd_debugging_snap_save_total_duration_seconds',
    'Time to store a raft snapshot.',
    DISK_SECONDS,
  ),
  snapSaveMarshallingSeconds: histogram(
    'etcd_debugging_snap_save_marshalling_duration_seconds',
    'Time to encode a raft snapshot.',
    DISK_SECONDS,
  ),
} as const;

const NETWORK = {
  clientGrpcSentBytesTotal: counter(
    'etcd_network_client_grpc_sent_bytes_total',
    'Bytes of messages to gRPC clients.',
  ),
  clientGrpcReceivedBytesTotal: counter(
    'etcd_network_client_grpc_received_bytes_total',
    'Bytes of messages from gRPC clients.',
  ),
  serverStreamFailuresTotal: counters(
    'etcd_network_server_stream_failures_total',
    'Streams to clients that failed.',
    ['Type', 'API'],
  ),
  knownPeers: gauges('etcd_network_known_peers', 'Members known.', ['Local', 'Remote']),
  activePeers: gauges('etcd_network_active_peers', 'Members connected.', ['Local', 'Remote']),
  disconnectedPeersTotal: counters('etcd_network_disconnected_peers_total', 'Connections lost to members.', [
    'Local',
    'Remote',
  ]),
  peerSentBytesTotal: counters('etcd_network_peer_sent_bytes_total', 'Bytes sent to members.', ['To']),
  peerReceivedBytesTotal: counters('etcd_network_peer_received_bytes_total', 'Bytes received from members.', [
    'From',
  ]),
  peerSentFailuresTotal: counters('etcd_network_peer_sent_failures_total', 'Messages not sent to members.', [
    'To',
  ]),
  peerReceivedFailuresTotal: counters(
    'etcd_network_peer_received_failures_total',
    'Messages of members not understood.',
    ['From'],
  ),
  peerRoundTripTimeSeconds: histograms(
    'etcd_network_peer_round_trip_time_seconds',
    'Round trip to members.',
    ['To'],
    exponentialBounds(0.0001, 2, 16),
  ),
  snapshotSendSuccess: counters('etcd_network_snapshot_send_success', 'Snapshots sent.', ['To']),
  snapshotSendFailures: counters('etcd_network_snapshot_send_failures', 'Snapshots not sent.', ['To']),
  snapshotSendInflights: gauges('etcd_network_snapshot_send_inflights_total', 'Snapshots being sent.', [
    'To',
  ]),
  snapshotSendDurationSeconds: histograms(
    'etcd_network_snapshot_send_total_duration_seconds',
    'Time to send a snapshot.',
    ['To'],
    SNAPSHOT_SECONDS,
  ),
  snapshotReceiveSuccess: counters('etcd_network_snapshot_receive_success', 'Snapshots received.', ['From']),
  rejectedConnectionsTotal: counters(
    'etcd_network_rejected_connections_total',
    'Connections refused in or right after the TLS handshake.',
    ['endpoint'],
  ),
  certificateExpiresInSeconds: gauges(
    'etcd_network_certificate_expires_in_seconds',
    'Seconds until a certificate in use is not valid any more.',
    ['path'],
  ),
  snapshotReceiveFailures: counters('etcd_network_snapshot_receive_failures', 'Snapshots not received.', [
    'From',
  ]),
  snapshotReceiveInflights: gauges(
    'etcd_network_snapshot_receive_inflights_total',
    'Snapshots being received.',
    ['From'],
  ),
  snapshotReceiveDurationSeconds: histograms(
    'etcd_network_snapshot_receive_total_duration_seconds',
    'Time to receive a snapshot.',
    ['From'],
    SNAPSHOT_SECONDS,
  ),
} as const;

const PROCESS = {
  osFdLimit: gauge('os_fd_limit', 'Limit on open file descriptors.'),
  osFdUsed: gauge('os_fd_used', 'Open file descriptors.'),
  processVirtualMemoryMaxBytes: gauge('process_virtual_memory_max_bytes', 'Limit on address space in bytes.'),
  processNetworkReceiveBytesTotal: counter(
    'process_network_receive_bytes_total',
    'Bytes that the network namespace of the process received.',
  ),
  processNetworkTransmitBytesTotal: counter(
    'process_network_transmit_bytes_total',
    'Bytes that the network namespace of the process sent.',
  ),
  scrapesInFlight: gauge('promhttp_metric_handler_requests_in_flight', 'Scrapes being answered.'),
  scrapesTotal: counters('promhttp_metric_handler_requests_total', 'Scrapes by status of the answer.', [
    'code',
  ]),
} as const;

const ABSENT_PARTS = {
  storeReadsTotal: counters('etcd_debugging_store_reads_total', 'No series: there is no v2 store.', [
    'action',
  ]),
  storeReadsFailedTotal: counters(
    'etcd_debugging_store_reads_failed_total',
    'No series: there is no v2 store.',
    ['action'],
  ),
  storeWritesTotal: counters('etcd_debugging_store_writes_total', 'No series: there is no v2 store.', [
    'action',
  ]),
  storeWritesFailedTotal: counters(
    'etcd_debugging_store_writes_failed_total',
    'No series: there is no v2 store.',
    ['action'],
  ),
  storeExpiresTotal: counter('etcd_debugging_store_expires_total', 'Always 0: there is no v2 store.'),
  storeWatchRequestsTotal: counter(
    'etcd_debugging_store_watch_requests_total',
    'Always 0: there is no v2 store.',
  ),
  storeWatchers: gauge('etcd_debugging_store_watchers', 'Always 0: there is no v2 store.'),
  proxyCacheHitsTotal: gauge('etcd_grpc_proxy_cache_hits_total', 'Always 0: a member is no proxy.'),
  proxyCacheKeysTotal: gauge('etcd_grpc_proxy_cache_keys_total', 'Always 0: a member is no proxy.'),
  proxyCacheMissesTotal: gauge('etcd_grpc_proxy_cache_misses_total', 'Always 0: a member is no proxy.'),
  proxyEventsCoalescingTotal: counter(
    'etcd_grpc_proxy_events_coalescing_total',
    'Always 0: a member is no proxy.',
  ),
  proxyWatchersCoalescingTotal: gauge(
    'etcd_grpc_proxy_watchers_coalescing_total',
    'Always 0: a member is no proxy.',
  ),
} as const;

export const METRIC_TABLE = {
  ...SERVER,
  ...LEASE,
  ...MVCC,
  ...DISK,
  ...NETWORK,
  ...PROCESS,
  ...BACKUPS,
  ...DEFRAG,
  ...ABSENT_PARTS,
} as const;

/** The handles of all metrics. */
export type MetricHandles = {
  readonly [K in keyof typeof METRIC_TABLE]: ReturnType<(typeof METRIC_TABLE)[K]['create']>;
};

/** Fresh handles, all at zero. */
export function createHandles(): MetricHandles {
  const handles: Record<string, Handle> = {};
  for (const [key, definition] of Object.entries(METRIC_TABLE)) handles[key] = definition.create();
  return handles as MetricHandles;
}
