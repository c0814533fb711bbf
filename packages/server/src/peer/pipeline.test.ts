import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, Entry, encodeMessage, Message, MessageType } from '@etcd/api/raftpb';
import { Peer } from './peer.ts';
import { PeerStatus } from './peer-status.ts';
import { Pipeline } from './pipeline.ts';
import { postProblem } from './post-answer.ts';
import { Remote } from './remote.ts';
import { heartbeat, PeerWorld, peerUrls, REMOTE, responseOf, snapshotMessage } from './testing/peer-world.ts';
import { UrlPicker } from './url-picker.ts';

const MIB = 1024 * 1024;

function setUp() {
  const world = new PeerWorld();
  const picker = new UrlPicker(peerUrls('http://b:1', 'http://bb:2'));
  const status = new PeerStatus(world, REMOTE);
  const pipeline = new Pipeline(world, REMOTE, picker, status);
  return { world, picker, status, pipeline };
}

function numbered(term: number, bytes = 0): Message {
  const entries = bytes === 0 ? [] : [new Entry({ data: new Uint8Array(bytes) })];
  return new Message({ type: MessageType.MsgApp, from: 0xan, to: REMOTE, term, entries });
}

test('a message is a POST of its bytes to /raft, with who we are', () => {
  const { world, pipeline } = setUp();
  assert.ok(pipeline.send(heartbeat()));
  const { call } = world.open[0]!;
  assert.deepEqual([call.method, call.path, call.url.text], ['POST', '/raft', 'http://b:1']);
  assert.deepEqual(Buffer.from(call.body!), Buffer.from(encodeMessage(heartbeat())));
  assert.deepEqual(call.headers, {
    'X-Server-From': 'a',
    'X-Server-Version': '3.7.3',
    'X-Min-Cluster-Version': '3.0.0',
    'X-Etcd-Cluster-ID': 'c1',
    'X-PeerURLs': 'http://a:2380,http://aa:2380',
    'Content-Type': 'application/protobuf',
  });
});

test('S20 four messages are on their way and 64 wait, in order; what goes beyond does not fit', () => {
  const { world, pipeline } = setUp();
  const taken = Array.from({ length: 80 }, (_, term) => pipeline.send(numbered(term)));
  assert.equal(taken.filter((isTaken) => isTaken).length, 68);
  assert.ok(!taken.slice(68).includes(true));
  const terms: number[] = [];
  while (world.open.length > 0) {
    assert.ok(world.open.length <= 4);
    const [next] = world.open;
    terms.push(decodeMessage(next!.call.body!).term);
    next!.answer(responseOf(204));
  }
  assert.deepEqual(
    terms,
    Array.from({ length: 68 }, (_, i) => i),
  );
  assert.ok(pipeline.send(numbered(99)), 'there is room again');
});

test('S20 no more than 16 MiB wait, but for the message that fills them', () => {
  const { world, pipeline } = setUp();
  for (let i = 0; i < 4; i++) assert.ok(pipeline.send(numbered(1)));
  const taken = Array.from({ length: 5 }, () => pipeline.send(numbered(2, 6 * MIB)));
  assert.deepEqual(taken, [true, true, true, false, false]);
  world.open[0]!.answer(responseOf(204));
  assert.ok(pipeline.send(numbered(3)), 'one of them has left');
});

test('a large message may take longer, a mebibyte a second', () => {
  const { world, pipeline } = setUp();
  pipeline.send(numbered(1));
  pipeline.send(numbered(1, 8 * MIB));
  const [small, large] = world.open.map(({ call }) => call.timeoutMs!);
  assert.ok(small! >= 5000 && small! < 5001);
  assert.ok(large! >= 5000 + 8 * 1024 && large! < 5000 + 8 * 1024 + 1);
});

test('a message that arrives makes the peer active; one that does not makes it inactive and the next URL be used', () => {
  const { world, status, picker, pipeline } = setUp();
  pipeline.send(heartbeat());
  world.open[0]!.answer(responseOf(204));
  assert.ok(status.isActive);
  assert.deepEqual(world.takeTold(), []);
  assert.ok(world.metrics.peerSentBytesTotal.labels('b').value > 0);
  pipeline.send(heartbeat());
  world.open[0]!.answer(null, 'dial tcp b:1: connect: connection refused');
  assert.ok(!status.isActive);
  assert.equal(picker.pick().text, 'http://bb:2');
  assert.deepEqual(world.takeTold(), ['unreachable b']);
  assert.equal(world.metrics.peerSentFailuresTotal.labels('b').value, 1);
  assert.ok(
    world.logged('failed to write b on pipeline (dial tcp b:1: connect: connection refused)').length === 1,
  );
});

test('raft is told what became of a snapshot that went this way', () => {
  const { world, pipeline } = setUp();
  pipeline.send(snapshotMessage());
  pipeline.send(snapshotMessage());
  world.open[0]!.answer(responseOf(204));
  assert.deepEqual(world.takeTold(), ['snapshot b true']);
  world.open[0]!.answer(responseOf(500));
  assert.deepEqual(world.takeTold(), ['unreachable b', 'snapshot b false']);
});

test('a stopped pipeline cancels what is on its way, forgets what waits, and tells nobody', () => {
  const { world, pipeline } = setUp();
  for (let i = 0; i < 10; i++) pipeline.send(heartbeat());
  pipeline.stop();
  assert.deepEqual([world.calls.length, world.open.length], [4, 0]);
  assert.deepEqual(world.takeTold(), []);
});

test('the answer to a POST says whether the message was taken, and why not in the words of etcd', () => {
  const removed = 'the member has been permanently removed from the cluster';
  const cases: readonly [number, string, string | null, readonly string[]][] = [
    [204, '', null, []],
    [403, '{"message":"cannot process message from removed member"}', removed, ['removed']],
    [
      403,
      '{"message":"cannot process message to mismatch member"}',
      'the message was for another member',
      [],
    ],
    [412, 'incompatible version\n', 'incompatible version', []],
    [412, 'cluster ID mismatch\n', 'cluster ID mismatch', []],
    [412, 'other\n', 'unhandled error "other\\n" when precondition failed', []],
    [200, '', 'unexpected http status 200 while posting to "/raft"', []],
    [404, '', 'unexpected http status 404 while posting to "/raft"', []],
    [500, 'x', 'unexpected http status 500 while posting to "/raft"', []],
  ];
  for (const [status, body, problem, told] of cases) {
    const world = new PeerWorld();
    assert.equal(postProblem(world, responseOf(status, body), '/raft'), problem);
    assert.deepEqual(world.told, told, body);
  }
});

test('refusals that an operator must do something about are logged, once a second', () => {
  const { world, pipeline } = setUp();
  for (let i = 0; i < 3; i++) {
    pipeline.send(heartbeat());
    world.open[0]!.answer(responseOf(412, 'incompatible version\n'));
    pipeline.send(heartbeat());
    world.open[0]!.answer(responseOf(412, 'cluster ID mismatch\n', { 'x-etcd-cluster-id': 'c2' }));
  }
  assert.equal(world.logged('request sent was ignored by peer').length, 1);
  const [line] = world.logged('request sent was ignored due to cluster ID mismatch');
  assert.match(line!, /"remote-peer-id":"b","remote-peer-cluster-id":"c2","local-member-cluster-id":"c1"/);
});

test('a peer becomes active and inactive once, however often that is found, and is forgotten with its metrics', () => {
  const world = new PeerWorld();
  const status = new PeerStatus(world, REMOTE);
  const active = world.metrics.activePeers.labels('a', 'b');
  world.clock.advance(500);
  for (let i = 0; i < 3; i++) status.activate();
  assert.deepEqual([status.activeSinceMs, active.value], [500, 1]);
  for (let i = 0; i < 3; i++) status.deactivate('stream Message', 'read', 'EOF');
  assert.deepEqual([status.activeSinceMs, active.value], [null, 0]);
  assert.equal(world.metrics.disconnectedPeersTotal.labels('a', 'b').value, 1);
  assert.equal(world.logged('peer became active').length, 1);
  const [line] = world.logged('peer became inactive (message send to peer failed)');
  assert.ok(line!.includes('failed to read b on stream Message (EOF)'));
  status.activate();
  status.forget();
  status.forget();
  assert.equal(active.value, 0);
  assert.equal(
    world.metrics.disconnectedPeersTotal.labels('a', 'b').value,
    1,
    'a removal is no disconnection',
  );
});

test('a member that is not known yet gets what fits, and the rest is reported', () => {
  const world = new PeerWorld();
  const remote = new Remote(world, REMOTE, peerUrls('http://b:1'));
  for (let i = 0; i < 70; i++) remote.send(heartbeat());
  assert.deepEqual(world.takeTold(), ['unreachable b', 'unreachable b']);
  assert.equal(world.metrics.peerSentFailuresTotal.labels('b').value, 2);
  remote.stop();
  assert.equal(world.open.length, 0);
});

test('a snapshot message never holds up a stream: it goes by POST, and its loss is told to raft', () => {
  const world = new PeerWorld();
  const peer = new Peer(world, REMOTE, peerUrls('http://b:1'), () => {});
  for (let i = 0; i < 69; i++) peer.send(snapshotMessage());
  world.clock.settle();
  assert.ok(world.told.includes('snapshot b false'));
  assert.equal(world.logged('dropped internal Raft message since sending buffer is full').length, 1);
  assert.match(
    world.logged('dropped internal')[0]!,
    /"message-type":"MsgSnap".*"remote-peer-name":"pipeline"/,
  );
  peer.stop();
});
