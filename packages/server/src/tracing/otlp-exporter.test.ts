import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrpcCode, type LogFields, type Logger, SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { GrpcServer, memoryDuplexPair, type ServerCall, UNKNOWN_CONNECTION } from '@etcd/transport';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { OtlpExporter } from './otlp-exporter.ts';

function span(name: string): ReadableSpan {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  provider.getTracer('test').startSpan(name).end();
  return exporter.getFinishedSpans()[0]!;
}

/** A collector in memory that answers with {@link codes}, one after the other, then with OK. */
class Collector {
  readonly clock = new SimClock();
  readonly received: string[] = [];
  readonly lines: (readonly [message: string, fields: LogFields | undefined])[] = [];
  readonly results: ExportResult[] = [];
  readonly codes: number[] = [];
  /** Calls that are not answered, while {@link isSilent}. */
  readonly pending: ServerCall[] = [];
  isSilent = false;
  connectionCount = 0;
  readonly exporter: OtlpExporter;
  #server = this.#newServer();

  constructor() {
    const { clock } = this;
    const note = (message: string, fields?: LogFields): void => void this.lines.push([message, fields]);
    const logger: Logger = { ...SILENT_LOGGER, info: note, warn: note };
    const connect = () => {
      this.connectionCount++;
      const [theirs, ours] = memoryDuplexPair({ clock });
      this.#server.accept(ours, UNKNOWN_CONNECTION);
      return theirs;
    };
    this.exporter = new OtlpExporter({ clock, logger, address: 'c:1', connect });
  }

  #newServer(): GrpcServer {
    const server = new GrpcServer({ clock: this.clock });
    server.unary('/opentelemetry.proto.collector.trace.v1.TraceService/Export', (call, bytes, start, end) => {
      this.received.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
      if (this.isSilent) {
        this.pending.push(call);
        return;
      }
      const code = this.codes.shift() ?? GrpcCode.OK;
      if (code === GrpcCode.OK) call.respond(new Uint8Array());
      else call.fail(code, 'not now');
    });
    return server;
  }

  send(name: string): void {
    this.exporter.export([span(name)], (result) => this.results.push(result));
    this.clock.settle();
  }

  /** The collector starts anew: connections are lost. */
  restart(): void {
    this.#server.close();
    this.#server = this.#newServer();
    this.clock.settle();
  }

  get outcomes(): readonly number[] {
    return this.results.map(({ code }) => code);
  }
}

const { SUCCESS, FAILED } = ExportResultCode;

test('batches go over one connection, and over another one when that is lost', () => {
  const collector = new Collector();
  assert.equal(collector.connectionCount, 0);
  collector.send('one');
  collector.send('two');
  assert.equal(collector.connectionCount, 1);
  collector.restart();
  collector.send('three');
  assert.equal(collector.connectionCount, 2);
  assert.deepEqual(collector.outcomes, [SUCCESS, SUCCESS, SUCCESS]);
  for (const [i, name] of ['one', 'two', 'three'].entries())
    assert.ok(collector.received[i]!.includes(name), name);
  assert.deepEqual(collector.lines, []);
});

test('what the collector can’t take now is sent again, and nobody is told', () => {
  const collector = new Collector();
  collector.codes.push(GrpcCode.Unavailable, GrpcCode.DeadlineExceeded);
  collector.send('one');
  assert.deepEqual(collector.outcomes, []);
  collector.clock.advance(60_000);
  assert.deepEqual(collector.outcomes, [SUCCESS]);
  assert.equal(collector.received.length, 3);
  assert.deepEqual(collector.lines, []);
});

test('what it does not want, or can’t take for long, is lost; that is told once, and when it is over', () => {
  const collector = new Collector();
  collector.codes.push(GrpcCode.InvalidArgument);
  collector.send('one');
  assert.deepEqual(collector.outcomes, [FAILED]);
  collector.codes.push(GrpcCode.Unavailable, GrpcCode.Unavailable, GrpcCode.Unavailable);
  collector.send('two');
  collector.clock.advance(60_000);
  assert.deepEqual(collector.outcomes, [FAILED, FAILED]);
  assert.equal(collector.received.length, 4);
  collector.send('three');
  assert.deepEqual(collector.outcomes, [FAILED, FAILED, SUCCESS]);
  assert.deepEqual(collector.lines, [
    [
      'traces can not be sent; they are lost until the collector takes them',
      { address: 'c:1', spans: 1, error: 'InvalidArgument: not now' },
    ],
    ['traces are sent again', { address: 'c:1' }],
  ]);
});

test('S20 a collector that never answers holds a batch for a bounded time', () => {
  const collector = new Collector();
  collector.isSilent = true;
  collector.send('one');
  collector.clock.advance(120_000);
  assert.deepEqual(collector.outcomes, [FAILED]);
  assert.equal(collector.received.length, 3);
});

test('whoever stops waits for no second attempt', () => {
  const collector = new Collector();
  collector.codes.push(GrpcCode.Unavailable);
  collector.send('one');
  assert.deepEqual(collector.outcomes, []);
  collector.exporter.hurry();
  collector.clock.settle();
  assert.deepEqual(collector.outcomes, [SUCCESS]);
  collector.codes.push(GrpcCode.Unavailable);
  collector.send('two');
  assert.deepEqual(collector.outcomes, [SUCCESS, FAILED]);
});

test('a batch that is under way when the exporter closes is told that it is lost', () => {
  const collector = new Collector();
  collector.isSilent = true;
  collector.send('one');
  collector.exporter.close();
  collector.clock.settle();
  assert.deepEqual(collector.outcomes, [FAILED]);
});
