import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { TraceFlags } from '@opentelemetry/api';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { type RecordedSpan, SpanRecorder } from './recorded-span.ts';

class Recorded {
  readonly clock = new SimClock();
  readonly ended: ReadableSpan[] = [];
  readonly recorder = new SpanRecorder({
    clock: this.clock,
    random: new SeededRandom(5),
    resource: resourceFromAttributes({ 'service.name': 'svc' }),
    scope: { name: 'scope', version: '1' },
    processor: { onEnd: (span) => void this.ended.push(span) },
  });

  begin(): RecordedSpan {
    return this.recorder.call('s/m', { a: 1 }, null);
  }
}

const toMs = ([seconds, ns]: readonly [number, number]): number => seconds * 1000 + ns / 1e6;

test('a span has wall-clock times, and lasts as long as it did', () => {
  const { clock, ...recorded } = new Recorded();
  const { recorder, ended } = recorded;
  const beginMs = clock.wallNow();
  const span = recorder.call('s/m', {}, null);
  clock.advance(1234);
  span.addEvent('then', { n: 1 });
  clock.advance(766);
  span.end();
  assert.equal(ended[0], span);
  assert.equal(toMs(span.startTime), beginMs);
  assert.equal(toMs(span.endTime), beginMs + 2000);
  assert.deepEqual(span.duration, [2, 0]);
  assert.deepEqual(span.events, [
    {
      name: 'then',
      time: [Math.floor((beginMs + 1234) / 1000), ((beginMs + 1234) % 1000) * 1e6],
      attributes: { n: 1 },
    },
  ]);
});

test('a span ends once, and what is told of it afterwards is lost', () => {
  const recorded = new Recorded();
  const span = recorded.begin();
  span.end();
  const { endTime } = span;
  recorded.clock.advance(5);
  span.addEvent('late');
  span.end();
  assert.equal(recorded.ended.length, 1);
  assert.deepEqual([span.endTime, span.events], [endTime, []]);
});

test('ids are hexadecimal digits, of a trace 32 and of a span 16; a part is in the trace of its call', () => {
  const { recorder } = new Recorded();
  const call = recorder.call('s/m', {}, null);
  const part = recorder.part('range', { limit: 1 }, call);
  const { traceId, spanId, traceFlags } = call.spanContext();
  assert.match(traceId, /^[0-9a-f]{32}$/);
  assert.match(spanId, /^[0-9a-f]{16}$/);
  assert.equal(traceFlags, TraceFlags.SAMPLED);
  assert.equal(part.spanContext().traceId, traceId);
  assert.notEqual(part.spanContext().spanId, spanId);
  assert.equal(part.parentSpanContext, call.spanContext());
});

test('an id is never of zeros alone', () => {
  const zero = { uint32: () => 0, below: () => 0 };
  const options = { ...new Recorded().recorder.options, random: zero };
  const { traceId, spanId } = new SpanRecorder(options).call('s/m', {}, null).spanContext();
  assert.match(traceId, /[1-9a-f]/);
  assert.match(spanId, /[1-9a-f]/);
});

test('S20 the events of a span are bounded; how many are lost is known', () => {
  const span = new Recorded().begin();
  for (let i = 0; i < 200; i++) span.addEvent(`event ${i}`);
  assert.deepEqual([span.events.length, span.droppedEventsCount], [128, 72]);
});

test('the SDK encodes it', () => {
  const recorded = new Recorded();
  const span = recorded.begin();
  span.addEvent('happened');
  span.end();
  const bytes = ProtobufTraceSerializer.serializeRequest([span])!;
  const text = Buffer.from(bytes).toString('latin1');
  for (const part of ['service.name', 'svc', 'scope', 's/m', 'happened'])
    assert.ok(text.includes(part), part);
  assert.ok(Buffer.from(bytes).includes(Buffer.from(span.spanContext().traceId, 'hex')));
});
