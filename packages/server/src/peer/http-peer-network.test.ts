import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import net from 'node:net';
import { after, test } from 'node:test';
import { Entry, encodeMessage, Message, MessageType, Snapshot } from '@etcd/api/raftpb';
import { DiskError, equalBytes } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { createLogger, MemorySink } from '@etcd/host/logging';
import type { DbReceiver } from '@etcd/storage/snap';
import { createHandles } from '../metrics/metric-table.ts';
import { writeU64 } from './big-endian.ts';
import { HttpPeerNetwork } from './http-peer-network.ts';
import type { PeerHost, PeerRequest, PeerResponse, SnapshotBody } from './peer-network.ts';

const CLUSTER = 0xc1n;
const members: TestMember[] = [];
const closers: (() => void)[] = [];
// Whatever becomes of a test, what it has opened is closed.
after(() => {
  for (const member of members) member.close();
  for (const close of closers) close();
});

/** A database in memory in the place of one on disk. */
class MemoryReceiver {
  bytes = Buffer.alloc(0);
  isFinished = false;
  isAborted = false;
  problem: Error | null = null;

  write(chunk: Uint8Array, done: (error: Error | null) => void): void {
    setImmediate(() => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      done(this.problem);
    });
  }

  finish(done: (error: Error | null) => void): void {
    this.isFinished = true;
    setImmediate(() => done(null));
  }

  abort(): void {
    this.isAborted = true;
  }
}

class TestMember implements PeerHost {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly received: Message[] = [];
  readonly unreachable: bigint[] = [];
  readonly snapshotReports: [bigint, boolean][] = [];
  readonly removed = new Set<bigint>();
  readonly receiver = new MemoryReceiver();
  /** Why no file can be had for a snapshot. */
  diskProblem: DiskError | null = null;
  readonly requests: PeerRequest[] = [];
  readonly sink = new MemorySink();
  readonly metrics = createHandles();
  /** Members whose processes have ended. */
  readonly gone: bigint[] = [];
  removals = 0;
  url = '';
  network!: HttpPeerNetwork;
  server!: Server;
  readonly #watchers = new Set<() => void>();

  constructor(memberId: bigint, clusterId: bigint) {
    this.memberId = memberId;
    this.clusterId = clusterId;
  }

  static async start(memberId: bigint, clusterId = CLUSTER, port = 0): Promise<TestMember> {
    const member = new TestMember(memberId, clusterId);
    members.push(member);
    const clock = new NodeClock();
    member.server = createServer((request, response) => member.network.http.onHttp1(request, response));
    await new Promise<void>((resolve) => member.server.listen(port, '127.0.0.1', resolve));
    member.url = `http://127.0.0.1:${(member.server.address() as net.AddressInfo).port}`;
    member.network = new HttpPeerNetwork({
      clock,
      logger: createLogger({ level: 'debug', sink: member.sink, clock }),
      metrics: member.metrics,
      peerUrls: [member.url],
      dialTimeoutMs: 1000,
    });
    member.network.start(member);
    return member;
  }

  close(): void {
    this.network.stop();
    this.server.close();
    this.server.closeAllConnections();
  }

  receive(message: Message): void {
    this.received.push(message);
    this.#notify();
  }

  receiveSnapshot(): DbReceiver | DiskError {
    return this.diskProblem ?? (this.receiver as unknown as DbReceiver);
  }

  isRemoved(id: bigint): boolean {
    return this.removed.has(id);
  }

  reportUnreachable(id: bigint): void {
    this.unreachable.push(id);
    this.#notify();
  }

  reportSnapshot(id: bigint, isDelivered: boolean): void {
    this.snapshotReports.push([id, isDelivered]);
    this.#notify();
  }

  onPeerGone(id: bigint): void {
    this.gone.push(id);
  }

  onRemovedFromCluster(): void {
    this.removals++;
    this.#notify();
  }

  onRequest(request: PeerRequest, respond: (response: PeerResponse) => void): void {
    this.requests.push(request);
    respond({ status: 200, contentType: 'text/plain', body: Buffer.from(`you asked ${request.path}`) });
  }

  log(): string {
    return this.sink.lines().join('');
  }

  logged(text: string): boolean {
    return this.log().includes(text);
  }

  async until(condition: () => boolean, what: string, timeoutMs = 8000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!condition()) {
      assert.ok(Date.now() < deadline, `${what}; log:\n${this.log().slice(-2000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#watchers.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      this.#watchers.clear();
    }
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

async function pair(): Promise<[TestMember, TestMember]> {
  const a = await TestMember.start(0xan);
  const b = await TestMember.start(0xbn);
  a.network.addPeer(b.memberId, [b.url]);
  b.network.addPeer(a.memberId, [a.url]);
  const streams = (member: TestMember): number =>
    member.log().split('established TCP streaming connection with remote peer').length - 1;
  await a.until(() => streams(a) === 4 && streams(b) === 4, 'four streams each');
  return [a, b];
}

function append(index: number, count: number): Message {
  const entries = Array.from(
    { length: count },
    (_, i) => new Entry({ term: 1, index: index + i + 1, data: new Uint8Array(256).fill(i) }),
  );
  return new Message({
    type: MessageType.MsgApp,
    from: 0xan,
    to: 0xbn,
    term: 1,
    logTerm: 1,
    index,
    entries,
    commit: index,
  });
}

function message(type: number, from: bigint, to: bigint): Message {
  return new Message({ type, from, to, term: 1 });
}

function snapshotMessage(from: bigint, to: bigint): Message {
  const snapshot = new Snapshot({ data: Buffer.from('{}') });
  snapshot.metadata.index = 7;
  snapshot.metadata.term = 1;
  return new Message({ type: MessageType.MsgSnap, from, to, term: 1, snapshot });
}

function bodyOf(bytes: Uint8Array): SnapshotBody & { isClosed: boolean } {
  let at = 0;
  return {
    isClosed: false,
    sizeBytes: bytes.length,
    readThen(target, done) {
      const part = bytes.subarray(at, at + target.length);
      at += part.length;
      target.set(part);
      setImmediate(() => done(null, part.length));
    },
    close() {
      this.isClosed = true;
    },
  };
}

interface RawAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
}

async function ask(url: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<RawAnswer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

function peerHeaders(changes: Record<string, string> = {}): Record<string, string> {
  return {
    'X-Server-From': 'a',
    'X-Server-Version': '3.5.30',
    'X-Min-Cluster-Version': '3.0.0',
    'X-Etcd-Cluster-ID': 'c1',
    ...changes,
  };
}

test('messages of both kinds arrive over streams, in order and unchanged', async () => {
  const [a, b] = await pair();
  const sent = [append(0, 1), append(1, 16), append(17, 0), append(17, 256)];
  const expected = sent.map(encodeMessage);
  a.network.send(sent);
  a.network.send([message(MessageType.MsgHeartbeat, 0xan, 0xbn)]);
  await b.until(() => b.received.length === 5, 'five messages');
  const appends = b.received.filter(({ type }) => type === MessageType.MsgApp);
  assert.deepEqual(appends.map(encodeMessage), expected);
  b.network.send([message(MessageType.MsgAppResp, 0xbn, 0xan)]);
  await a.until(() => a.received.length === 1, 'the answer');
  assert.equal(b.metrics.peerReceivedFailuresTotal.labels('a').value, 0);
  assert.ok(b.metrics.peerReceivedBytesTotal.labels('a').value > 273 * 256);
  assert.ok(a.metrics.peerSentBytesTotal.labels('b').value > 273 * 256);
  assert.equal(a.metrics.activePeers.labels('a', 'b').value, 1);
  assert.ok(a.network.activeSinceMs(0xbn) !== null);
});

test('without streams messages go by POST', async () => {
  const b = await TestMember.start(0xbn);
  const a = await TestMember.start(0xan);
  // b does not know a, so that it refuses its streams; it takes messages all the same.
  a.network.addPeer(b.memberId, [b.url]);
  a.network.send([append(0, 3)]);
  await b.until(() => b.received.length === 1, 'the message');
  assert.deepEqual(encodeMessage(b.received[0]!), encodeMessage(append(0, 3)));
  // And it answers where a's requests say that a is.
  b.network.send([message(MessageType.MsgAppResp, 0xbn, 0xan)]);
  await a.until(() => a.received.length === 1, 'the answer');
  assert.ok(b.logged('added new remote peer'));
});

test('a lost connection is noticed on both sides, and comes back', async () => {
  const [a, b] = await pair();
  const port = Number(new URL(b.url).port);
  b.close();
  await a.until(() => a.network.activeSinceMs(0xbn) === null, 'b inactive');
  assert.ok(a.logged('lost TCP streaming connection with remote peer'));
  assert.ok(a.logged('peer became inactive (message send to peer failed)'));
  assert.equal(a.metrics.disconnectedPeersTotal.labels('a', 'b').value, 1);
  await a.until(() => a.gone.length > 0, 'told that the process of b has ended');
  assert.ok(a.gone.every((id) => id === 0xbn) && a.gone.length <= 2, 'once for each stream at most');
  a.network.send([message(MessageType.MsgHeartbeat, 0xan, 0xbn)]);
  await a.until(() => a.unreachable.includes(0xbn), 'told that b is unreachable');
  const again = await TestMember.start(0xbn, CLUSTER, port);
  again.network.addPeer(0xan, [a.url]);
  await a.until(() => a.network.activeSinceMs(0xbn) !== null, 'b active again');
  a.network.send([message(MessageType.MsgHeartbeat, 0xan, 0xbn)]);
  await again.until(() => again.received.length === 1, 'the message');
});

test('of several URLs the one that works is found', async () => {
  const b = await TestMember.start(0xbn);
  const a = await TestMember.start(0xan);
  b.network.addPeer(0xan, [a.url]);
  const dead = await TestMember.start(0xdn);
  dead.close();
  a.network.addPeer(0xbn, [dead.url, b.url]);
  await a.until(() => a.network.activeSinceMs(0xbn) !== null, 'connected');
});

test('a removed member is told so, once', async () => {
  const [a, b] = await pair();
  b.removed.add(0xan);
  b.network.removePeer(0xan);
  await a.until(() => a.removals > 0, 'told of the removal');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(a.removals, 1);
  assert.ok(b.logged('rejected stream from remote peer because it was removed'));
});

test('a member of another cluster is refused and logged on both sides', async () => {
  const b = await TestMember.start(0xbn, 0xc2n);
  const a = await TestMember.start(0xan);
  a.network.addPeer(0xbn, [b.url]);
  await a.until(
    () => a.logged('request sent was ignored by remote peer due to cluster ID mismatch'),
    'logged',
  );
  assert.ok(b.logged('request cluster ID mismatch'));
  assert.equal(a.network.activeSinceMs(0xbn), null);
});

test('a stream that is asked for again takes the place of the one before', async () => {
  const a = await TestMember.start(0xan);
  a.network.addPeer(0xbn, ['http://127.0.0.1:1']);
  const headers = peerHeaders({ 'X-Raft-To': 'a', 'X-Server-From': 'b' });
  const url = `${a.url}/raft/stream/message/b`;
  const first = await fetch(url, { headers });
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('x-server-version'), '3.7.3');
  const second = await fetch(url, { headers });
  const ended = await first.arrayBuffer();
  assert.ok(ended.byteLength % 1 === 0, 'the first one ends in good order');
  const sent = message(MessageType.MsgHeartbeat, 0xan, 0xbn);
  a.network.send([sent]);
  const { value } = await second.body!.getReader().read();
  assert.deepEqual(Buffer.from(value!.subarray(8)), Buffer.from(encodeMessage(sent)));
});

test('a snapshot arrives whole before its message does', async () => {
  const [a, b] = await pair();
  const database = Buffer.alloc(3_000_001, 'database ');
  const body = bodyOf(database);
  a.network.sendSnapshot(snapshotMessage(0xan, 0xbn), body);
  await a.until(() => a.snapshotReports.length > 0, 'the report');
  assert.deepEqual(a.snapshotReports, [[0xbn, true]]);
  assert.ok(body.isClosed && b.receiver.isFinished);
  assert.ok(equalBytes(b.receiver.bytes, database));
  assert.deepEqual(b.received.map(encodeMessage), [encodeMessage(snapshotMessage(0xan, 0xbn))]);
  assert.equal(a.metrics.snapshotSendSuccess.labels('b').value, 1);
  assert.equal(b.metrics.snapshotReceiveSuccess.labels('a').value, 1);
  assert.equal(b.metrics.snapshotReceiveInflights.labels('a').value, 0);
  assert.equal(a.metrics.snapshotSendInflights.labels('b').value, 0);
});

test('a snapshot that fails on either side is reported, and its message does not arrive', async () => {
  const [a, b] = await pair();
  const short = bodyOf(Buffer.alloc(100_000));
  const body: SnapshotBody = { ...short, sizeBytes: 200_000, close: () => short.close() };
  a.network.sendSnapshot(snapshotMessage(0xan, 0xbn), body);
  await a.until(() => a.snapshotReports.length > 0, 'the report');
  assert.deepEqual(a.snapshotReports, [[0xbn, false]]);
  await b.until(() => b.receiver.isAborted, 'b gave up');
  assert.ok(short.isClosed);
  b.receiver.problem = new Error('disk full');
  a.network.sendSnapshot(snapshotMessage(0xan, 0xbn), bodyOf(Buffer.alloc(5_000_000)));
  await a.until(() => a.snapshotReports.length === 2, 'the second report');
  assert.deepEqual(a.snapshotReports[1], [0xbn, false]);
  assert.equal(b.received.length, 0);
  assert.equal(b.metrics.snapshotReceiveFailures.labels('a').value, 2);
});

test('S21 a snapshot message without a snapshot, or from nowhere in a log, is refused', async () => {
  const a = await TestMember.start(0xan);
  const headless = message(MessageType.MsgSnap, 0xbn, 0xan);
  const unreal = snapshotMessage(0xbn, 0xan);
  unreal.snapshot!.metadata.index = 2 ** 60;
  for (const bytes of [encodeMessage(headless), encodeMessage(unreal)]) {
    const length = new Uint8Array(8);
    writeU64(length, 0, bytes.length);
    const body = Buffer.concat([length, bytes, Buffer.alloc(1000)]);
    const answer = await ask(`${a.url}/raft/snapshot`, { method: 'POST', body, headers: peerHeaders() });
    const text = 'failed to decode raft message (no snapshot of a log)\n';
    assert.deepEqual([answer.status, answer.body], [400, text]);
  }
  assert.equal(a.received.length + a.receiver.bytes.length, 0);
});

test('where no file can be made for a snapshot its sender is told so, and the next one arrives', async () => {
  const [a, b] = await pair();
  b.diskProblem = new DiskError('ENOSPC', '/snap/tmp-0', 'ENOSPC: no space left on device');
  a.network.sendSnapshot(snapshotMessage(0xan, 0xbn), bodyOf(Buffer.alloc(100_000)));
  await a.until(() => a.snapshotReports.length > 0, 'the report');
  assert.deepEqual(a.snapshotReports, [[0xbn, false]]);
  assert.ok(b.logged('failed to save KV snapshot (ENOSPC: no space left on device)'));
  assert.equal(b.metrics.snapshotReceiveInflights.labels('a').value, 0);
  b.diskProblem = null;
  a.network.sendSnapshot(snapshotMessage(0xan, 0xbn), bodyOf(Buffer.alloc(100_000)));
  await a.until(() => a.snapshotReports.length === 2, 'the second report');
  assert.deepEqual(a.snapshotReports[1], [0xbn, true]);
});

test('S21 a member whose URLs are none is not connected until there are better ones', async () => {
  const [a, b] = [await TestMember.start(0xan), await TestMember.start(0xbn)];
  a.network.addPeer(b.memberId, ['nowhere']);
  assert.ok(a.logged('not the URLs of a remote peer'));
  a.network.updatePeer(b.memberId, []);
  a.network.send([message(MessageType.MsgHeartbeat, 0xan, 0xbn)]);
  assert.equal(a.network.activeSinceMs(b.memberId), null);
  b.network.addPeer(a.memberId, [a.url]);
  a.network.updatePeer(b.memberId, [b.url]);
  await a.until(() => a.network.activeSinceMs(b.memberId) !== null, 'a connection');
  a.network.updatePeer(b.memberId, ['nowhere']);
  assert.notEqual(a.network.activeSinceMs(b.memberId), null);
});

test('S21 URLs that can be read, but not be dialled, are no more than unreachable', async () => {
  const a = await TestMember.start(0xan);
  const urls = ['http://127.0.0.1:99999', 'http://\u65e5\u672c.invalid:1', 'unix://nowhere%00'];
  for (const [i, url] of urls.entries()) {
    const id = BigInt(100 + i);
    a.network.addPeer(id, [url]);
    a.network.send([message(MessageType.MsgVote, 0xan, id)]);
    a.network.sendSnapshot(snapshotMessage(0xan, id), bodyOf(Buffer.alloc(1)));
    await a.until(() => a.unreachable.includes(id), `${url} is unreachable`);
    await a.until(() => a.snapshotReports.some(([to]) => to === id), `no snapshot for ${url}`);
    const asked = Promise.withResolvers<PeerResponse | null>();
    a.network.request(url, { method: 'GET', path: '/members' }, 5000, asked.resolve);
    assert.equal(await asked.promise, null);
  }
});

test('requests for streams get the statuses and texts of etcd', async () => {
  const a = await TestMember.start(0xan);
  a.network.addPeer(0xbn, ['http://127.0.0.1:1']);
  a.removed.add(0xdeadn);
  const get = (path: string, changes?: Record<string, string>) =>
    ask(a.url + path, { headers: peerHeaders({ 'X-Raft-To': 'a', ...changes }) });
  const cases: [string, Record<string, string>, number, string][] = [
    ['/raft/stream/other/b', {}, 404, 'invalid path\n'],
    ['/raft/stream/message/xyz', {}, 404, 'invalid from\n'],
    ['/raft/stream/message/77', {}, 404, 'error sender not found\n'],
    ['/raft/stream/message/dead', {}, 410, 'removed member\n'],
    ['/raft/stream/msgapp/b', { 'X-Raft-To': 'b' }, 412, 'to field mismatch\n'],
    ['/raft/stream/msgapp/b', { 'X-Etcd-Cluster-ID': 'c2' }, 412, 'cluster ID mismatch\n'],
    ['/raft/stream/msgapp/b', { 'X-Server-Version': '' }, 412, 'incompatible version\n'],
    ['/raft/stream/msgapp/b', { 'X-Min-Cluster-Version': '4.0.0' }, 412, 'incompatible version\n'],
    ['/raft/stream?a=b', {}, 307, '<a href="/raft/stream/?a=b">Temporary Redirect</a>.\n\n'],
    ['/raft/whatever', {}, 404, '404 page not found\n'],
  ];
  for (const [path, changes, status, body] of cases) {
    const answer = await get(path, changes);
    assert.deepEqual([answer.status, answer.body], [status, body], path);
  }
  const posted = await ask(`${a.url}/raft/stream/message/b`, { method: 'POST', headers: peerHeaders() });
  assert.deepEqual([posted.status, posted.headers.get('allow')], [405, 'GET']);
  const probe = await ask(`${a.url}/raft/probing`);
  assert.equal(JSON.parse(probe.body).OK, true);
});

test('POSTed messages get the statuses and texts of etcd', async () => {
  const a = await TestMember.start(0xan);
  a.removed.add(0xdeadn);
  const post = (body: Uint8Array, changes?: Record<string, string>) =>
    ask(`${a.url}/raft`, { method: 'POST', body, headers: peerHeaders(changes) });
  const good = encodeMessage(message(MessageType.MsgHeartbeat, 0xbn, 0xan));
  assert.equal((await post(good)).status, 204);
  assert.equal(a.received.length, 1);
  assert.equal((await post(good, { 'X-Etcd-Cluster-ID': 'c2' })).status, 412);
  const garbage = await post(Buffer.from('\xff\xff\xff', 'latin1'));
  assert.deepEqual([garbage.status, garbage.body], [400, 'error unmarshalling raft message\n']);
  const removed = await post(encodeMessage(message(MessageType.MsgHeartbeat, 0xdeadn, 0xan)));
  const text = '{"message":"cannot process message from removed member"}';
  assert.deepEqual([removed.status, removed.body], [403, text]);
  const other = await post(encodeMessage(message(MessageType.MsgHeartbeat, 0xbn, 0xcn)));
  assert.deepEqual(
    [other.status, other.body],
    [403, '{"message":"cannot process message to mismatch member"}'],
  );
  assert.equal(a.received.length, 1);
  const got = await ask(`${a.url}/raft`, { headers: peerHeaders() });
  assert.deepEqual([got.status, got.body], [405, 'Method Not Allowed\n']);
});

test('S17 S18 S21 POSTs that are too large, malformed or cut off are refused', async () => {
  const a = await TestMember.start(0xan);
  const snapshot = (body: Uint8Array) =>
    ask(`${a.url}/raft/snapshot`, { method: 'POST', body, headers: peerHeaders() });
  const length = (value: number): Uint8Array => {
    const bytes = new Uint8Array(8);
    writeU64(bytes, 0, value);
    return bytes;
  };
  const framed = (bytes: Uint8Array) => Buffer.concat([length(bytes.length), bytes]);
  const expected: [Uint8Array, RegExp][] = [
    [new Uint8Array(8).fill(0xff), /^failed to decode raft message/],
    [length(64 * 1024 * 1024 + 1), /^failed to decode raft message/],
    [Buffer.concat([length(100), new Uint8Array(50)]), /^failed to decode raft message \(unexpected EOF\)/],
    [framed(Buffer.from([0x0a, 0xff])), /^failed to decode raft message/],
    [framed(encodeMessage(message(MessageType.MsgApp, 0xbn, 0xan))), /^wrong raft message type\n$/],
  ];
  for (const [body, text] of expected) {
    const answer = await snapshot(body);
    assert.equal(answer.status, 400);
    assert.match(answer.body, text);
  }
  const tooLarge = await ask(`${a.url}/leases`, { method: 'POST', body: new Uint8Array(64 * 1024 + 1) });
  assert.deepEqual([tooLarge.status, tooLarge.body], [413, 'request body too large\n']);
  assert.equal(a.requests.length, 0);
  const socket = net.connect(Number(new URL(a.url).port), '127.0.0.1');
  const head = Object.entries(peerHeaders({ 'Content-Length': String(1024 * 1024 * 1024), Host: 'a' }));
  socket.write(`POST /raft HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
  const block = Buffer.alloc(1024 * 1024);
  socket.on('error', () => {});
  closers.push(() => socket.destroy());
  const push = (): void => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', push);
  push();
  // Whoever goes on sending may lose the answer with the connection.
  const answered = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data)));
    socket.once('close', () => resolve('closed'));
  });
  assert.match(answered, /^HTTP\/1.1 400 |^closed$/);
  socket.destroy();
  assert.equal(a.received.length, 0);
});

test('S20 S21 a member that reads nothing costs a bounded number of bytes, and the rest is reported', async () => {
  const a = await TestMember.start(0xan);
  a.network.addPeer(0xbn, ['http://127.0.0.1:1']);
  const socket = net.connect(Number(new URL(a.url).port), '127.0.0.1');
  const head = Object.entries(peerHeaders({ 'X-Raft-To': 'a', Host: 'a', 'X-Server-From': 'b' }));
  socket.write(
    `GET /raft/stream/msgapp/b HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`,
  );
  socket.pause();
  socket.on('error', () => {});
  closers.push(() => socket.destroy());
  await a.until(() => a.logged('established TCP streaming connection'), 'the stream');
  const big = append(0, 0);
  big.entries = [new Entry({ term: 1, index: 1, data: new Uint8Array(1024 * 1024) })];
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 300; i++) a.network.send([big]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 100 * 1024 * 1024);
  await a.until(() => a.unreachable.includes(0xbn), 'told that b is unreachable');
  assert.ok(a.logged('dropped internal Raft message since sending buffer is full'));
  // And after five seconds it is given up.
  await a.until(() => a.logged('lost TCP streaming connection'), 'given up', 15_000);
  socket.destroy();
});

test('requests reach the other member, with their answers, limits and failures', async () => {
  const [a, b] = await pair();
  const ask = (url: string, request: PeerRequest, timeoutMs = 2000) =>
    new Promise<[PeerResponse | null, string]>((resolve) =>
      a.network.request(url, request, timeoutMs, (response, reason) => resolve([response, reason])),
    );
  const [members] = await ask(b.url, { method: 'GET', path: '/members?linearizable=false' });
  assert.equal(members!.status, 200);
  assert.equal(Buffer.from(members!.body).toString(), 'you asked /members?linearizable=false');
  const body = Buffer.from('{"revision":3}');
  await ask(b.url, { method: 'GET', path: '/members/hashkv', contentType: 'application/json', body });
  await ask(b.url, { method: 'POST', path: '/members/promote/5', headers: { authorization: 'token' } });
  const [, hashKv, promotion] = b.requests;
  assert.equal(Buffer.from(hashKv!.body!).toString(), '{"revision":3}');
  assert.equal(hashKv!.headers!['x-etcd-cluster-id'], 'c1');
  assert.equal(promotion!.headers!['authorization'], 'token');
  const [none, reason] = await ask('http://127.0.0.1:1', { method: 'GET', path: '/members' });
  assert.equal(none, null);
  assert.match(reason, /^dial tcp 127.0.0.1:1: connect: connection refused$/);
  const silent = net.createServer().listen(0, '127.0.0.1');
  closers.push(() => silent.close());
  await new Promise((resolve) => silent.once('listening', resolve));
  const url = `http://127.0.0.1:${(silent.address() as net.AddressInfo).port}`;
  assert.deepEqual(await ask(url, { method: 'GET', path: '/version' }, 100), [
    null,
    'context deadline exceeded',
  ]);
  silent.close();
  assert.equal((await ask('not a url', { method: 'GET', path: '/' }))[0], null);
});

test('S21 a peer whose stream is garbage is dialled again, and nothing of it is received', async () => {
  let dials = 0;
  const evil = createServer((_, response) => {
    dials++;
    response.writeHead(200, { 'X-Server-Version': '3.5.30' });
    response.write(Buffer.alloc(64, 0xff));
  }).listen(0, '127.0.0.1');
  closers.push(() => evil.close());
  closers.push(() => evil.closeAllConnections());
  await new Promise((resolve) => evil.once('listening', resolve));
  const a = await TestMember.start(0xan);
  a.network.addPeer(0xbn, [`http://127.0.0.1:${(evil.address() as net.AddressInfo).port}`]);
  await a.until(() => dials >= 6, 'dialled again');
  assert.ok(dials < 20, `${dials} dials`);
  assert.equal(a.received.length, 0);
  assert.ok(a.metrics.peerReceivedFailuresTotal.labels('b').value >= 2);
  a.close();
  evil.close();
  evil.closeAllConnections();
});

test('a stopped network dials, sends and receives no more', async () => {
  const [a, b] = await pair();
  a.network.stop();
  a.network.send([append(0, 1)]);
  b.network.send([message(MessageType.MsgAppResp, 0xbn, 0xan)]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(a.received.length + b.received.length, 0);
  assert.equal(a.network.activeSinceMs(0xbn), null);
});
