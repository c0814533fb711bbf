/** What a scrape of a member says is what the member is at that moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompactionRequest, DeleteRangeRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { formatId } from '@etcd/storage/membership';
import { GrpcServer } from '@etcd/transport';
import { connectMetrics } from './member-metrics.ts';
import { SingleMember } from './testing/single-member.ts';
import { versionJson } from './version-json.ts';

interface Scraped {
  readonly member: SingleMember;
  /** Value of a series, as it is printed: name and labels. */
  readonly scrape: () => Promise<(series: string) => number | undefined>;
}

async function scraped(flags: readonly string[] = []): Promise<Scraped> {
  const member = await SingleMember.start(flags);
  const { metrics, clock } = member.world;
  const grpc = new GrpcServer({ clock });
  const beforeScrape = connectMetrics(member.server, grpc, metrics);
  const scrape = async (): Promise<(series: string) => number | undefined> => {
    beforeScrape();
    const { text } = await metrics.render();
    const values = new Map(
      text
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
    return (series) => values.get(series);
  };
  return { member, scrape };
}

const put = (key: string): PutRequest => new PutRequest({ key: Buffer.from(key), value: Buffer.from('v') });

test('revisions, keys, entries and sizes are those of the store, the log and the file at the scrape', async () => {
  const { member, scrape } = await scraped();
  const { server, world } = member;
  const before = await scrape();
  assert.equal(before('etcd_debugging_mvcc_current_revision'), 1);
  assert.equal(before('etcd_debugging_mvcc_compact_revision'), -1);
  for (const key of ['a', 'b', 'c']) member.ask('put', put(key));
  member.ask('deleteRange', new DeleteRangeRequest({ key: Buffer.from('b') }));
  member.ask('compaction', new CompactionRequest({ revision: 3 }));
  world.clock.advance(1000);
  const value = await scrape();
  for (const [series, expected] of [
    ['etcd_debugging_mvcc_current_revision', 5],
    ['etcd_debugging_mvcc_compact_revision', 3],
    ['etcd_debugging_mvcc_keys_total', 2],
    ['etcd_server_proposals_committed_total', server.committedIndex],
    ['etcd_server_proposals_pending', 0],
    ['etcd_server_proposals_applied_total', server.appliedIndex],
    ['etcd_server_has_leader', 1],
    ['etcd_server_is_leader', 1],
    ['etcd_server_is_learner', 0],
    ['etcd_mvcc_db_total_size_in_bytes', server.backend.sizeBytes],
    ['etcd_mvcc_db_total_size_in_use_in_bytes', server.backend.sizeInUseBytes],
    [`etcd_server_id{server_id="${formatId(server.memberId)}"}`, 1],
    ['etcd_debugging_mvcc_watcher_total', 0],
  ] as const) {
    assert.equal(value(series), expected, series);
  }
  member.stop();
});

test('what waits for its answer at the scrape is counted as pending, and what has timed out as failed', async () => {
  const { member, scrape } = await scraped();
  member.propose('put', put('a'));
  member.propose('put', put('b'));
  assert.equal((await scrape())('etcd_server_proposals_pending'), 2);
  member.world.clock.advance(100);
  const later = await scrape();
  assert.deepEqual(
    [later('etcd_server_proposals_pending'), later('etcd_server_proposals_failed_total')],
    [0, 0],
  );
  member.stop();
});

test('the quota is told as it is, and none as none', async () => {
  for (const [flags, expected] of [
    [['--quota-backend-bytes=1000000'], 1_000_000],
    [['--quota-backend-bytes=-1'], 0],
    [[], 2 * 1024 ** 3],
  ] as const) {
    const { member, scrape } = await scraped(flags);
    assert.equal((await scrape())('etcd_server_quota_backend_bytes'), expected, flags.join());
    member.stop();
  }
});

test('watchers are counted once there is a store in which they could watch', async () => {
  const { member, scrape } = await scraped();
  const stream = member.server.watches.newStream({
    sendEvents: () => {},
    sendProgress: () => {},
    sendCompacted: () => {},
  });
  const kinds = { dropsPuts: false, dropsDeletes: false, wantsPrevKv: false };
  stream.watch({ id: 0n, key: Buffer.from('k'), end: null, startRevision: 0, ...kinds });
  const value = await scrape();
  assert.deepEqual(
    [value('etcd_debugging_mvcc_watch_stream_total'), value('etcd_debugging_mvcc_watcher_total')],
    [1, 1],
  );
  stream.close();
  assert.equal((await scrape())('etcd_debugging_mvcc_watcher_total'), 0);
  member.stop();
});

test('versions: the cluster has none before it is decided, the database none before its first commit', async () => {
  const { member } = await scraped();
  const { backend, membership } = member.server;
  const undecided = JSON.parse(versionJson({ membership: { version: null }, backend })) as object;
  assert.deepEqual(undecided, { ...undecided, etcdcluster: 'not_decided' });
  const { etcdcluster, storage } = JSON.parse(versionJson({ membership, backend })) as Record<string, string>;
  assert.equal(storage, etcdcluster);
  const empty = { get: () => null, forEach: () => {} };
  assert.match(versionJson({ membership, backend: empty }), /"storage":"unknown"/);
  member.stop();
});
