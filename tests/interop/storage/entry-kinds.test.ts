/**
 * The table of which releases read which kinds of log entry, against the releases: each starts on a log that holds all that it reads,
 * and ends at each kind that it does not.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  DowngradeVersionTestRequest,
  encodeDowngradeVersionTestRequest,
  encodeMetadata,
  encodePutRequest,
  encodeRequest,
  Metadata,
  PutRequest,
  Request,
} from '@etcd/api/etcdserverpb';
import {
  Attributes,
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  encodeClusterMemberAttrSetRequest,
  encodeClusterVersionSetRequest,
} from '@etcd/api/membershippb';
import { Entry, EntryType, encodeConfChange, HardState } from '@etcd/api/raftpb';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { addMemberChange, createWal, formatId, newCluster, parseVersion } from '@etcd/storage';
import {
  canRead,
  ENTRY_KINDS,
  type EntryKind,
  KINDS,
  V2_FIELD,
} from '../../../packages/server/src/request/index.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const RELEASES: readonly PeerVersion[] = ['3.4', '3.5', '3.6', '3.7'];
const EMPTY = new Uint8Array();

/** A request of each kind; empty where that is one that every etcd answers with an error. */
function bodyOf(field: number, memberId: bigint): Uint8Array {
  switch (field) {
    case KINDS.put.field:
      return encodePutRequest(new PutRequest({ key: Buffer.from('key'), value: Buffer.from('value') }));
    case V2_FIELD:
      return v2Publication(memberId);
    case KINDS.clusterVersionSet.field:
      return encodeClusterVersionSetRequest(new ClusterVersionSetRequest({ ver: '3.5.0' }));
    case KINDS.clusterMemberAttrSet.field: {
      const memberAttributes = new Attributes({ name: 'default', clientUrls: ['http://127.0.0.1:1'] });
      return encodeClusterMemberAttrSetRequest(
        new ClusterMemberAttrSetRequest({ memberId, memberAttributes }),
      );
    }
    case KINDS.downgradeVersionTest.field:
      return encodeDowngradeVersionTestRequest(new DowngradeVersionTestRequest({ ver: '3.6.0' }));
    default:
      return EMPTY;
  }
}

function v2Publication(memberId: bigint): Uint8Array {
  const val = '{"name":"default","clientURLs":["http://127.0.0.1:1"]}';
  const path = `/0/members/${formatId(memberId)}/attributes`;
  return encodeRequest(new Request({ id: 77n, method: 'PUT', path, val }));
}

type DataOf = (memberId: bigint, id: number) => Uint8Array;

const HEADER = 100;
const DELIMITED = 2;

/** An entry's data: one request, and a header with its id. */
const inEnvelope =
  (field: number): DataOf =>
  (memberId, id) =>
    Buffer.concat([
      delimited(field, bodyOf(field, memberId)),
      delimited(HEADER, Buffer.from([0x08, ...varint(id)])),
    ]);

function delimited(field: number, content: Uint8Array): Buffer {
  return Buffer.from([...varint((field << 3) | DELIMITED), ...varint(content.length), ...content]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** A directory whose log has founded a cluster and committed these. */
function writeLog(peerUrl: string, requests: readonly DataOf[]): string {
  const dataDir = join(temporaryDirectory(), 'data');
  const disk = new NodeDisk();
  const cluster = newCluster('etcd-cluster', new Map([['default', [peerUrl]]]));
  const [member] = cluster.members();
  const { id } = member!;
  disk.makeDirectory(join(dataDir, 'member', 'snap'), 0o700);
  const options = { disk, directory: join(dataDir, 'member', 'wal'), clock: new NodeClock() };
  const wal = createWal(options, encodeMetadata(new Metadata({ nodeId: id, clusterId: cluster.clusterId })));
  const change = encodeConfChange(addMemberChange(member!));
  const entries = [
    new Entry({ term: 1, index: 1, type: EntryType.EntryConfChange, data: change }),
    ...requests.map((data, i) => new Entry({ term: 1, index: i + 2, data: data(id, 100 + i) })),
  ];
  wal.save(new HardState({ term: 1, commit: entries.length }), entries);
  wal.close();
  return dataDir;
}

async function launch(release: PeerVersion, requests: readonly DataOf[]): Promise<EtcdServer> {
  const peerPort = await freePort();
  const dataDir = writeLog(`http://127.0.0.1:${peerPort}`, requests);
  return await EtcdServer.launch({ program: peer(release, 'etcd'), dataDir, peerPort, flags: FAST_ELECTION });
}

for (const release of RELEASES) {
  const version = parseVersion(`${release}.0`)!;
  const kinds = [...ENTRY_KINDS];
  const split = (reads: boolean): [number, EntryKind][] =>
    kinds.filter(([, kind]) => canRead(version, kind) === reads);
  const needed = needs(`etcd ${release}` as 'etcd 3.4');

  test(`etcd ${release} reads every kind of entry that it is said to read`, needed, async () => {
    const readsV2 = canRead(version, ENTRY_KINDS.get(V2_FIELD)!);
    const requests = split(true).map(([field]) => inEnvelope(field));
    if (readsV2) requests.push(v2Publication);
    const server = await launch(release, [...requests, inEnvelope(KINDS.put.field)]);
    await server.ready();
    const rpc = new EtcdRpc(server.address);
    const { kvs } = await rpc.call('KV.Range', { key: 'key' });
    assert.equal(String(kvs[0]?.value), 'value');
    rpc.close();
    await server.kill();
  });

  const unread = split(false);
  if (unread.length === 0) continue;
  const title = unread.map(([, { name }]) => name).join(', ');
  test(`etcd ${release} does not read ${title}`, needed, async () => {
    const logs = unread.map(([field]) => inEnvelope(field));
    if (unread.some(([field]) => field === V2_FIELD)) logs.push(v2Publication);
    for (const data of logs) {
      const server = await launch(release, [data]);
      const { code } = await server.ended;
      assert.notEqual(code, 0, server.lastLines());
    }
  });
}
