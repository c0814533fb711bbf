/** A member's ties to the others, before a network that only takes notes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, EntryType, Message, MessageType } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { type Member, Membership, newMember } from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import { createHandles } from '../metrics/metric-table.ts';
import type { PeerHost, PeerNetwork } from '../peer/index.ts';
import { ClusterLink, type ClusterLinkOptions } from './cluster-link.ts';

const SELF = 1n;

const member = (id: bigint, url = `http://m${id}:1`): Member =>
  newMember(id, { peerUrls: [url], isLearner: false });

class Network implements PeerNetwork {
  readonly did: string[] = [];
  readonly sent: Message[] = [];
  readonly activeSince = new Map<bigint, number>();

  start(): void {}
  stop(): void {
    this.did.push('stop');
  }
  addPeer(id: bigint, urls: readonly string[]): void {
    this.did.push(`add ${id} at ${urls.join(',')}`);
  }
  updatePeer(id: bigint, urls: readonly string[]): void {
    this.did.push(`update ${id} to ${urls.join(',')}`);
  }
  removePeer(id: bigint): void {
    this.did.push(`remove ${id}`);
  }
  send(messages: readonly Message[]): void {
    this.sent.push(...messages);
  }
  sendSnapshot(): void {}
  activeSinceMs(id: bigint): number | null {
    return this.activeSince.get(id) ?? null;
  }
  request(): void {}
}

class World {
  readonly clock = new SimClock();
  readonly network = new Network();
  readonly membership: Membership;
  readonly link: ClusterLink;
  readonly stepped: Message[] = [];
  readonly snapshots: Message[] = [];
  removed = 0;

  constructor(...members: Member[]) {
    const state = {
      members,
      removedIds: [9n],
      version: null,
      downgrade: { enabled: false, targetVersion: '' },
    };
    this.membership = new Membership({ clusterId: 0xc1n, state });
    this.link = new ClusterLink({
      network: this.network,
      membership: this.membership,
      memberId: SELF,
      snapshotter: {} as ClusterLinkOptions['snapshotter'],
      clock: this.clock,
      logger: SILENT_LOGGER,
      heartbeatIntervalMs: 100,
      metrics: createHandles(),
      step: (message) => this.stepped.push(message),
      reportUnreachable: () => {},
      reportSnapshot: () => {},
      sendSnapshot: (message) => this.snapshots.push(message),
      onRequest: ((_request, respond) =>
        respond({ status: 200, body: new Uint8Array(0) })) as PeerHost['onRequest'],
      onPeerGone: () => {},
      onRemoved: () => this.removed++,
    });
  }
}

const message = (to: bigint, type: number, fields: Partial<Message> = {}): Message =>
  new Message({ to, from: SELF, term: 2, type, ...fields });

test('the network has the members as its peers, but this one, and those of the cluster that is joined', () => {
  const world = new World(member(SELF), member(2n));
  world.link.start([member(3n)]);
  assert.deepEqual(world.network.did, ['add 3 at http://m3:1', 'remove 3', 'add 2 at http://m2:1']);
  const joining = new World();
  joining.link.start([member(3n)]);
  assert.deepEqual(
    joining.network.did,
    ['add 3 at http://m3:1'],
    'a log that knows nobody takes nobody away',
  );
});

test('what changes in the membership changes among the peers, and only that', () => {
  const { link, network } = new World(member(SELF), member(2n));
  link.start([]);
  network.did.length = 0;
  link.onMemberChange({ kind: 'added', member: member(3n) });
  link.onMemberChange({ kind: 'updated', member: { ...member(2n), name: 'two' } });
  link.onMemberChange({ kind: 'updated', member: member(2n, 'http://new:1') });
  link.onMemberChange({ kind: 'promoted', member: member(3n) });
  link.onMemberChange({ kind: 'removed', id: 3n, member: null });
  link.onMemberChange({ kind: 'removed', id: 3n, member: null });
  link.onMemberChange({ kind: 'ignored', id: 8n });
  link.onMemberChange({ kind: 'updated', member: member(SELF, 'http://self:1') });
  assert.deepEqual(network.did, ['add 3 at http://m3:1', 'update 2 to http://new:1', 'remove 3']);
});

test('a member that applied its own removal tells the others that it is committed before it ends', () => {
  const world = new World(member(SELF), member(2n));
  world.link.start([]);
  world.link.onMemberChange({ kind: 'removed', id: SELF, member: member(SELF) });
  world.clock.advance(999);
  assert.equal(world.removed, 0);
  world.clock.advance(1);
  assert.equal(world.removed, 1);
});

test('of plain acknowledgements to one member the last is sent, refusals all, in their order', () => {
  const { link, network } = new World(member(SELF), member(2n), member(3n));
  const { MsgAppResp } = MessageType;
  link.send([
    message(2n, MsgAppResp, { index: 1 }),
    message(2n, MsgAppResp, { index: 2, reject: true }),
    message(3n, MsgAppResp, { index: 3 }),
    message(2n, MsgAppResp, { index: 4 }),
  ]);
  assert.deepEqual(
    network.sent.map(({ to, index }) => [to, index]),
    [
      [2n, 2],
      [3n, 3],
      [2n, 4],
    ],
  );
});

test('snapshots take their own way, nothing goes to who was removed, and nothing when the member has stopped', () => {
  const { link, network, snapshots } = new World(member(SELF), member(2n));
  link.send([message(2n, MessageType.MsgSnap), message(9n, MessageType.MsgApp)]);
  assert.deepEqual([snapshots.length, network.sent.length], [1, 0]);
  link.stop();
  link.send([message(2n, MessageType.MsgApp)]);
  assert.deepEqual(network.sent, []);
});

test('a message to the member itself is a broken invariant', () => {
  const { link } = new World(member(SELF));
  assert.throws(() => link.send([message(SELF, MessageType.MsgApp)]), /a message to the member itself/);
});

test('a message with an entry that nobody could apply is refused, others are for raft', () => {
  const { link, stepped } = new World(member(SELF), member(2n));
  const from = (entry: Entry): Message =>
    new Message({ type: MessageType.MsgApp, to: SELF, from: 2n, entries: [entry] });
  link.receive(from(new Entry({ type: EntryType.EntryNormal, data: Buffer.from([0xff, 0xff]) })));
  link.receive(from(new Entry({ type: EntryType.EntryConfChangeV2 })));
  assert.deepEqual(stepped, []);
  link.receive(from(new Entry({ type: EntryType.EntryNormal })));
  assert.equal(stepped.length, 1);
  link.stop();
  link.receive(from(new Entry({ type: EntryType.EntryNormal })));
  assert.equal(stepped.length, 1);
});

test('a member counts as connected after five seconds, and the one that is so longest is known', () => {
  const { link, network, clock } = new World(member(SELF), member(2n), member(3n));
  link.start([]);
  assert.equal(link.hasActivePeer, false);
  network.activeSince.set(2n, clock.now());
  clock.advance(100);
  network.activeSince.set(3n, clock.now());
  assert.deepEqual([link.hasActivePeer, link.isActive(3n), link.isConnected(3n)], [true, true, false]);
  assert.equal(link.isConnected(SELF), true);
  clock.advance(4900);
  assert.deepEqual([link.isConnected(2n), link.isConnected(3n)], [true, false]);
  assert.equal(link.longestConnected([SELF, 3n, 2n]), 2n);
  assert.equal(link.longestConnected([SELF]), null);
});

test('every answer to another member says which cluster it comes from', () => {
  const { link } = new World(member(SELF));
  const answers: unknown[] = [];
  link.onRequest({ method: 'GET', path: '/version' }, ({ headers }) => answers.push(headers));
  assert.deepEqual(answers, [{ 'x-etcd-cluster-id': 'c1' }]);
});
