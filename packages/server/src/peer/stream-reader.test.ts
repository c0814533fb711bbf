import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage, type Message } from '@etcd/api/raftpb';
import { writeU64 } from './big-endian.ts';
import { PeerStatus } from './peer-status.ts';
import { MESSAGE_STREAM } from './stream-kind.ts';
import { StreamReader } from './stream-reader.ts';
import { DIAL_TIMEOUT_MS, heartbeat, PeerWorld, peerUrls, REMOTE } from './testing/peer-world.ts';
import { UrlPicker } from './url-picker.ts';

const REDIAL_MS = 100;
const READ_TIMEOUT_MS = 5000;
const STREAM_HEAD = 'HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.30\r\nTransfer-Encoding: chunked\r\n\r\n';

class Read {
  readonly world = new PeerWorld();
  readonly status = new PeerStatus(this.world, REMOTE);
  readonly picker = new UrlPicker(peerUrls('http://b:1', 'http://bb:2'));
  readonly messages: Message[] = [];
  readonly reader = new StreamReader({
    environment: this.world,
    kind: MESSAGE_STREAM,
    id: REMOTE,
    picker: this.picker,
    status: this.status,
    lines: this.world.lines,
    onMessage: (message) => this.messages.push(message),
  });

  /** The next dial, which connects. */
  connect(): void {
    this.world.clock.advance(REDIAL_MS);
    this.world.connection.emit('connect');
  }

  /** The other member answers, and the connection ends. */
  refuse(status: number, text: string, headers = 'X-Server-Version: 3.5.30\r\n'): void {
    this.connect();
    this.world.arrive(`HTTP/1.1 ${status} X\r\n${headers}Content-Length: ${text.length}\r\n\r\n${text}`);
  }

  get urls(): string[] {
    return this.world.dialled.map(({ url }) => url);
  }
}

function chunk(bytes: Uint8Array): Buffer {
  const head = `${bytes.length.toString(16)}\r\n`;
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from('\r\n')]);
}

function frame(message: Message): Buffer {
  const bytes = encodeMessage(message);
  const length = new Uint8Array(8);
  writeU64(length, 0, bytes.length);
  return chunk(Buffer.concat([length, bytes]));
}

test('a stream is asked for with a GET that names who reads and who is meant', () => {
  const { world } = new Read();
  world.clock.settle();
  world.clock.advance(0);
  assert.equal(world.dialled[0]!.url, 'http://b:1');
  const [requestLine, ...headers] = world.connection.written.toString().split('\r\n');
  assert.equal(requestLine, 'GET /raft/stream/message/a HTTP/1.1');
  assert.deepEqual(headers.slice(-2), ['', '']);
  assert.deepEqual(headers.slice(0, -2).sort(), [
    'Host: b:1',
    'User-Agent: etcd/3.7.3',
    'X-Etcd-Cluster-ID: c1',
    'X-Min-Cluster-Version: 3.0.0',
    'X-PeerURLs: http://a:2380,http://aa:2380',
    'X-Raft-To: b',
    'X-Server-From: a',
    'X-Server-Version: 3.7.3',
  ]);
});

test('what the other member writes into its answer is received, from its first byte on', () => {
  const read = new Read();
  read.connect();
  assert.equal(read.status.isActive, false, 'a connection is no stream yet');
  read.world.arrive(Buffer.concat([Buffer.from(STREAM_HEAD), frame(heartbeat())]));
  read.world.arrive(frame(heartbeat()));
  assert.deepEqual(read.messages.map(encodeMessage), [heartbeat(), heartbeat()].map(encodeMessage));
  assert.ok(read.status.isActive);
  const length = 8 + encodeMessage(heartbeat()).length;
  assert.equal(read.world.metrics.peerReceivedBytesTotal.labels('b').value, 2 * length);
});

test('a member that can not be reached is dialled ten times a second, at one URL after the other', () => {
  const { world, urls, status } = dialling();
  for (let i = 0; i < 10; i++) {
    world.connection.emit('error', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }));
    world.clock.advance(REDIAL_MS);
  }
  assert.equal(world.dialled.length, 11);
  assert.deepEqual(urls().slice(0, 3), ['http://b:1', 'http://bb:2', 'http://b:1']);
  assert.equal(status.isActive, false);
  assert.deepEqual(world.takeTold(), [], 'nobody was there before, so nobody has gone');
  assert.ok(world.dialled.slice(0, -1).every(({ connection }) => connection.isDestroyed));
});

function dialling() {
  const read = new Read();
  read.world.clock.advance(0);
  return { world: read.world, status: read.status, urls: () => read.urls, read };
}

test('a dial that takes too long is given up', () => {
  const { world, urls } = dialling();
  world.clock.advance(DIAL_TIMEOUT_MS - 1);
  assert.equal(world.connection.isDestroyed, false);
  world.clock.advance(1);
  assert.equal(world.dialled[0]!.connection.isDestroyed, true);
  world.clock.advance(REDIAL_MS);
  assert.deepEqual(urls(), ['http://b:1', 'http://bb:2']);
});

test('a stream on which nothing comes for five seconds is dead; a heartbeat of the link keeps it', () => {
  const read = new Read();
  const { world, status } = read;
  read.connect();
  world.arrive(STREAM_HEAD);
  const beat = Buffer.from('080830003a00', 'hex');
  for (let i = 0; i < 10; i++) {
    world.clock.advance(READ_TIMEOUT_MS - 1000);
    const length = new Uint8Array(8);
    writeU64(length, 0, beat.length);
    world.arrive(chunk(Buffer.concat([length, beat])));
  }
  assert.deepEqual([status.isActive, read.messages.length], [true, 0]);
  world.clock.advance(READ_TIMEOUT_MS + 1000);
  assert.equal(status.isActive, false);
  assert.match(world.logged('lost TCP streaming connection')[0]!, /"error":"i\/o timeout"/);
  assert.equal(world.dialled.length, 2);
});

test('an end in good order is no sign of illness: the next dial shows', () => {
  const read = new Read();
  read.connect();
  read.world.arrive(`${STREAM_HEAD}0\r\n\r\n`);
  assert.ok(read.status.isActive);
  assert.ok(read.world.connection.isDestroyed);
  read.world.clock.advance(REDIAL_MS);
  assert.deepEqual(read.urls, ['http://b:1', 'http://b:1'], 'where it was found');
});

test('a process that has ended is noticed once, when nobody listens where a stream was', () => {
  const read = new Read();
  read.connect();
  read.world.arrive(STREAM_HEAD);
  for (let i = 0; i < 3; i++) {
    read.world.connection.emit('close');
    read.world.clock.advance(REDIAL_MS);
    read.world.connection.emit('error', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }));
    read.world.clock.advance(REDIAL_MS);
  }
  assert.deepEqual(read.world.takeTold(), ['gone b']);
});

test('refusals mean what they mean in etcd, and the next URL is tried', () => {
  const cases: readonly [number, string, RegExp, readonly string[]][] = [
    [410, 'removed member\n', /permanently removed from the cluster/, ['removed']],
    [404, 'error sender not found\n', /peer b failed to find local node a/, []],
    [412, 'incompatible version\n', /due to server version incompatibility/, []],
    [412, 'cluster ID mismatch\n', /due to cluster ID mismatch/, []],
    [412, 'to field mismatch\n', /\(to field mismatch\)/, []],
    [500, 'oops\n', /unhandled http status 500/, []],
    [301, '', /unhandled http status 301/, []],
  ];
  for (const [status, text, line, told] of cases) {
    const read = new Read();
    read.refuse(status, text);
    assert.ok(
      read.world.logged('').some((logged) => line.test(logged)),
      String(line),
    );
    assert.deepEqual(read.world.takeTold(), told, text);
    assert.equal(read.status.isActive, false);
    read.world.clock.advance(REDIAL_MS);
    assert.deepEqual(read.urls, ['http://b:1', 'http://bb:2']);
  }
});

test('a member from before there were streams is not read, whatever its status says', () => {
  for (const headers of ['X-Server-Version: 2.0.13\r\n', '']) {
    const read = new Read();
    read.refuse(200, '', headers);
    assert.equal(read.status.isActive, false);
    assert.ok(read.world.logged('unsupported stream type').length > 0);
  }
});

test('S17 S21 what is no HTTP or no frame ends the connection, is counted, and is dialled again', () => {
  for (const garbage of [
    'SSH-2.0-OpenSSH_9.6\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`,
    `${STREAM_HEAD}zz\r\n`,
    `${STREAM_HEAD}8\r\n${'\x7f'.repeat(8)}\r\n`,
  ]) {
    const read = new Read();
    read.connect();
    read.world.arrive(garbage);
    assert.equal(read.world.connection.isDestroyed, true);
    assert.equal(read.world.metrics.peerReceivedFailuresTotal.labels('b').value, 1);
    assert.equal(read.status.isActive, false);
    read.world.arrive(frame(heartbeat()));
    assert.equal(read.messages.length, 0, 'nothing more of it is read');
    read.world.clock.advance(REDIAL_MS);
    assert.equal(read.world.dialled.length, 2);
  }
});

test('S18 of a long refusal only a beginning is kept', () => {
  const read = new Read();
  read.connect();
  const bytes = 1024 * 1024;
  read.world.arrive(`HTTP/1.1 500 X\r\nX-Server-Version: 3.5.0\r\nContent-Length: ${bytes}\r\n\r\n`);
  for (let sent = 0; sent < bytes; sent += 1024) read.world.arrive('x'.repeat(1024));
  assert.ok(read.world.logged('').every((line) => line.length < 16 * 1024));
  read.world.clock.advance(REDIAL_MS);
  assert.equal(read.world.dialled.length, 2);
});

test('what a connection of before still says is not heard', () => {
  const read = new Read();
  read.connect();
  read.world.arrive(STREAM_HEAD);
  read.world.connection.emit('close');
  read.connect();
  read.world.arrive(STREAM_HEAD);
  read.world.arrive(frame(heartbeat()), 0);
  read.world.dialled[0]!.connection.emit('close');
  assert.equal(read.messages.length, 0);
  read.world.arrive(frame(heartbeat()));
  assert.equal(read.messages.length, 1);
});

test('a stopped reader dials and hears no more', () => {
  const read = new Read();
  read.connect();
  read.world.arrive(STREAM_HEAD);
  const { connection } = read.world;
  read.reader.stop();
  assert.ok(connection.isDestroyed);
  read.world.arrive(frame(heartbeat()));
  connection.emit('close');
  read.world.clock.advance(60_000);
  assert.deepEqual([read.messages.length, read.world.dialled.length], [0, 1]);
});
