/**
 * Snapshots in both directions: taken from the program under test and restored by real tools, and taken from real
 * etcd and started by the program under test.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertStillThere, type Contents, readContents } from '../../support/contents.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { foundedAt, needs, type PeerVersion, peer, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

/** A store with versions, tombstones, leases, a compaction, and more than one page of everything. */
async function fill(server: EtcdServer): Promise<void> {
  const rpc = new EtcdRpc(server.address);
  const lease = await rpc.call('Lease.LeaseGrant', { ID: 77, TTL: 5000 });
  for (let i = 0; i < 300; i++) {
    await rpc.call('KV.Put', { key: `key/${i % 100}`, value: `value ${i} ${'x'.repeat(i * 5)}` });
  }
  await rpc.call('KV.Put', { key: 'leased', value: 'x', lease: lease.ID });
  await rpc.call('KV.DeleteRange', { key: 'key/1', range_end: 'key/3' });
  await rpc.call('KV.Compact', { revision: 150, physical: true });
  await rpc.call('KV.Put', { key: 'last', value: 'one' });
  rpc.close();
}

/** Takes a snapshot of `from` with real etcdctl, restores it with real tools, and starts `to` on the result. */
async function takeRestoreStart(
  from: string,
  to: string,
  takeWith: PeerVersion,
  restoreWith = takeWith,
): Promise<void> {
  const directory = temporaryDirectory();
  const file = join(directory, 'snapshot.db');
  // Where a cluster of etcd 3.5 is to go on, it is one of 3.5 that the snapshot is taken of.
  const isOld = from === SUBJECT && (takeWith === '3.4' || takeWith === '3.5');
  const flags = isOld ? [...FAST_ELECTION, ...foundedAt('3.5')] : FAST_ELECTION;
  const source = await EtcdServer.start({ program: from, flags });
  let before: Contents;
  try {
    await fill(source);
    const save = await run(peer(takeWith, 'etcdctl'), [
      `--endpoints=${source.address}`,
      'snapshot',
      'save',
      file,
    ]);
    assert.equal(save.code, 0, save.stderr);
    assert(existsSync(file));
    // A database and the checksum that follows it.
    assert.equal(statSync(file).size % 512, 32);
    before = await readContents(source);
  } finally {
    await source.stop();
  }
  const tool = restoreWith === '3.4' ? peer('3.4', 'etcdctl') : peer(restoreWith, 'etcdutl');
  const status = await run(tool, ['snapshot', 'status', file, '-w', 'json']);
  assert.equal(status.code, 0, status.stderr);
  assert.equal((JSON.parse(status.stdout) as { revision: number }).revision, Number(before.revision));

  const dataDir = join(directory, 'restored');
  const peerPort = await freePort();
  const restore = await run(tool, [
    'snapshot',
    'restore',
    file,
    `--data-dir=${dataDir}`,
    '--name=default',
    `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
  ]);
  assert.equal(restore.code, 0, restore.stderr);
  const restored = await EtcdServer.start({ program: to, dataDir, peerPort, flags: FAST_ELECTION });
  try {
    // Restoring makes a new cluster, with new ids, of the same data.
    const { clusterId, memberId, members } = await readContents(restored);
    await assertStillThere(restored, { ...before, clusterId, memberId, members });
    await writeAndReadBack(restored);
  } finally {
    await restored.stop();
  }
}

async function writeAndReadBack(server: EtcdServer): Promise<void> {
  const rpc = new EtcdRpc(server.address);
  const put = await rpc.call('KV.Put', { key: 'after the restore', value: 'x' });
  const range = await rpc.call('KV.Range', { key: 'after the restore' });
  assert.equal(range.kvs[0]!.mod_revision, put.header!.revision);
  rpc.close();
}

const options = needs('etcd 3.4', 'etcd 3.5');

test('a snapshot taken here is restored by etcdutl 3.5 and served by real etcd', options, () =>
  takeRestoreStart(SUBJECT, REFERENCE, '3.5'),
);

test('a snapshot taken here is restored by etcdutl 3.5 and served here', options, () =>
  takeRestoreStart(SUBJECT, SUBJECT, '3.5'),
);

test('a snapshot of real etcd, restored by etcdutl 3.5, is served here', options, () =>
  takeRestoreStart(REFERENCE, SUBJECT, '3.5'),
);

test('a snapshot taken here by etcdctl 3.4 is restored by it and served by real etcd 3.5', options, () =>
  takeRestoreStart(SUBJECT, REFERENCE, '3.4'),
);

test('a snapshot of real etcd 3.4, restored by etcdutl 3.5, is served here', options, () =>
  takeRestoreStart(peer('3.4', 'etcd'), SUBJECT, '3.4', '3.5'),
);

for (const release of ['3.6', '3.7'] as const) {
  const needed = needs(`etcd ${release}`);

  test(`a snapshot of etcd ${release}, restored by its etcdutl, is served here`, needed, () =>
    takeRestoreStart(peer(release, 'etcd'), SUBJECT, release),
  );

  test(`a snapshot taken here by etcdctl ${release} is restored by its etcdutl and served here`, needed, () =>
    takeRestoreStart(SUBJECT, SUBJECT, release, release),
  );
}

test('a snapshot taken here is restored by etcdutl 3.7 and served by real etcd 3.7', needs('etcd 3.7'), () =>
  takeRestoreStart(SUBJECT, peer('3.7', 'etcd'), '3.7'),
);

test('the stream is the database in blobs with their remainders, then its SHA-256', options, async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  try {
    await fill(server);
    const messages = await rpc.collect('Maintenance.Snapshot', {});
    const bytes = Buffer.concat(messages.map((message) => message.blob));
    const database = bytes.subarray(0, -32);
    assert.deepEqual(createHash('sha256').update(database).digest(), bytes.subarray(-32));
    const total = database.length;
    let sent = 0;
    for (const message of messages.slice(0, -1)) {
      sent += message.blob.length;
      assert.equal(message.remaining_bytes, BigInt(total - sent));
    }
    assert.equal(messages.at(-1)!.remaining_bytes, 0n);
    const live = readFileSync(join(server.dataDir, 'member/snap/db'));
    assert.equal(live.readUInt32LE(16), database.readUInt32LE(16), "the magic of the file's first meta page");
  } finally {
    rpc.close();
    await server.stop();
  }
});
