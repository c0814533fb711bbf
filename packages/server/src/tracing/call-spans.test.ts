import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import {
  type ConnectionInfo,
  GrpcChannel,
  GrpcServer,
  type Metadata,
  memoryDuplexPair,
  NO_METADATA,
  type ServerCall,
} from '@etcd/transport';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { CallSpans } from './call-spans.ts';
import { SpanRecorder } from './recorded-span.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';
const SAMPLED: Metadata = [['traceparent', `00-${TRACE_ID}-${SPAN_ID}-01`]];
const UNSAMPLED: Metadata = [['traceparent', `00-${TRACE_ID}-${SPAN_ID}-00`]];
const INFO: ConnectionInfo = {
  remoteAddress: '127.0.0.1:5',
  localAddress: '[::1]:2379',
  isSecure: false,
  commonName: '',
};

function recorderTo(exporter: InMemorySpanExporter, clock = new SimClock()): SpanRecorder {
  return new SpanRecorder({
    clock,
    random: new SeededRandom(3),
    resource: resourceFromAttributes({}),
    scope: { name: 'test' },
    processor: new SimpleSpanProcessor({ exporter }),
  });
}

/** A server whose calls are followed; `/test.S/Fail` answers with the code in its first byte. */
class Followed {
  readonly clock = new SimClock();
  readonly #exporter = new InMemorySpanExporter();
  readonly #channel: GrpcChannel;

  constructor(samplesPerMillion: number, info = INFO) {
    const { clock } = this;
    const recorder = recorderTo(this.#exporter, clock);
    const server = new GrpcServer({ clock });
    server.unary('/test.S/Echo', (call, bytes, start, end) => call.respond(bytes, start, end));
    server.unary('/test.S/Fail', (call, bytes, start) => call.fail(bytes[start]!, 'so it is'));
    server.unary('/test.S/Parts', (call, bytes, start, end) => {
      for (let i = 0; i < bytes[start]!; i++) call.trace!.parts!.begin(`part ${i}`, { i });
      call.trace!.parts!.addEvent('begun');
      call.respond(bytes, start, end);
    });
    server.bidi('/test.S/Bidi', (call) => {
      call.receiver = { onHalfClose: () => call.end() };
    });
    const observer = new CallSpans({ recorder, random: new SeededRandom(7), samplesPerMillion });
    for (const method of server.methods) method.observer = observer;
    const [theirs, ours] = memoryDuplexPair({ clock });
    server.accept(ours, info);
    this.#channel = new GrpcChannel(theirs, { clock, authority: 'test' });
  }

  call(method: string, metadata: Metadata = NO_METADATA, byte = 0): void {
    this.#channel.unary(`/test.S/${method}`, Uint8Array.of(byte), () => {}, { metadata });
    this.clock.settle();
  }

  /** A stream that the client ends, or cancels. */
  stream(ends: boolean): void {
    const receiver = { onMessage: () => {}, onEnd: () => {} };
    const call = this.#channel.call('/test.S/Bidi', receiver, { metadata: SAMPLED });
    this.clock.settle();
    assert.equal(this.spans.length, 0, 'the stream goes on');
    if (ends) call.halfClose();
    else call.cancel();
    this.clock.settle();
  }

  get spans(): readonly ReadableSpan[] {
    return this.#exporter.getFinishedSpans();
  }
}

test('a span has the name, kind and attributes that Go gives it, and its parent from the metadata', () => {
  const followed = new Followed(0);
  followed.call('Echo', [...SAMPLED, ['tracestate', 'a=b']]);
  const [span] = followed.spans;
  assert.equal(span?.name, 'test.S/Echo');
  assert.equal(span.kind, SpanKind.SERVER);
  assert.deepEqual(span.attributes, {
    'rpc.method': 'test.S/Echo',
    'rpc.system.name': 'grpc',
    'rpc.response.status_code': 'OK',
    'server.address': '::1',
    'server.port': 2379,
  });
  assert.equal(span.spanContext().traceId, TRACE_ID);
  assert.notEqual(span.spanContext().spanId, SPAN_ID);
  assert.equal(span.spanContext().traceState?.serialize(), 'a=b');
  assert.equal(span.parentSpanContext?.spanId, SPAN_ID);
  assert.equal(span.status.code, SpanStatusCode.UNSET);
  assert.equal(followed.spans.length, 1);
});

test('a call over a socket without an address has none in its span', () => {
  const followed = new Followed(0, { ...INFO, localAddress: '' });
  followed.call('Echo', SAMPLED);
  const names = Object.keys(followed.spans[0]!.attributes).sort();
  assert.deepEqual(names, ['rpc.method', 'rpc.response.status_code', 'rpc.system.name']);
});

test('every status is told by its name; what is the server’s fault makes the span one', () => {
  const followed = new Followed(0);
  const names = (
    'CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED ' +
    'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS ' +
    'UNAUTHENTICATED'
  ).split(' ');
  for (let code = 1; code <= names.length; code++) followed.call('Fail', SAMPLED, code);
  followed.call('Fail', SAMPLED, 42);
  const told = followed.spans.map(({ attributes }) => attributes['rpc.response.status_code']);
  assert.deepEqual(told, [...names, 'CODE(42)']);
  const faults = followed.spans.filter(({ status }) => status.code === SpanStatusCode.ERROR);
  assert.deepEqual(
    faults.map(({ attributes, status }) => [attributes['rpc.response.status_code'], status.message]),
    ['UNKNOWN', 'DEADLINE_EXCEEDED', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'].map((name) => [
      name,
      'so it is',
    ]),
  );
});

test('parts of a call are spans below its own, and end with it at the latest', () => {
  const followed = new Followed(0);
  followed.call('Parts', SAMPLED, 2);
  const [first, second, call] = followed.spans;
  assert.deepEqual([first!.name, second!.name, call!.name], ['part 0', 'part 1', 'test.S/Parts']);
  assert.deepEqual([first!.kind, first!.attributes], [SpanKind.INTERNAL, { i: 0 }]);
  assert.equal(first!.parentSpanContext?.spanId, call!.spanContext().spanId);
  assert.equal(first!.spanContext().traceId, TRACE_ID);
  assert.deepEqual(
    call!.events.map(({ name }) => name),
    ['begun'],
  );
});

test('a part has its events and ends once', () => {
  const exporter = new InMemorySpanExporter();
  const random = new SeededRandom(1);
  const spans = new CallSpans({ recorder: recorderTo(exporter), random, samplesPerMillion: 1_000_000 });
  const head = { value: () => null };
  const call = { head, method: { path: '/s/m' }, info: INFO } as unknown as ServerCall;
  const { parts } = spans.begin(call)!;
  const part = parts!.begin('part', {})!;
  part.addEvent('one');
  part.end();
  part.end();
  parts!.endAll();
  const finished = exporter.getFinishedSpans();
  assert.deepEqual(
    finished.map(({ name, events }) => [name, events.map((event) => event.name)]),
    [['part', ['one']]],
  );
  const begun = Array.from({ length: 1030 }, () => parts!.begin('another', {}));
  assert.equal(begun.filter((another) => another === null).length, 6, 'S20 the parts of a call are bounded');
});

test('a stream is a span from its beginning to its end, or until it is cancelled', () => {
  for (const [ends, code] of [
    [true, 'OK'],
    [false, 'CANCELLED'],
  ] as const) {
    const followed = new Followed(0);
    followed.stream(ends);
    const told = followed.spans.map(({ name, attributes }) => [name, attributes['rpc.response.status_code']]);
    assert.deepEqual(told, [['test.S/Bidi', code]]);
  }
});

test('at rate 0 only what the caller samples is followed, at the full rate all but what he does not', () => {
  for (const [rate, expected] of [
    [0, [false, true, false, false]],
    [1_000_000, [true, true, false, true]],
  ] as const) {
    const garbage: Metadata = [['traceparent', '00-nothing-of-the-kind-01']];
    const seen = [NO_METADATA, SAMPLED, UNSAMPLED, garbage].map((metadata) => {
      const followed = new Followed(rate);
      followed.call('Echo', metadata);
      return followed.spans.length === 1;
    });
    assert.deepEqual(seen, expected, `rate ${rate}`);
  }
});

test('a trace that begins here has an id of its own and no parent', () => {
  const followed = new Followed(1_000_000);
  followed.call('Echo');
  followed.call('Echo');
  const [first, second] = followed.spans;
  assert.notEqual(first!.spanContext().traceId, second!.spanContext().traceId);
  assert.deepEqual([first!.parentSpanContext, second!.parentSpanContext], [undefined, undefined]);
});

test('a rate between is about that part of the calls', () => {
  const followed = new Followed(250_000);
  for (let i = 0; i < 2000; i++) followed.call('Echo');
  // The numbers come from a seed.
  const { length } = followed.spans;
  assert.ok(length > 400 && length < 600, `${length}`);
});

test('with a decision of the caller’s in between, the others are drawn for as before', () => {
  const followed = new Followed(500_000);
  for (let i = 0; i < 1000; i++) {
    followed.call('Echo', UNSAMPLED);
    followed.call('Echo');
  }
  const { length } = followed.spans;
  assert.ok(length > 400 && length < 600, `${length}`);
});

test('S20 whatever a traceparent is, the call is answered', () => {
  const followed = new Followed(1_000_000);
  const hostile = [
    '',
    '-',
    '00--',
    'ff-',
    '00-'.repeat(2000),
    `01-${TRACE_ID}-${SPAN_ID}-01-${'x'.repeat(500)}`,
  ];
  for (const value of hostile) {
    followed.call('Echo', [
      ['traceparent', value],
      ['tracestate', ',='.repeat(400)],
    ]);
  }
  assert.equal(followed.spans.length, hostile.length);
  for (const { attributes } of followed.spans) assert.equal(attributes['rpc.response.status_code'], 'OK');
});
