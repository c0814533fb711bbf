import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, Entry, encodeMessage, Message, MessageType } from '@etcd/api/raftpb';
import { BlockPool, ChunkWriter } from './chunk-writer.ts';
import { PeerStatus } from './peer-status.ts';
import { MESSAGE_STREAM } from './stream-kind.ts';
import { StreamWriter } from './stream-writer.ts';
import { FakeConnection, heartbeat, PeerWorld, REMOTE } from './testing/peer-world.ts';

const MIB = 1024 * 1024;
const LINK_HEARTBEAT_MS = 5000 / 3;

/** The chunks of a body, each `<8 hex digits> CR LF <bytes> CR LF`. */
function chunks(body: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const head = body.toString('latin1', at, at + 10);
    assert.match(head, /^[0-9a-f]{8}\r\n$/);
    const end = at + 10 + Number.parseInt(head, 16);
    found.push(body.subarray(at + 10, end));
    assert.equal(body.toString('latin1', end, end + 2), '\r\n');
    at = end + 2;
  }
  return found;
}

function put(writer: ChunkWriter, text: string): void {
  const at = writer.reserve(text.length);
  writer.bytes.set(Buffer.from(text), at);
}

function setUpChunks() {
  const world = new PeerWorld();
  const connection = new FakeConnection();
  return { world, connection, writer: new ChunkWriter(connection.asSocket(), world.pool, world.clock) };
}

test('what a turn encodes is one chunk and one write', () => {
  const { connection, writer } = setUpChunks();
  put(writer, 'hello');
  put(writer, ', world');
  assert.equal(connection.written.length, 0);
  writer.flush();
  writer.flush();
  assert.equal(connection.written.toString(), '0000000c\r\nhello, world\r\n');
});

test('a frame that does not fit the block goes into the next, a large one into one of its own', () => {
  const { connection, writer } = setUpChunks();
  const sizes = [200 * 1024, 100 * 1024, 3 * MIB, 5];
  for (const [i, size] of sizes.entries()) {
    const at = writer.reserve(size);
    writer.bytes.fill(i + 1, at, at + size);
  }
  writer.flush();
  assert.deepEqual(
    chunks(connection.written).map((chunk) => [chunk[0], chunk.length]),
    sizes.map((size, i) => [i + 1, size]),
  );
});

test('what is pending is counted until the kernel has it, and its block is used again', () => {
  const { world, connection, writer } = setUpChunks();
  put(writer, 'one');
  const block = writer.bytes;
  assert.deepEqual([writer.pendingFrames, writer.pendingBytes], [1, 3]);
  writer.flush();
  put(writer, 'second');
  assert.notEqual(writer.bytes, block, 'what is on its way is not written over');
  assert.deepEqual([writer.pendingFrames, writer.pendingBytes], [2, 9]);
  connection.take();
  assert.deepEqual([writer.pendingFrames, writer.pendingBytes], [1, 6]);
  assert.equal(world.pool.take(10), block);
});

test('S20 free blocks are kept up to a number, and large ones are let go', () => {
  const pool = new BlockPool();
  const blocks = Array.from({ length: 40 }, () => pool.take(1));
  const large = pool.take(MIB);
  for (const block of [large, ...blocks]) pool.give(block);
  const again = new Set(Array.from({ length: 40 }, () => pool.take(1)));
  assert.equal(blocks.filter((block) => again.has(block)).length, 16);
  assert.ok(!again.has(large));
});

test('a connection is stalled when its next block is not taken in five seconds and a second per mebibyte', () => {
  const { world, connection, writer } = setUpChunks();
  assert.ok(!writer.isStalled());
  writer.reserve(2 * MIB);
  writer.flush();
  put(writer, 'x');
  writer.flush();
  world.clock.advance(5000 + 2048);
  assert.ok(!writer.isStalled());
  world.clock.advance(1);
  assert.ok(writer.isStalled());
  connection.take(1);
  assert.ok(!writer.isStalled(), 'it is slow, but alive');
  world.clock.advance(5001);
  assert.ok(writer.isStalled());
});

test('what is given up is pending no more, whatever the kernel says of it later', () => {
  const { connection, writer } = setUpChunks();
  put(writer, 'one');
  writer.flush();
  put(writer, 'two');
  writer.abandon();
  writer.flush();
  assert.deepEqual([writer.pendingFrames, writer.pendingBytes], [0, 0]);
  connection.take();
  assert.deepEqual([writer.pendingFrames, writer.pendingBytes], [0, 0]);
  assert.deepEqual(chunks(connection.written).map(String), ['one']);
});

class Written {
  readonly world = new PeerWorld();
  readonly status = new PeerStatus(this.world, REMOTE);
  readonly writer = new StreamWriter(this.world, MESSAGE_STREAM, REMOTE, this.status);

  attach(): FakeConnection {
    const connection = new FakeConnection();
    this.writer.attach(connection.asResponse(), connection.asSocket());
    return connection;
  }
}

test('a message leaves after the turn, as its length and its bytes; many of a turn in one write', () => {
  const { world, writer, attach } = bound();
  const connection = attach();
  assert.ok(writer.send(heartbeat()) && writer.send(heartbeat()));
  assert.equal(connection.written.length, 0);
  world.clock.settle();
  assert.equal(world.flushes, 1);
  const bytes = Buffer.from(encodeMessage(heartbeat()));
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(bytes.length));
  assert.deepEqual(chunks(connection.written), [Buffer.concat([length, bytes, length, bytes])]);
});

function bound() {
  const written = new Written();
  return { ...written, attach: () => written.attach(), writer: written.writer };
}

test('without somebody who reads nothing is taken, and nothing kept', () => {
  const { world, writer, attach } = bound();
  assert.equal(writer.send(heartbeat()), false);
  const connection = attach();
  world.clock.settle();
  assert.equal(connection.written.length, 0);
  assert.ok(writer.isAttached);
});

test('a silent stream is kept alive three times in five seconds by a heartbeat from nobody', () => {
  const { world, attach } = bound();
  const connection = attach();
  for (let i = 0; i < 3; i++) {
    world.clock.advance(LINK_HEARTBEAT_MS);
    connection.take();
  }
  const beats = chunks(connection.written);
  assert.equal(beats.length, 3);
  const { type, from, to } = decodeMessage(beats[0]!.subarray(8));
  assert.deepEqual([type, from, to], [MessageType.MsgHeartbeat, 0n, 0n]);
});

test('S20 heartbeats do not pile up behind what is not taken', () => {
  const { world, writer, attach } = bound();
  const connection = attach();
  writer.send(heartbeat());
  world.clock.advance(2 * LINK_HEARTBEAT_MS + 1);
  assert.equal(chunks(connection.written).length, 1);
});

test('S20 4096 messages or 64 MiB wait for a connection, and no more', () => {
  const small = bound();
  small.attach();
  const taken = Array.from({ length: 5000 }, () => small.writer.send(heartbeat()));
  assert.equal(taken.filter((isTaken) => isTaken).length, 4096);

  const large = bound();
  const connection = large.attach();
  const entries = [new Entry({ data: new Uint8Array(16 * MIB) })];
  const message = new Message({ type: MessageType.MsgApp, from: 0xan, to: REMOTE, entries });
  let count = 0;
  while (large.writer.send(message)) count++;
  assert.equal(count, 4);
  large.world.clock.settle();
  connection.take();
  assert.ok(large.writer.send(message));
});

test('a connection that takes nothing for five seconds is lost, and reported', () => {
  const { world, writer, status, attach } = bound();
  const connection = attach();
  writer.send(heartbeat());
  world.clock.advance(4 * LINK_HEARTBEAT_MS + 1);
  assert.deepEqual([writer.isAttached, connection.isDestroyed, status.isActive], [false, true, false]);
  assert.ok(world.takeTold().includes('unreachable b'));
  assert.equal(world.logged('lost TCP streaming connection with remote peer').length, 1);
  assert.equal(world.metrics.peerSentFailuresTotal.labels('b').value, 1);
});

test('a connection that the other end closes is lost, with what was on its way', () => {
  const { world, writer, status, attach } = bound();
  const connection = attach();
  assert.ok(status.isActive);
  connection.emit('close');
  assert.deepEqual([writer.isAttached, status.isActive], [false, false]);
  assert.deepEqual(world.takeTold(), ['unreachable b']);
  assert.equal(writer.send(heartbeat()), false);
});

test('a second connection takes the place of the first, which ends in good order', () => {
  const { world, writer, status, attach } = bound();
  const first = attach();
  writer.send(heartbeat());
  const second = attach();
  assert.equal(chunks(first.written).length, 1, 'what was for it has left');
  assert.ok(first.isEnded && !first.isDestroyed);
  first.emit('close');
  assert.ok(writer.isAttached && status.isActive, 'its end is no news');
  writer.send(heartbeat());
  world.clock.settle();
  assert.equal(chunks(second.written).length, 1);
  world.clock.advance(5000);
  assert.ok(first.isDestroyed, 'whoever does not read does not keep the connection');
});

test('a stopped writer lets what was sent arrive, and closes', () => {
  const { world, writer, attach } = bound();
  const connection = attach();
  writer.send(heartbeat());
  writer.stop();
  assert.ok(connection.isEnded);
  assert.equal(chunks(connection.written).length, 1);
  connection.writableFinished = true;
  world.clock.advance(60_000);
  assert.ok(!connection.isDestroyed);
  assert.equal(chunks(connection.written).length, 1, 'no heartbeat follows');
});
