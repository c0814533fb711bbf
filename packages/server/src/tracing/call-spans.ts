/**
 * A span for each call that is sampled, and one for each part of it that somebody tells of: names and attributes are those of Go's
 * instrumentation of gRPC servers (otelgrpc), so that what people have built on etcd's traces goes on working.
 */

import { GRPC_CODE_NAMES, GrpcCode, type Random } from '@etcd/base';
import type {
  CallObserver,
  CallParts,
  CallTrace,
  ConnectionInfo,
  Head,
  PartTrace,
  ServerCall,
  TraceAttributes,
} from '@etcd/transport';
import {
  type Attributes,
  ROOT_CONTEXT,
  type SpanContext,
  SpanStatusCode,
  type TextMapGetter,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { RecordedSpan, SpanRecorder } from './recorded-span.ts';

export interface CallSpansOptions {
  readonly recorder: SpanRecorder;
  readonly random: Random;
  /** Of a million calls that come without a decision of the caller's. */
  readonly samplesPerMillion: number;
}

const MILLION = 1_000_000;
const WORDS = 2 ** 32;
const PARENT_HEADER = 'traceparent';

/** Parts of a call that go on at once and are followed; a stream may have any number of watchers. */
const MAX_OPEN_PARTS = 1024;

/** Statuses that are the server's fault; all others are answers. */
const FAULTS: ReadonlySet<number> = new Set([
  GrpcCode.Unknown,
  GrpcCode.DeadlineExceeded,
  GrpcCode.Unimplemented,
  GrpcCode.Internal,
  GrpcCode.Unavailable,
  GrpcCode.DataLoss,
]);

const METADATA: TextMapGetter<ServerCall> = {
  get: (call, name) => call.metadata(name) ?? undefined,
  keys: (call) => call.allMetadata().map(([name]) => name),
};

/**
 * Whoever calls decides with his `traceparent` whether the call is followed; of the others every so-many-th is. Not each of them is drawn
 * for, but how many go by until the next that is followed: so that a call that is not costs a decrement.
 */
export class CallSpans implements CallObserver {
  readonly #recorder: SpanRecorder;
  readonly #random: Random;
  readonly #samplesPerMillion: number;
  readonly #propagator = new W3CTraceContextPropagator();
  /** Calls without a decision that go by before the next is followed. */
  #goBy: number;
  /** The head that was seen last to have no decision: clients repeat themselves. */
  #undecided: Head | null = null;
  /** Of the connection that had a call followed last. */
  #info: ConnectionInfo | null = null;
  #address: Attributes = {};

  constructor({ recorder, random, samplesPerMillion }: CallSpansOptions) {
    this.#recorder = recorder;
    this.#random = random;
    this.#samplesPerMillion = samplesPerMillion;
    this.#goBy = this.#drawGap();
  }

  begin(call: ServerCall): CallTrace | null {
    const { head } = call;
    if (head !== this.#undecided) {
      if (head.value(PARENT_HEADER) !== null) return this.#beginBelow(call);
      this.#undecided = head;
    }
    return this.#draw(call);
  }

  #draw(call: ServerCall): CallTrace | null {
    if (this.#goBy > 0) {
      this.#goBy--;
      return null;
    }
    this.#goBy = this.#drawGap();
    return this.#follow(call, null);
  }

  #beginBelow(call: ServerCall): CallTrace | null {
    const parent = trace.getSpanContext(this.#propagator.extract(ROOT_CONTEXT, call, METADATA));
    if (parent === undefined) return this.#draw(call);
    return (parent.traceFlags & TraceFlags.SAMPLED) === 0 ? null : this.#follow(call, parent);
  }

  #follow(call: ServerCall, parent: SpanContext | null): CallTrace | null {
    const { method, info } = call;
    if (method === null) return null;
    if (info !== this.#info) {
      this.#info = info;
      this.#address = serverAddress(info.localAddress);
    }
    const name = method.path.slice(1);
    const attributes: Attributes = {
      'rpc.method': name,
      'rpc.system.name': 'grpc',
      ...this.#address,
    };
    return new CallSpan(this.#recorder, this.#recorder.call(name, attributes, parent));
  }

  /** As many as go by where each is followed with the same chance, whatever became of the others. */
  #drawGap(): number {
    const perMillion = this.#samplesPerMillion;
    if (perMillion <= 0) return Number.POSITIVE_INFINITY;
    if (perMillion >= MILLION) return 0;
    const uniform = (this.#random.uint32() + 0.5) / WORDS;
    return Math.floor(Math.log(uniform) / Math.log1p(-perMillion / MILLION));
  }
}

class CallSpan implements CallTrace, CallParts {
  readonly #recorder: SpanRecorder;
  readonly #span: RecordedSpan;
  /** Those that go on. */
  readonly #open = new Set<PartSpan>();

  constructor(recorder: SpanRecorder, span: RecordedSpan) {
    this.#recorder = recorder;
    this.#span = span;
  }

  get parts(): CallParts {
    return this;
  }

  addEvent(name: string, attributes?: TraceAttributes): void {
    this.#span.addEvent(name, attributes);
  }

  begin(name: string, attributes: TraceAttributes): PartTrace | null {
    if (this.#open.size >= MAX_OPEN_PARTS) return null;
    const part = new PartSpan(this.#recorder.part(name, attributes, this.#span), this.#open);
    this.#open.add(part);
    return part;
  }

  endAll(): void {
    for (const part of this.#open) part.end();
  }

  onEnd(code: number, message: string): void {
    this.endAll();
    const span = this.#span;
    span.attributes['rpc.response.status_code'] = statusText(code);
    if (FAULTS.has(code)) span.status = { code: SpanStatusCode.ERROR, message };
    span.end();
  }
}

class PartSpan implements PartTrace {
  readonly #span: RecordedSpan;
  readonly #open: Set<PartSpan>;

  constructor(span: RecordedSpan, open: Set<PartSpan>) {
    this.#span = span;
    this.#open = open;
  }

  addEvent(name: string, attributes?: TraceAttributes): void {
    this.#span.addEvent(name, attributes);
  }

  end(): void {
    if (this.#open.delete(this)) this.#span.end();
  }
}

/** `INVALID_ARGUMENT`; of what is no code `CODE(42)`. */
function statusText(code: number): string {
  if (code === GrpcCode.OK) return 'OK';
  if (code === GrpcCode.Canceled) return 'CANCELLED';
  const name = GRPC_CODE_NAMES[code];
  if (name === undefined) return `CODE(${code})`;
  return name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase();
}

/** Of `host:port`, the host without brackets; nothing where there is no such address, as on a Unix socket. */
function serverAddress(text: string): Attributes {
  const at = text.lastIndexOf(':');
  if (at < 0) return {};
  return {
    'server.address': text.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
    'server.port': Number(text.slice(at + 1)),
  };
}
