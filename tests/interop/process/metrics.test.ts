/**
 * Every metric of one member moves when what it is about happens. Each case does one thing and names the series that must
 * have grown by it, and by how much where that is certain. Real etcd passes it, too.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { isGo, SUBJECT } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';

type Scrape = ReadonlyMap<string, number>;

let server: EtcdServer;
let rpc: EtcdRpc;
before(async () => {
  server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--snapshot-count=50'] });
  rpc = new EtcdRpc(server.address);
});
after(async () => {
  rpc.close();
  await server.stop();
});

async function scrape(): Promise<Scrape> {
  const text = await (await fetch(`${server.clientUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

/** Growth of a series; one that was not there counts as 0. */
function growth(earlier: Scrape, later: Scrape, series: string): number {
  return (later.get(series) ?? 0) - (earlier.get(series) ?? 0);
}

/** Does something, and waits until each series has grown by its number (`null`: by anything). */
async function moves(
  series: Readonly<Record<string, number | null>>,
  action: () => Promise<unknown>,
): Promise<void> {
  const earlier = await scrape();
  await action();
  const isThere = (later: Scrape): boolean =>
    Object.entries(series).every(([name, by]) =>
      by === null ? growth(earlier, later, name) > 0 : growth(earlier, later, name) === by,
    );
  let later = await scrape();
  await eventually('the metrics have moved', async () => isThere((later = await scrape()))).catch(() => {
    const found = Object.keys(series).map((name) => `${name} ${growth(earlier, later, name)}`);
    assert.fail(`wanted ${JSON.stringify(series)}, found growths\n${found.join('\n')}`);
  });
}

const MVCC = 'etcd_debugging_mvcc';

test('puts, ranges, deletions and transactions', async () => {
  await moves(
    {
      etcd_mvcc_put_total: 3,
      etcd_mvcc_txn_total: 1,
      [`${MVCC}_keys_total`]: 3,
      [`${MVCC}_current_revision`]: 2,
      [`${MVCC}_total_put_size_in_bytes`]: 3 * 11,
      'etcd_server_client_requests_total{client_api_version="unknown",type="unary"}': 2,
      etcd_server_proposals_committed_total: 2,
      etcd_server_proposals_applied_total: 2,
      etcd_network_client_grpc_received_bytes_total: null,
      etcd_network_client_grpc_sent_bytes_total: null,
      etcd_disk_wal_fsync_duration_seconds_count: null,
      etcd_disk_backend_commit_duration_seconds_count: null,
      etcd_debugging_disk_backend_commit_write_duration_seconds_count: null,
      etcd_debugging_disk_backend_commit_spill_duration_seconds_count: null,
      etcd_debugging_disk_backend_commit_rebalance_duration_seconds_count: null,
      'grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}': 1,
    },
    async () => {
      await rpc.call('KV.Put', { key: 'a', value: 'x'.repeat(10) });
      const puts = ['b', 'c'].map((key) => ({ request_put: { key, value: 'x'.repeat(10) } }));
      await rpc.call('KV.Txn', { success: puts });
    },
  );
  await moves({ etcd_mvcc_range_total: 1 }, () => rpc.call('KV.Range', { key: 'a' }));
  await moves({ etcd_mvcc_delete_total: 1, [`${MVCC}_keys_total`]: -1 }, () =>
    rpc.call('KV.DeleteRange', { key: 'c' }),
  );
});

test('durations of requests', { skip: isGo(SUBJECT) ? 'since 3.7' : false }, async () => {
  const count = (type: string, success = true): string =>
    `etcd_server_request_duration_seconds_count{success="${success}",type="${type}"}`;
  await moves({ [count('Put')]: 1 }, () => rpc.call('KV.Put', { key: 'a', value: '1' }));
  const ranged = 'etcd_server_range_duration_seconds_count{success="true"}';
  await moves({ [count('Range')]: 1, [ranged]: 1 }, () => rpc.call('KV.Range', { key: 'a' }));
  await moves({ [count('Range', false)]: 1 }, () => rpc.outcome('KV.Range', { key: 'a', revision: 9999n }));
  await moves({ [count('ReadonlyTxn')]: 1 }, () =>
    rpc.call('KV.Txn', { success: [{ request_range: { key: 'a' } }] }),
  );
  await moves({ [count('DeleteRange')]: 1 }, () => rpc.call('KV.DeleteRange', { key: 'nothing' }));
});

test('leases', async () => {
  await moves({ etcd_debugging_lease_granted_total: 1, etcd_debugging_lease_ttl_total_sum: 1000 }, () =>
    rpc.call('Lease.LeaseGrant', { ID: 77n, TTL: 1000n }),
  );
  await moves({ etcd_debugging_lease_renewed_total: 1 }, async () => {
    const stream = rpc.stream('Lease.LeaseKeepAlive');
    stream.send({ ID: 77n });
    await stream.take();
    stream.cancel();
  });
  await moves({ etcd_debugging_lease_revoked_total: 1 }, () => rpc.call('Lease.LeaseRevoke', { ID: 77n }));
  await moves({ etcd_debugging_server_lease_expired_total: 1, etcd_debugging_lease_revoked_total: 1 }, () =>
    rpc.call('Lease.LeaseGrant', { ID: 78n, TTL: 1n }),
  );
});

test('watchers and their events', async () => {
  let stream: ReturnType<EtcdRpc['stream']>;
  await moves({ [`${MVCC}_watch_stream_total`]: 1, [`${MVCC}_watcher_total`]: 2 }, async () => {
    stream = rpc.stream('Watch.Watch');
    for (let i = 0; i < 2; i++) {
      stream.send({ create_request: { key: 'watched' } });
      await stream.take();
    }
  });
  await moves({ [`${MVCC}_events_total`]: null }, () => rpc.call('KV.Put', { key: 'watched', value: '1' }));
  await moves({ [`${MVCC}_watch_stream_total`]: -1, [`${MVCC}_watcher_total`]: -2 }, async () =>
    stream.cancel(),
  );
});

test('compaction, hashes, defragmentation, snapshots', async () => {
  for (let i = 0; i < 60; i++) await rpc.call('KV.Put', { key: 'many', value: String(i) });
  const { header } = await rpc.call('KV.Range', { key: 'many' });
  await moves(
    {
      [`${MVCC}_compact_revision`]: null,
      [`${MVCC}_db_compaction_keys_total`]: null,
      [`${MVCC}_db_compaction_pause_duration_milliseconds_count`]: null,
      [`${MVCC}_db_compaction_total_duration_milliseconds_count`]: 1,
      [`${MVCC}_index_compaction_pause_duration_milliseconds_count`]: null,
      [`${MVCC}_db_compaction_last`]: null,
    },
    () => rpc.call('KV.Compact', { revision: header!.revision, physical: true }),
  );
  await moves({ etcd_mvcc_hash_duration_seconds_count: 1 }, () => rpc.call('Maintenance.Hash', {}));
  await moves({ etcd_mvcc_hash_rev_duration_seconds_count: 1 }, () => rpc.call('Maintenance.HashKV', {}));
  await moves({ etcd_disk_backend_defrag_duration_seconds_count: 1 }, () =>
    rpc.call('Maintenance.Defragment', {}),
  );
  await moves({ etcd_disk_backend_snapshot_duration_seconds_count: 1 }, () =>
    rpc.collect('Maintenance.Snapshot', {}),
  );
  await moves(
    {
      etcd_snap_fsync_duration_seconds_count: null,
      etcd_debugging_snap_save_total_duration_seconds_count: null,
      etcd_debugging_snap_save_marshalling_duration_seconds_count: null,
    },
    async () => {
      for (let i = 0; i < 60; i++) await rpc.call('KV.Put', { key: 'many', value: String(i) });
    },
  );
});

test('alarms and health', async () => {
  const { header } = await rpc.call('Maintenance.Status', {});
  const alarm = { memberID: header!.member_id, alarm: 'NOSPACE' };
  await moves({ etcd_server_health_failures: 1 }, async () => {
    await rpc.call('Maintenance.Alarm', { ...alarm, action: 'ACTIVATE' });
    assert.equal((await fetch(`${server.clientUrl}/health`)).status, 503);
  });
  await moves({ etcd_server_health_success: 1 }, async () => {
    await rpc.call('Maintenance.Alarm', { ...alarm, action: 'DEACTIVATE' });
    assert.equal((await fetch(`${server.clientUrl}/health`)).status, 200);
  });
});

test('a stream that breaks the protocol', {
  skip: isGo(SUBJECT) ? 'etcd 3.5 does not count it' : false,
}, async () => {
  const failures = 'etcd_network_server_stream_failures_total{API="watch",Type="receive"}';
  await moves({ [failures]: 1 }, async () => {
    const { connect } = await import('node:http2');
    const session = connect(server.clientUrl);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/etcdserverpb.Watch/Watch',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    stream.write(Buffer.from([0, 0, 0, 0, 1, 0x80]));
    await new Promise((resolve) => stream.on('close', resolve).resume());
    session.destroy();
  });
});

test('what a member is', async () => {
  const now = await scrape();
  const positive = [
    'etcd_server_has_leader',
    'etcd_server_is_leader',
    'etcd_server_leader_changes_seen_total',
    'etcd_server_quota_backend_bytes',
    'etcd_mvcc_db_total_size_in_bytes',
    'etcd_mvcc_db_total_size_in_use_in_bytes',
    'etcd_debugging_auth_revision',
    'os_fd_used',
    'os_fd_limit',
    'process_open_fds',
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
  ];
  for (const name of positive) assert((now.get(name) ?? 0) > 0, name);
  assert.equal(now.get('etcd_server_is_learner'), 0);
});
