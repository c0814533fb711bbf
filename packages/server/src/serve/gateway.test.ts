import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import { KvService, WatchService } from '@etcd/api/services';
import { SimClock } from '@etcd/testing';
import { GrpcServer, type Metadata } from '@etcd/transport';
import { Gateway } from './gateway.ts';
import { FakeCall, Fixture } from './testing/gateway-fixture.ts';

const WATCH = '/v3/watch';
const KEEP_ALIVE = '/v3/lease/keepalive';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const WATCHED = JSON.stringify({ create_request: { key: base64('k') } });

/** Metadata that a client of gRPC sends by itself. */
const OF_ITS_OWN = new Set(['user-agent', 'grpc-accept-encoding']);

test('a request is a call of the method, and its answer the message', () => {
  const fixture = new Fixture();
  const put = fixture.ask('/v3/kv/put', { key: base64('k'), value: base64('v') });
  assert.equal(put.status, 200);
  assert.deepEqual(put.answerHeaders, {
    'content-type': 'application/json',
    'grpc-metadata-content-type': 'application/grpc',
  });
  assert.equal(JSON.parse(put.body).header.revision, '2');
  const range = fixture.open('/v3/kv/range');
  // Its body in pieces, one of which ends within a character.
  const bytes = JSON.stringify({ key: base64('k'), ü: 1 });
  for (const piece of [bytes.slice(0, 4), bytes.slice(4)]) range.send(piece);
  fixture.finish(range);
  assert.equal(JSON.parse(range.body).kvs[0].value, base64('v'));
});

test('paths that are none and methods but POST are refused, whatever comes with them', () => {
  const fixture = new Fixture();
  assert.equal(fixture.open('/v3/kv/nothing').status, 404);
  const get = fixture.open('/v3/kv/range', { method: 'GET' });
  assert.deepEqual([get.status, JSON.parse(get.body).message], [501, 'Method Not Allowed']);
});

test('an error of a method has its code and the status that stands for it', () => {
  const fixture = new Fixture();
  const missing = fixture.ask('/v3/kv/put', {});
  assert.equal(missing.status, 400);
  assert.deepEqual(JSON.parse(missing.body), { code: 3, message: RPC_ERRORS.ErrGRPCEmptyKey.message });
  fixture.member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  assert.equal(fixture.ask('/v3/kv/range', { key: base64('k') }).status, 503);
});

test('a body that is no request is told why, and nothing is asked of the member', () => {
  const fixture = new Fixture();
  for (const body of ['', '{bad', '{"key":5}', '[]', `{"key":"${base64('k')}"`]) {
    const { status, body: answer } = fixture.ask('/v3/kv/put', body);
    assert.equal(status, 400, body);
    assert.ok(JSON.parse(answer).message !== '', body);
  }
  assert.equal(fixture.member.store.revision, 1);
});

test('S17 a body that is too long is refused, of one request and of a stream', () => {
  const fixture = new Fixture(1000);
  const long = `{"key":"${'A'.repeat(1200)}"}`;
  for (const path of ['/v3/kv/put', WATCH]) {
    const { status, body } = fixture.ask(path, long);
    assert.equal(status, 429, path);
    assert.equal(JSON.parse(body).message, 'request body is longer than 1000 bytes');
  }
  const fits = fixture.ask('/v3/kv/put', `{"key":"${base64('k')}"${' '.repeat(900)}}`);
  assert.equal(fits.status, 200);
});

test('S17 nonsense in a stream is told once when nothing was asked before, and does not end the member', () => {
  const fixture = new Fixture();
  for (const path of [WATCH, KEEP_ALIVE]) {
    const call = fixture.send(fixture.open(path), '{bad', '{bad', '{"create_request":{}}');
    assert.equal(call.status, 400, path);
    assert.deepEqual(JSON.parse(call.body), {
      code: 3,
      message: "invalid character 'b' looking for beginning of object key string",
    });
    fixture.finish(call);
    const unfinished = fixture.ask(path, '{"create_request":');
    assert.equal(JSON.parse(unfinished.body).message, 'unexpected EOF', path);
  }
});

test('nonsense behind a good request ends what is sent, and what was asked for goes on, as in etcd', () => {
  const fixture = new Fixture();
  const call = fixture.send(fixture.open(WATCH), WATCHED, '{bad', WATCHED);
  assert.equal(call.lines.length, 1, 'the first watcher was created, and no other');
  fixture.put('v');
  assert.equal(call.lines.length, 2);
  assert.ok(!call.isEnded);
});

test('each value of a stream is a request when it is there, and each message of the answer a line', () => {
  const fixture = new Fixture();
  const other = JSON.stringify({ create_request: { key: base64('other'), watch_id: '7' } });
  const call = fixture.send(fixture.open(WATCH), WATCHED.slice(0, 9));
  assert.equal(call.status, 0, 'there is no request yet');
  fixture.send(call, `${WATCHED.slice(9)}${other}`);
  assert.deepEqual(
    call.lines.map(({ result }) => [result!['created'], result!['watch_id']]),
    [
      [true, undefined],
      [true, '7'],
    ],
  );
  fixture.put('v');
  const events = call.lines[2]!.result!['events'] as { kv: { value: string } }[];
  assert.equal(events[0]!.kv.value, base64('v'));
});

test('a stream that ends well has nothing behind its last line, one that fails says why', () => {
  const fixture = new Fixture();
  const keepAlive = fixture.ask(KEEP_ALIVE, { ID: '5' });
  assert.deepEqual(keepAlive.lines.length, 1);
  assert.ok(keepAlive.isEnded);
  const watch = fixture.send(fixture.open(WATCH), WATCHED);
  fixture.member.services.stop();
  fixture.member.clock.settle();
  assert.equal(watch.lines.at(-1)!.error!['message'], RPC_ERRORS.ErrGRPCStopped.message);
  assert.ok(watch.isEnded);
  fixture.member.isFenced = true;
  const refused = fixture.ask(WATCH, WATCHED);
  assert.equal(refused.lines[0]!.error!['message'], RPC_ERRORS.ErrGRPCCorrupt.message);
});

test('a method with one request and many messages has a line for each, and an end', () => {
  const fixture = new Fixture();
  fixture.put('v');
  const call = fixture.ask('/v3/maintenance/snapshot', {});
  fixture.member.clock.advanceUntil(() => call.isEnded, 10_000);
  assert.equal(call.status, 200);
  const blobs = call.lines.map(({ result }) => Buffer.from(String(result!['blob']), 'base64').length);
  assert.equal(blobs.pop(), 32, 'its hash');
  assert.equal(blobs.reduce((sum, length) => sum + length, 0) % 4096, 0);
});

test('a client that does not read is sent no more than it has room for, and nothing is lost', () => {
  const fixture = new Fixture();
  const call = fixture.send(fixture.open(WATCH), WATCHED);
  call.isReading = false;
  const value = 'x'.repeat(1000);
  for (let i = 0; i < 500; i++) fixture.put(value);
  fixture.member.clock.settle();
  const paused = call.lines.length;
  assert.ok(paused < 300, `${paused} lines were written to a client that takes none`);
  call.readAgain();
  fixture.member.clock.settle();
  const revisions = call.lines.slice(1).flatMap(({ result }) => result!['events'] as unknown[]);
  assert.equal(revisions.length, 500);
});

test('a client that leaves takes its stream along', () => {
  const fixture = new Fixture();
  const call = fixture.send(fixture.open(WATCH), WATCHED);
  assert.equal(fixture.member.watches.watcherCount, 1);
  call.leave();
  fixture.member.clock.settle();
  assert.equal(fixture.member.watches.watcherCount, 0);
});

test('a call lasts as long as its client waits; what is no time is refused', () => {
  const clock = new SimClock();
  const grpc = new GrpcServer({ clock });
  let begun = 0;
  grpc.unary(KvService.methods.range.path, () => void begun++);
  const gateway = new Gateway({
    grpc,
    clock,
    version: '3.7.0',
    maxBodyBytes: 1000,
    maxUnfinishedBytes: 10_000,
  });
  const ask = (timeout: string): FakeCall => {
    const call = new FakeCall({ headers: { 'grpc-timeout': timeout } });
    gateway.answer('/v3/kv/range', call);
    call.finish();
    clock.settle();
    return call;
  };
  const patient = ask('2S');
  assert.equal(begun, 1);
  clock.advance(1999);
  assert.equal(patient.status, 0);
  clock.advance(2);
  assert.equal(patient.status, 504);
  assert.deepEqual(JSON.parse(patient.body), { code: 4, message: 'context deadline exceeded' });
  const wrong = ask('x');
  assert.equal(wrong.status, 400);
  assert.deepEqual(JSON.parse(wrong.body), { code: 3, message: 'invalid grpc-timeout: x' });
  assert.equal(begun, 1);
});

test('a form may be another method in truth', () => {
  const clock = new SimClock();
  const grpc = new GrpcServer({ clock });
  grpc.unary(KvService.methods.range.path, (call) => call.respond(new Uint8Array(0)));
  const gateway = new Gateway({
    grpc,
    clock,
    version: '3.7.0',
    maxBodyBytes: 1000,
    maxUnfinishedBytes: 10_000,
  });
  for (const [type, status] of [
    ['application/x-www-form-urlencoded', 501],
    ['application/json', 200],
  ] as const) {
    const call = new FakeCall({ headers: { 'content-type': type, 'x-http-method-override': 'get' } });
    gateway.answer('/v3/kv/range', call);
    call.finish();
    clock.settle();
    assert.equal(call.status, status, type);
  }
});

/** A gateway whose unfinished bodies may hold 100 bytes, before a member that answers ranges and listens to watches. */
function narrowGateway(): {
  gateway: Gateway;
  clock: SimClock;
  open: (path: string, isOfMessages?: boolean) => FakeCall;
} {
  const clock = new SimClock();
  const grpc = new GrpcServer({ clock });
  grpc.unary(KvService.methods.range.path, (call) => call.respond(new Uint8Array(0)));
  grpc.bidi(WatchService.methods.watch.path, (call) => {
    call.receiver = { onHalfClose: () => call.end() };
  });
  const gateway = new Gateway({ grpc, clock, version: '3.7.0', maxBodyBytes: 80, maxUnfinishedBytes: 100 });
  const open = (path: string, isOfMessages = false): FakeCall => {
    const call = new FakeCall({ isOfMessages });
    gateway.answer(path, call);
    return call;
  };
  return { gateway, clock, open };
}

test('S18 S20 a body that does not come to its end is given up, and its connection with it', () => {
  const { gateway, clock, open } = narrowGateway();
  const [silent, trickling] = [open('/v3/kv/range'), open('/v3/kv/range')];
  for (const piece of ['{', '"key"', ':', '"YQ==', '"}']) {
    trickling.send(piece);
    clock.advance(50_000);
  }
  assert.equal(silent.status, 408);
  assert.equal(silent.answerHeaders['connection'], 'close');
  assert.deepEqual(JSON.parse(silent.body), {
    code: 4,
    message: 'transport: the request did not arrive in time',
  });
  assert.equal(trickling.status, 0);
  trickling.finish();
  clock.settle();
  assert.equal(trickling.status, 200);
  silent.send('more');
  silent.finish();
  assert.equal(gateway.unfinishedBytes, 0);
});

test('S18 S20 what all unfinished bodies hold is bounded, and given back when they are answered or left', () => {
  const { gateway, clock, open } = narrowGateway();
  const calls = [open('/v3/kv/range'), open('/v3/kv/range'), open('/v3/watch'), open('/v3/kv/range', true)];
  calls[0]!.send('x'.repeat(60));
  calls[1]!.send('x'.repeat(30));
  assert.equal(gateway.unfinishedBytes, 90);
  for (const call of calls.slice(2)) {
    call.send(`{"k":"${'x'.repeat(10)}`);
    clock.settle();
    assert.equal(call.status, 429);
    assert.match(call.body, /too many bytes of unfinished requests/);
  }
  calls[1]!.send('x'.repeat(30));
  assert.equal(calls[1]!.status, 429);
  assert.equal(calls[1]!.answerHeaders['connection'], 'close');
  assert.equal(gateway.unfinishedBytes, 60);
  // One that is too long holds no more than the longest that is read.
  calls[0]!.send('x'.repeat(1000));
  assert.equal(gateway.unfinishedBytes, 80);
  calls[0]!.leave();
  assert.equal(gateway.unfinishedBytes, 0);
});

test('S20 a conversation may rest, but not in the middle of a request', () => {
  const { gateway, clock, open } = narrowGateway();
  const watch = open('/v3/watch');
  watch.send('{"create_request":{}}');
  clock.advance(1_000_000);
  assert.equal(watch.isEnded, false);
  watch.send('{"create_req');
  assert.ok(gateway.unfinishedBytes > 0);
  clock.advance(130_000);
  assert.equal(watch.isEnded, true);
  assert.equal(gateway.unfinishedBytes, 0);
});

test('S07 a call has the token of its client, is marked as coming from here, and has nothing else of its headers', () => {
  const clock = new SimClock();
  const grpc = new GrpcServer({ clock });
  const seen: Metadata[] = [];
  grpc.unary(KvService.methods.range.path, (call) => {
    seen.push(call.allMetadata());
    call.respond(new Uint8Array(0));
  });
  const gateway = new Gateway({
    grpc,
    clock,
    version: '3.7.0',
    maxBodyBytes: 1000,
    maxUnfinishedBytes: 10_000,
  });
  for (const headers of [
    { authorization: 'a', 'grpc-metadata-token': 't', accept: 'x', cookie: 'c' },
    { 'grpc-metadata-hasleader': 'true', host: 'h', token: 'stray' },
  ]) {
    const call = new FakeCall({ headers });
    gateway.answer('/v3/kv/range', call);
    call.finish();
    clock.settle();
    assert.equal(call.status, 200);
  }
  assert.deepEqual(
    seen.map((metadata) => metadata.filter(([name]) => !OF_ITS_OWN.has(name))),
    [
      [
        ['grpcgateway-accept', 'x'],
        ['x-forwarded-for', '10.0.0.9:1234'],
        ['authorization', 'a'],
        ['token', 't'],
      ],
      [
        ['grpcgateway-accept', ''],
        ['x-forwarded-for', '10.0.0.9:1234'],
        ['hasleader', 'true'],
      ],
    ],
  );
});

test('S17 a request that goes on from message to message is refused when it is too long', () => {
  const fixture = new Fixture(1000);
  const call = fixture.open('/v3/kv/range', { isOfMessages: true });
  fixture.send(call, '{"key":"', ...Array.from({ length: 10 }, () => 'A'.repeat(200)));
  assert.deepEqual([call.status, call.isEnded], [429, true]);
  assert.equal(JSON.parse(call.body).message, 'request body is longer than 1000 bytes');
});

test('S20 clients that do not read hold up nobody, however many they are', () => {
  const fixture = new Fixture(4_000_000);
  const { clock } = fixture.member;
  const create = JSON.stringify({ create_request: { key: base64('k') } });
  const reading = fixture.send(fixture.open(WATCH), create);
  const idle = Array.from({ length: 80 }, () => fixture.open(WATCH));
  for (const call of idle) {
    call.isReading = false;
    fixture.send(call, create);
  }
  for (let i = 0; i < 3; i++) {
    fixture.put('v'.repeat(1_000_000));
    clock.advance(200);
    clock.settle();
  }
  assert.deepEqual([reading.isEnded, reading.lines.length], [false, 4]);
  assert.equal(idle.filter(({ isEnded }) => isEnded).length, 0);
  for (const call of [reading, ...idle]) call.leave();
  clock.advance(200);
  assert.equal(fixture.member.watches.streamCount, 0);
});

test('a message of a body without an end is a request of its own, and what it leaves unfinished is none', () => {
  const fixture = new Fixture();
  const range = fixture.send(
    fixture.open('/v3/kv/range', { isOfMessages: true }),
    '{"key":',
    '"aw=="}',
    '{}',
  );
  assert.ok(range.isEnded);
  assert.equal(JSON.parse(range.body).header.revision, '1', 'it was answered, once');
  const observe = fixture.open('/v3/election/observe', { isOfMessages: true });
  fixture.send(observe, JSON.stringify({ name: base64('e') }));
  assert.ok(!observe.isEnded);
  const bad = fixture.send(fixture.open('/v3/kv/range', { isOfMessages: true }), 'hello', '{}');
  assert.deepEqual(JSON.parse(bad.body).message, "invalid character 'h' looking for beginning of value");
});

test('S20 a stream may go on for ever, and a client that asks faster than is answered has to wait', () => {
  const fixture = new Fixture(1000);
  const call = fixture.open(KEEP_ALIVE);
  for (let i = 0; i < 100; i++) fixture.send(call, JSON.stringify({ ID: String(i), x: 'x'.repeat(100) }));
  assert.equal(call.lines.length, 100);
  const flood = JSON.stringify({ ID: '5' }).repeat(40_000);
  for (let i = 0; i < 5 && !call.isBodyPaused; i++) call.send(flood);
  assert.ok(call.isBodyPaused);
  fixture.member.clock.settle();
  assert.ok(!call.isBodyPaused);
});
