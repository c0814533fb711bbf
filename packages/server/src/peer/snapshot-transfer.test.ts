import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage, type Message } from '@etcd/api/raftpb';
import { DiskError } from '@etcd/base';
import type { HttpAnswer } from '@etcd/host/net';
import { readU64, writeU64 } from './big-endian.ts';
import type { SnapshotBody } from './peer-network.ts';
import { readBody } from './request-body.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { sendSnapshot } from './snapshot-upload.ts';
import {
  type FakeCall,
  FakeConnection,
  LOCAL,
  PeerWorld,
  peerUrls,
  REMOTE,
  responseOf,
  snapshotMessage,
} from './testing/peer-world.ts';

const PART_BYTES = 256 * 1024;
const STALL_MS = 30_000;

// --- sending

/** A database whose reads the test lets end. */
class Body implements SnapshotBody {
  readonly sizeBytes: number;
  closed = 0;
  asked = 0;
  #done: ((bytesRead: number, error: Error | null) => void) | null = null;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }

  readThen(target: Uint8Array, done: (error: Error | null, bytesRead: number) => void): void {
    assert.equal(this.#done, null, 'one read at a time');
    this.asked++;
    this.#done = (bytesRead, error) => {
      target.fill(this.asked, 0, bytesRead);
      done(error, bytesRead);
    };
    this.lastLength = target.length;
  }

  lastLength = 0;

  complete(bytesRead: number = this.lastLength, error: Error | null = null): void {
    const done = this.#done!;
    this.#done = null;
    done(bytesRead, error);
  }

  close(): void {
    this.closed++;
  }
}

function send(sizeBytes: number) {
  const world = new PeerWorld();
  const body = new Body(sizeBytes);
  const results: (string | null)[] = [];
  const [url] = peerUrls('http://b:1');
  const sending = sendSnapshot(world, url!, snapshotMessage(LOCAL, REMOTE), body, (problem) =>
    results.push(problem),
  );
  const call = world.calls[0]!;
  return { world, body, results, sending, call };
}

/** Lets it be read and written to its end. */
function finish(body: Body, call: FakeCall): void {
  call.connection.take();
  while (!call.connection.isEnded) {
    body.complete();
    call.connection.take();
  }
}

test('a snapshot is a POST of its message behind its length, then of the database, announced in whole', () => {
  const size = 2 * PART_BYTES + 5;
  const { body, call, results, world } = send(size);
  const head = encodeMessage(snapshotMessage(LOCAL, REMOTE));
  assert.deepEqual([call.call.method, call.call.path], ['POST', '/raft/snapshot']);
  assert.equal(call.call.headers['Content-Type'], 'application/octet-stream');
  assert.equal(call.call.headers['Content-Length'], String(8 + head.length + size));
  assert.equal(call.call.headers['X-Server-From'], 'a');
  finish(body, call);
  const { written } = call.connection;
  assert.equal(readU64(written, 0), head.length);
  assert.deepEqual(encodeMessage(decodeMessage(written.subarray(8, 8 + head.length))), head);
  const database = written.subarray(8 + head.length);
  assert.deepEqual([database.length, database[0], database.at(-1)], [size, 1, 3]);
  call.answer(responseOf(204));
  assert.deepEqual([results, body.closed], [[null], 1]);
  assert.equal(world.metrics.snapshotSendSuccess.labels('b').value, 1);
  assert.equal(world.metrics.snapshotSendInflights.labels('b').value, 0);
});

test('S20 the database is read as fast as the other end takes it, a part at a time', () => {
  const { body, call } = send(10 * PART_BYTES);
  assert.equal(body.asked, 0, 'the head has not been taken');
  call.connection.take();
  assert.deepEqual([body.asked, body.lastLength], [1, PART_BYTES]);
  body.complete();
  assert.equal(body.asked, 1);
  call.connection.take();
  assert.equal(body.asked, 2);
});

test('an end that takes nothing for thirty seconds is given up, one that is slow is not', () => {
  const { world, body, call, results } = send(4 * PART_BYTES);
  call.connection.take();
  for (let i = 0; i < 3; i++) {
    world.clock.advance(STALL_MS - 1);
    body.complete();
    world.clock.advance(STALL_MS - 1);
    call.connection.take();
  }
  assert.deepEqual(results, []);
  body.complete();
  world.clock.advance(STALL_MS);
  assert.deepEqual([results, body.closed], [['i/o timeout'], 1]);
  assert.equal(world.metrics.snapshotSendFailures.labels('b').value, 1);
});

test('the other end has ten minutes to make the database durable', () => {
  const { world, body, call, results } = send(5);
  finish(body, call);
  world.clock.advance(600_000 - 1);
  assert.deepEqual(results, []);
  world.clock.advance(1);
  assert.deepEqual(results, ['i/o timeout']);
});

test('a database that can not be read, or ends early, ends the sending', () => {
  for (const [bytesRead, error, problem] of [
    [0, new Error('EIO'), 'EIO'],
    [0, null, 'the database ended early'],
  ] as const) {
    const { body, call, results } = send(5);
    call.connection.take();
    body.complete(bytesRead, error);
    assert.deepEqual([results, body.closed, call.connection.isDestroyed], [[problem], 1, true]);
  }
});

test('a refusal before all was sent ends the sending; the body is closed when its read has ended', () => {
  const { world, body, call, results } = send(4 * PART_BYTES);
  call.connection.take();
  call.answer(responseOf(412, 'cluster ID mismatch\n'));
  assert.deepEqual([results, body.closed], [['cluster ID mismatch'], 0]);
  body.complete();
  assert.equal(body.closed, 1);
  assert.equal(world.logged('request sent was ignored due to cluster ID mismatch').length, 1);
  assert.ok(call.connection.isDestroyed);
});

test('a sending that is cancelled is done once, with the reason', () => {
  const { body, sending, results, call } = send(5);
  sending.cancel('stopped');
  call.answer(responseOf(204));
  assert.deepEqual([results, body.closed], [['stopped'], 1]);
});

// --- taking in

interface Taken {
  readonly refusal: HttpAnswer | null;
  readonly message: Message | null;
  readonly isBegun: boolean;
}

class Intake {
  readonly world = new PeerWorld();
  readonly request = new FakeConnection();
  readonly done: Taken[] = [];
  verdict: HttpAnswer | null = null;
  readonly log: string[] = [];

  constructor() {
    for (const event of ['paused', 'resumed']) this.request.on(event, () => this.log.push(event));
    new SnapshotIntake(this.world, this.request.asRequest(), {
      check: () => this.verdict,
      done: (refusal, message, isBegun) => this.done.push({ refusal, message, isBegun }),
    });
  }

  data(...parts: readonly Uint8Array[]): void {
    this.request.emit('data', Buffer.concat(parts));
  }

  get refusal(): readonly [number, string] | null {
    const refusal = this.done[0]?.refusal ?? null;
    return refusal === null ? null : [refusal.status, refusal.body.trimEnd()];
  }
}

function framed(message: Message): Buffer {
  const bytes = encodeMessage(message);
  const length = Buffer.alloc(8);
  writeU64(length, 0, bytes.length);
  return Buffer.concat([length, bytes]);
}

const DATABASE = Buffer.from('database');

test('a snapshot is heard of when its database is durable, wherever the connection cut it', () => {
  const whole = Buffer.concat([framed(snapshotMessage()), DATABASE]);
  for (let cut = 1; cut < whole.length; cut++) {
    const { world, request, done } = intake();
    for (const part of [whole.subarray(0, cut), whole.subarray(cut)]) {
      request.emit('data', part);
      world.receiver.complete();
    }
    request.emit('end');
    assert.equal(done.length, 0);
    world.receiver.complete();
    assert.equal(done.length, 1);
    const [{ refusal, message, isBegun }] = done as [Taken];
    assert.deepEqual([refusal, isBegun], [null, true]);
    assert.deepEqual(encodeMessage(message!), encodeMessage(snapshotMessage()));
    assert.deepEqual(world.receiver.bytes, DATABASE);
  }
});

function intake(): Intake {
  return new Intake();
}

test('S20 while the disk is busy nothing more is read, and the sender is not blamed for the time', () => {
  const { world, log, request, done } = intake();
  request.emit('data', Buffer.concat([framed(snapshotMessage()), DATABASE]));
  assert.deepEqual(log, ['paused']);
  world.clock.advance(10 * STALL_MS);
  assert.equal(done.length, 0);
  world.receiver.complete();
  assert.deepEqual(log, ['paused', 'resumed']);
});

test('a sender that stalls, or goes away, leaves nothing behind', () => {
  const leave: readonly ((made: Intake) => void)[] = [
    ({ world }) => world.clock.advance(STALL_MS),
    ({ request }) => request.emit('close'),
    ({ request }) => request.emit('error', new Error('reset')),
  ];
  for (const goAway of leave) {
    const made = intake();
    made.data(framed(snapshotMessage()), DATABASE);
    made.world.receiver.complete();
    goAway(made);
    assert.deepEqual(made.refusal, [500, 'failed to save KV snapshot (unexpected EOF)']);
    assert.ok(made.world.receiver.isAborted);
    made.request.emit('close');
    assert.equal(made.done.length, 1);
  }
});

test('S17 S18 S21 heads that are too long, cut off, or no snapshot are refused in the words of etcd', () => {
  const length = (value: number): Buffer => {
    const bytes = Buffer.alloc(8);
    writeU64(bytes, 0, value);
    return bytes;
  };
  const headless = snapshotMessage();
  headless.snapshot = null;
  const other = snapshotMessage();
  other.type = 3;
  const cases: readonly [Uint8Array, string][] = [
    [length(64 * 1024 * 1024 + 1), 'failed to decode raft message (67108865 bytes)'],
    [framed(headless), 'failed to decode raft message (no snapshot of a log)'],
    [framed(other), 'wrong raft message type'],
    [length(5), 'failed to decode raft message (unexpected EOF)'],
    [Buffer.alloc(3), 'failed to decode raft message (unexpected EOF)'],
    [Buffer.alloc(0), 'failed to decode raft message (unexpected EOF)'],
  ];
  for (const [bytes, text] of cases) {
    const made = intake();
    made.data(bytes);
    made.request.emit('end');
    assert.deepEqual(made.refusal, [400, text]);
    assert.equal(made.world.receiver.bytes.length, 0);
  }
});

test('what the member does not want is refused before a byte of it goes to disk', () => {
  const made = intake();
  made.verdict = { status: 403, headers: [], body: 'no' };
  made.data(framed(snapshotMessage()), DATABASE);
  assert.deepEqual(made.refusal, [403, 'no']);
  assert.deepEqual([made.done[0]!.isBegun, made.world.receiver.bytes.length], [false, 0]);
});

test('a disk that fails at the beginning, in between or at the end is the refusal', () => {
  const full = new DiskError('ENOSPC', '/snap/tmp-0', 'ENOSPC: no space left on device');
  const expected = [500, 'failed to save KV snapshot (ENOSPC: no space left on device)'];
  const first = intake();
  first.world.hasDisk = false;
  first.data(framed(snapshotMessage()), DATABASE);
  assert.deepEqual(first.refusal, expected);
  for (const isAtEnd of [false, true]) {
    const made = intake();
    made.data(framed(snapshotMessage()), DATABASE);
    if (isAtEnd) {
      made.request.emit('end');
      made.world.receiver.complete();
    }
    made.world.receiver.problem = full;
    made.world.receiver.complete();
    assert.deepEqual(made.refusal, expected, `at the end: ${isAtEnd}`);
  }
});

// --- bodies of other requests

function body(maxBytes: number) {
  const { clock } = new PeerWorld();
  const request = new FakeConnection();
  const results: [string | null, string | null][] = [];
  readBody(request.asRequest(), { clock, maxBytes, timeoutMs: 1000 }, (bytes, problem) =>
    results.push([bytes === null ? null : String(bytes), problem]),
  );
  return { clock, request, results };
}

test('S18 a body has a limit of bytes and of time, and is given once, or why there is none', () => {
  const data = (text: string) => (made: ReturnType<typeof body>) =>
    made.request.emit('data', Buffer.from(text));
  const event = (name: string) => (made: ReturnType<typeof body>) => made.request.emit(name, new Error('x'));
  const wait = (made: ReturnType<typeof body>) => made.clock.advance(1000);
  const cases: readonly [
    readonly ((made: ReturnType<typeof body>) => unknown)[],
    string | null,
    string | null,
  ][] = [
    [[data('ab'), data('cd'), event('end')], 'abcd', null],
    [[event('end')], '', null],
    [[data('ab'), data('cde')], null, 'too-large'],
    [[data('ab'), wait], null, 'timeout'],
    [[data('ab'), event('error')], null, 'aborted'],
    [[data('ab'), event('close')], null, 'aborted'],
  ];
  for (const [steps, text, problem] of cases) {
    const made = body(4);
    for (const step of steps) step(made);
    for (const late of [data('x'), event('end'), event('close'), wait]) late(made);
    assert.deepEqual(made.results, [[text, problem]]);
  }
});
