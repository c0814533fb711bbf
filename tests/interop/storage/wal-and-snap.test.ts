/**
 * Logs, snapshot files and membership, written by real etcd and read here, and the other way round.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  decodeInternalRaftRequest,
  decodeMetadata,
  decodeRequest,
  encodeInternalRaftRequest,
  encodeMetadata,
  InternalRaftRequest,
  Metadata,
  PutRequest,
  Request,
  RequestHeader,
} from '@etcd/api/etcdserverpb';
import { Attributes, ClusterMemberAttrSetRequest } from '@etcd/api/membershippb';
import {
  decodeConfChange,
  decodeEntry,
  decodeHardState,
  Entry,
  EntryType,
  encodeConfChange,
  HardState,
} from '@etcd/api/raftpb';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import {
  addMemberChange,
  type BucketWriter,
  createWal,
  decodeV2Store,
  EntryList,
  encodeV2Store,
  formatId,
  formatVersion,
  Membership,
  newCluster,
  openWal,
  readWal,
  repairWal,
  Snapshotter,
  validSnapshots,
  type WalOptions,
} from '@etcd/storage';
import { BatchEncoder } from '../../../packages/storage/src/wal/batch-encoder.ts';
import { RECORD_CRC, RECORD_ENTRY, RECORD_STATE } from '../../../packages/storage/src/wal/frame.ts';
import { RecordReader } from '../../../packages/storage/src/wal/record-reader.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const RELEASES: readonly PeerVersion[] = ['3.4', '3.5', '3.6', '3.7'];
const START = { index: 0, term: 0 };
const FLAGS = ['--snapshot-count=100', ...FAST_ELECTION];
const NO_BUCKETS: BucketWriter = { put: () => {}, delete: () => {} };

const disk = new NodeDisk();

function walOptions(dataDir: string, segmentSizeBytes?: number): WalOptions {
  return { disk, directory: join(dataDir, 'member', 'wal'), clock: new NodeClock(), segmentSizeBytes };
}

function snapshotter(dataDir: string): Snapshotter {
  return new Snapshotter({ disk, directory: join(dataDir, 'member', 'snap'), clock: new NodeClock() });
}

const keyOf = (i: number): string => `key-${String(i).padStart(5, '0')}`;
const textOf = (i: number): string => `value-${i}-`.repeat(1 + (i % 40));

async function put(rpc: EtcdRpc, from: number, until: number): Promise<void> {
  for (let i = from; i < until; i++) {
    await rpc.call('KV.Put', { key: Buffer.from(keyOf(i)), value: Buffer.from(textOf(i)) });
  }
}

async function assertKeys(rpc: EtcdRpc, count: number): Promise<void> {
  const range = { key: Buffer.from('key-'), range_end: Buffer.from('key.') };
  const { kvs } = await rpc.call('KV.Range', range);
  assert.equal(kvs.length, count);
  for (const [i, kv] of kvs.entries()) {
    assert.deepEqual([String(kv.key), String(kv.value)], [keyOf(i), textOf(i)]);
  }
}

/** Puts of a log, and the membership that its entries make. */
function replay(entries: readonly Entry[], membership: Membership): [string, string][] {
  const puts: [string, string][] = [];
  for (const entry of entries) {
    if (entry.type === EntryType.EntryConfChange) {
      const change = decodeConfChange(entry.data);
      assert.equal(membership.validateConfChange(change), null);
      membership.applyConfChange(change, NO_BUCKETS);
    } else if (entry.data.length > 0) {
      const put = replayRequest(entry.data, membership);
      if (put !== null) puts.push([Buffer.from(put.key).toString(), Buffer.from(put.value).toString()]);
    }
  }
  return puts;
}

function replayRequest(data: Uint8Array, membership: Membership): PutRequest | null {
  let request: InternalRaftRequest;
  try {
    request = decodeInternalRaftRequest(data);
  } catch {
    // Up to 3.5 a member publishes itself by a request of the v2 API, as it is.
    assert.ok(membership.applyV2Request(decodeRequest(data), NO_BUCKETS));
    return null;
  }
  const { v2, clusterMemberAttrSet, clusterVersionSet, put } = request;
  if (v2 !== null) assert.ok(membership.applyV2Request(v2, NO_BUCKETS));
  if (clusterMemberAttrSet !== null) membership.applyClusterMemberAttrSet(clusterMemberAttrSet, NO_BUCKETS);
  if (clusterVersionSet !== null) membership.applyClusterVersionSet(clusterVersionSet, NO_BUCKETS);
  return put;
}

for (const release of RELEASES) {
  const program = peer(release, 'etcd');
  const needed = needs(`etcd ${release}`);

  test(`etcd ${release}: what it wrote is read here`, needed, async () => {
    const server = await EtcdServer.start({ program, flags: FLAGS, name: 'müller' });
    const { dataDir } = server;
    const rpc = new EtcdRpc(server.address);
    await put(rpc, 0, 330);
    const { header } = await rpc.call('Cluster.MemberList', {});
    assert.throws(() => openWal(walOptions(dataDir), START, new EntryList()), { code: 'locked' });
    rpc.close();
    await server.stop();

    const list = new EntryList();
    const { metadata, hardState, lastIndex } = readWal(walOptions(dataDir), START, list);
    const { nodeId, clusterId } = decodeMetadata(metadata);
    assert.deepEqual([nodeId, clusterId], [header!.member_id, header!.cluster_id]);
    assert.equal(lastIndex, list.entries.at(-1)!.index);
    assert.ok(hardState.commit >= 330 && hardState.term >= 2);

    const membership = new Membership({ clusterId });
    const puts = replay(list.entries, membership);
    assert.deepEqual(
      puts,
      Array.from({ length: 330 }, (_, i) => [keyOf(i), textOf(i)]),
    );
    const [member] = membership.members();
    assert.deepEqual(member, {
      id: nodeId,
      name: 'müller',
      peerUrls: [server.peerUrl],
      clientUrls: [server.clientUrl],
      isLearner: false,
    });
    assert.equal(formatVersion(membership.version!), `${release}.0`);
    const founded = newCluster('etcd-cluster', new Map([['müller', [server.peerUrl]]]));
    assert.deepEqual([founded.clusterId, founded.members()[0]!.id], [clusterId, nodeId]);

    const snapshots = validSnapshots(walOptions(dataDir));
    assert.ok(snapshots.length >= 4);
    const snapshot = snapshotter(dataDir).loadNewestAvailable(snapshots);
    const newest = snapshots.at(-1)!;
    assert.deepEqual([snapshot.metadata.index, snapshot.metadata.term], [newest.index, newest.term]);
    assert.deepEqual(snapshot.metadata.confState.voters, [nodeId]);
    assert.deepEqual(decodeV2Store(snapshot.data).state, membership.state());
    const tail = new EntryList();
    readWal(walOptions(dataDir), newest, tail);
    assert.deepEqual(
      tail.entries.map(({ index }) => index),
      list.entries.slice(newest.index).map(({ index }) => index),
    );
  });

  // The protobuf library of 3.7 leaves out what its predecessor wrote down.
  if (release !== '3.7')
    test(`etcd ${release}: its segments are laid out here to the byte`, needed, async () => {
      const server = await EtcdServer.start({ program, flags: FLAGS });
      const rpc = new EtcdRpc(server.address);
      await put(rpc, 0, 150);
      rpc.close();
      await server.stop();
      const { directory } = walOptions(server.dataDir);
      const [name] = readdirSync(directory).filter((file) => file.endsWith('.wal'));
      const path = join(directory, name!);
      const original = readFileSync(path);
      assert.equal(original.length, 64_000_000);
      const reader = new RecordReader(disk, [{ path, file: null }], { keepData: false });
      const encoder = new BatchEncoder(0);
      while (reader.next()) {
        const data = reader.data();
        if (reader.type === RECORD_CRC) encoder.addCrc();
        else if (reader.type === RECORD_ENTRY) encoder.addEntry(decodeEntry(data));
        else if (reader.type === RECORD_STATE) encoder.addState(decodeHardState(data));
        else encoder.addRecord(reader.type, data);
      }
      reader.close();
      assert.ok(encoder.length > 30_000);
      assert.ok(original.subarray(0, encoder.length).equals(encoder.bytes()));
    });

  test(`etcd ${release} starts on a log that was written here, and we go on behind it`, needed, async () => {
    const dataDir = join(temporaryDirectory(), 'data');
    const ports = { clientPort: await freePort(), peerPort: await freePort() };
    const own = await writeFoundingLog(dataDir, `http://127.0.0.1:${ports.peerPort}`, 200, release);
    let server = await EtcdServer.start({ program, dataDir, flags: FLAGS, ...ports });
    let rpc = new EtcdRpc(server.address);
    await assertKeys(rpc, 200);
    const { members, header } = await rpc.call('Cluster.MemberList', {});
    assert.deepEqual([header!.cluster_id, members[0]!.ID], [own.clusterId, own.id]);
    await put(rpc, 200, 260);
    rpc.close();
    await server.stop();

    const snapshots = validSnapshots(walOptions(dataDir));
    const list = new EntryList();
    const { wal, hardState } = openWal(walOptions(dataDir), snapshots.at(-1)!, list);
    const term = hardState.term;
    const next = wal.lastIndex + 1;
    const entries = Array.from({ length: 40 }, (_, i) => putEntry(260 + i, next + i, term));
    wal.save(new HardState({ term, vote: hardState.vote, commit: next + 39 }), entries);
    await assert.rejects(server.restart({ program }), /file already locked/);
    wal.close();

    server = await server.restart({ program });
    rpc = new EtcdRpc(server.address);
    await assertKeys(rpc, 300);
    rpc.close();
    await server.stop();
  });

  test(`etcd ${release} repairs a log whose last write was interrupted here`, needed, async () => {
    const dataDir = join(temporaryDirectory(), 'data');
    const ports = { clientPort: await freePort(), peerPort: await freePort() };
    await writeFoundingLog(dataDir, `http://127.0.0.1:${ports.peerPort}`, 50, release);
    const list = new EntryList();
    const { wal, hardState } = openWal(walOptions(dataDir), START, list);
    const torn = new Entry({ term: 1, index: wal.lastIndex + 1, data: putEntry(1, 1, 1, 5000).data });
    wal.save(hardState, [torn]);
    wal.close();
    const { directory } = walOptions(dataDir);
    const path = join(
      directory,
      readdirSync(directory)
        .filter((file) => file.endsWith('.wal'))
        .at(-1)!,
    );
    const file = disk.openFile(path, { access: 'readwrite' });
    const content = disk.readFile(path);
    const at = Math.floor(Buffer.from(content).indexOf('torn-torn-torn') / 512) * 512 + 1024;
    file.write(new Uint8Array(512), 0, 512, at);
    file.close();
    assert.throws(() => openWal(walOptions(dataDir), START, new EntryList()), { code: 'torn' });
    const server = await EtcdServer.start({ program, dataDir, flags: FLAGS, ...ports });
    assert.ok(readdirSync(directory).some((name) => name.endsWith('.broken')));
    const rpc = new EtcdRpc(server.address);
    await assertKeys(rpc, 50);
    rpc.close();
    await server.stop();
    assert.equal(repairWal(walOptions(dataDir)), null);
  });

  test(`etcd ${release} starts from a snapshot file that was written here`, needed, async () => {
    let server = await EtcdServer.start({ program, flags: FLAGS });
    const { dataDir } = server;
    let rpc = new EtcdRpc(server.address);
    await put(rpc, 0, 250);
    const before = await rpc.call('Cluster.MemberList', {});
    rpc.close();
    await server.stop();

    const snaps = snapshotter(dataDir);
    const snapshot = snaps.loadNewestAvailable(validSnapshots(walOptions(dataDir)));
    const { state } = decodeV2Store(snapshot.data);
    const directory = join(dataDir, 'member', 'snap');
    for (const name of readdirSync(directory)) if (name.endsWith('.snap')) rmSync(join(directory, name));
    snapshot.data = encodeV2Store({ ...state, removedIds: [0xdeadn] });
    snaps.saveSnap(snapshot);

    server = await server.restart({ program });
    rpc = new EtcdRpc(server.address);
    await assertKeys(rpc, 250);
    assert.deepEqual((await rpc.call('Cluster.MemberList', {})).members, before.members);
    // Its next snapshot carries on what ours held.
    await put(rpc, 250, 400);
    rpc.close();
    await server.stop();
    const next = snapshotter(dataDir).loadNewestAvailable(validSnapshots(walOptions(dataDir)));
    assert.ok(next.metadata.index > snapshot.metadata.index);
    // Later releases take the membership from the database, and write into the file what they have there.
    const removedIds = release === '3.4' || release === '3.5' ? [0xdeadn] : [];
    assert.deepEqual(decodeV2Store(next.data).state, { ...state, removedIds });
  });
}

function putEntry(i: number, index: number, term: number, filler = 0): Entry {
  const value = filler > 0 ? 'torn-'.repeat(filler / 5) : textOf(i);
  const put = new PutRequest({ key: Buffer.from(keyOf(i)), value: Buffer.from(value) });
  const header = new RequestHeader({ id: BigInt(1000 + index) });
  return new Entry({
    term,
    index,
    data: encodeInternalRaftRequest(new InternalRaftRequest({ header, put })),
  });
}

/** The log of a founding member of one that has stored `count` keys, in many small segments. */
async function writeFoundingLog(
  dataDir: string,
  peerUrl: string,
  count: number,
  release: PeerVersion,
): Promise<{ id: bigint; clusterId: bigint }> {
  const { clusterId, ...cluster } = founders(peerUrl);
  const { id } = cluster.member;
  disk.makeDirectory(join(dataDir, 'member', 'snap'), 0o700);
  const metadata = encodeMetadata(new Metadata({ nodeId: id, clusterId }));
  const wal = createWal(walOptions(dataDir, 6000), metadata);
  const found = new Entry({
    term: 1,
    index: 1,
    type: EntryType.EntryConfChange,
    data: encodeConfChange(addMemberChange(cluster.member)),
  });
  wal.save(new HardState({ term: 1, commit: 1 }), [found]);
  wal.save(new HardState({ term: 2, vote: id, commit: 1 }), []);
  wal.save(null, [
    new Entry({ term: 2, index: 2, data: encodeInternalRaftRequest(publication(id, release)) }),
  ]);
  for (let i = 0; i < count; ) {
    const size = Math.min(count - i, 1 + (i % 7));
    const entries = Array.from({ length: size }, (_, j) => putEntry(i + j, 3 + i + j, 2));
    const state = new HardState({ term: 2, vote: id, commit: 2 + i });
    if (i % 2 === 0) wal.save(state, entries);
    else {
      await new Promise<void>((resolve, reject) => {
        wal.saveThen(state, entries, (error) => (error === null ? resolve() : reject(error)));
      });
    }
    i += size;
  }
  wal.save(new HardState({ term: 2, vote: id, commit: 2 + count }), []);
  wal.close();
  return { id, clusterId };
}

/** How a member of that release tells its name. */
function publication(id: bigint, release: PeerVersion): InternalRaftRequest {
  const clientUrl = 'http://127.0.0.1:1';
  if (release === '3.4') {
    const val = `{"name":"default","clientURLs":["${clientUrl}"]}`;
    const path = `/0/members/${formatId(id)}/attributes`;
    return new InternalRaftRequest({ v2: new Request({ id: 77n, method: 'PUT', path, val }) });
  }
  const memberAttributes = new Attributes({ name: 'default', clientUrls: [clientUrl] });
  const clusterMemberAttrSet = new ClusterMemberAttrSetRequest({ memberId: id, memberAttributes });
  return new InternalRaftRequest({ header: new RequestHeader({ id: 77n }), clusterMemberAttrSet });
}

function founders(peerUrl: string): { clusterId: bigint; member: ReturnType<Membership['members']>[number] } {
  const cluster = newCluster('etcd-cluster', new Map([['default', [peerUrl]]]));
  return { clusterId: cluster.clusterId, member: cluster.members()[0]! };
}
