/** What others say before there is a member here; they may be slow, gone, of another program, or lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { type Member, membersJson, newMember } from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import { IMPLEMENTATION_NAME } from '../config/index.ts';
import type { PeerNetwork, PeerResponse, PeerResponseCallback } from '../peer/index.ts';
import {
  IMPLEMENTATION_HEADER,
  type RemoteCluster,
  RemoteMembers,
  type RemoteVersions,
} from './remote-cluster.ts';

const member = (id: bigint, ...peerUrls: string[]): Member => newMember(id, { peerUrls, isLearner: false });
const MEMBERS = [member(1n, 'http://a'), member(2n, 'http://b')];

/** Questions that are open, by URL; the test answers them. */
class Network {
  readonly asked: string[] = [];
  readonly timeoutsMs: number[] = [];
  readonly #open = new Map<string, PeerResponseCallback>();
  readonly remotes = new RemoteMembers(this as unknown as PeerNetwork, new SimClock(), SILENT_LOGGER);

  request(url: string, { path }: { path: string }, timeoutMs: number, done: PeerResponseCallback): void {
    this.asked.push(url + path);
    this.timeoutsMs.push(timeoutMs);
    this.#open.set(url, done);
  }

  answer(url: string, text: string, more: Partial<PeerResponse> = {}): void {
    this.#take(url)({ status: 200, body: Buffer.from(text), ...more }, '');
  }

  fail(url: string): void {
    this.#take(url)(null, 'connection refused');
  }

  #take(url: string): PeerResponseCallback {
    const done = this.#open.get(url);
    assert.ok(done !== undefined, `${url} was not asked`);
    this.#open.delete(url);
    return done;
  }
}

const OF_CLUSTER = { headers: { 'x-etcd-cluster-id': 'c1' } };

function askCluster(network: Network, ...urls: string[]): (RemoteCluster | null)[] {
  const found: (RemoteCluster | null)[] = [];
  network.remotes.cluster(urls, 700, (cluster) => found.push(cluster));
  return found;
}

test('all are asked for the cluster at once, and the first whole answer is the answer', () => {
  const network = new Network();
  const found = askCluster(network, 'http://a', 'http://b', 'http://c');
  assert.deepEqual(network.asked, ['http://a/members', 'http://b/members', 'http://c/members']);
  assert.deepEqual(network.timeoutsMs, [700, 700, 700]);
  network.fail('http://b');
  assert.equal(found.length, 0);
  network.answer('http://c', membersJson(MEMBERS), OF_CLUSTER);
  assert.deepEqual(found, [{ clusterId: 0xc1n, members: MEMBERS }]);
  network.answer('http://a', membersJson([MEMBERS[0]!]), { headers: { 'x-etcd-cluster-id': 'c2' } });
  assert.equal(found.length, 1, 'it is told once');
});

test('that nobody answers is told when the last has failed', () => {
  const network = new Network();
  const found = askCluster(network, 'http://a', 'http://b');
  network.fail('http://a');
  assert.deepEqual(found, []);
  network.fail('http://b');
  assert.deepEqual(found, [null]);
});

test('an answer of another status, without the id of a cluster, or that is no list of members, is none', () => {
  const list = membersJson(MEMBERS);
  for (const [text, more] of [
    [list, { ...OF_CLUSTER, status: 404 }],
    [list, { ...OF_CLUSTER, status: 503 }],
    [list, {}],
    [list, { headers: { 'x-etcd-cluster-id': '' } }],
    [list, { headers: { 'x-etcd-cluster-id': 'no id' } }],
    [list, { headers: { 'x-etcd-cluster-id': '11112222333344445' } }],
    ['', OF_CLUSTER],
    ['404 page not found', OF_CLUSTER],
    [list.slice(0, -1), OF_CLUSTER],
    ['{}', OF_CLUSTER],
    ['7', OF_CLUSTER],
    ['[{"id":"1"}]', OF_CLUSTER],
    ['[{"id":1,"peerURLs":"http://a"}]', OF_CLUSTER],
    ['[null]', OF_CLUSTER],
  ] as const) {
    const network = new Network();
    const found = askCluster(network, 'http://a');
    network.answer('http://a', text, more);
    assert.deepEqual(found, [null], `${text} ${JSON.stringify(more)}`);
  }
});

function askVersions(network: Network, members: readonly Member[]): (readonly RemoteVersions[])[] {
  const found: (readonly RemoteVersions[])[] = [];
  network.remotes.versions(members, (versions) => found.push(versions));
  return found;
}

const UNKNOWN: RemoteVersions = { server: null, cluster: null, isOurs: false };

test('releases come in the order of the members, whoever answers first; who does not answer has none', () => {
  const network = new Network();
  const found = askVersions(network, [...MEMBERS, member(3n, 'http://c'), member(4n)]);
  network.answer('http://b', '{"etcdserver":"3.6.1","etcdcluster":"3.5.0"}');
  network.fail('http://c');
  assert.deepEqual(found, []);
  network.answer('http://a', '{"etcdserver":"3.7.3","etcdcluster":"3.5.0","x":7}', {
    headers: { [IMPLEMENTATION_HEADER]: IMPLEMENTATION_NAME },
  });
  assert.deepEqual(found, [
    [
      { server: '3.7.3', cluster: '3.5.0', isOurs: true },
      { server: '3.6.1', cluster: '3.5.0', isOurs: false },
      UNKNOWN,
      UNKNOWN,
    ],
  ]);
  assert.deepEqual(askVersions(network, []), [[]]);
});

test('of several URLs of one member the next is asked when one does not answer, or talks nonsense', () => {
  const network = new Network();
  const found = askVersions(network, [member(1n, 'http://a', 'http://b', 'http://c', 'http://d')]);
  network.fail('http://a');
  network.answer('http://b', 'not found', { status: 404 });
  network.answer('http://c', '{"etcdserver":');
  network.answer('http://d', '{"etcdserver":"3.5.9"}');
  assert.deepEqual(found, [[{ server: '3.5.9', cluster: null, isOurs: false }]]);
  assert.equal(network.asked.length, 4);
});

test('versions that are no texts are unknown', () => {
  for (const [text, expected] of [
    ['{"etcdserver":3.5,"etcdcluster":["3.5.0"]}', UNKNOWN],
    ['[]', UNKNOWN],
    ['null', UNKNOWN],
    ['"3.5.0"', UNKNOWN],
  ] as const) {
    const network = new Network();
    const found = askVersions(network, [member(1n, 'http://a')]);
    network.answer('http://a', text);
    assert.deepEqual(found, [[expected]], text);
  }
});
