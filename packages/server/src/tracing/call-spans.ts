/**
 * A span for each call that is sampled, and one for each part of it that somebody tells of: names and attributes are those of Go's
 * instrumentation of gRPC servers (otelgrpc), so that what people have built on etcd's traces goes on working.
 */

import { GRPC_CODE_NAMES, GrpcCode, type Random } from '@etcd/base';
import type {
  CallObserver,
  CallParts,
  CallTrace,
  PartTrace,
  ServerCall,
  TraceAttributes,
} from '@etcd/transport';
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';

export interface CallSpansOptions {
  readonly tracer: Tracer;
  readonly random: Random;
  /** Of a million calls that come without a decision of the caller's. */
  readonly samplesPerMillion: number;
}

const MILLION = 1_000_000;

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
 * Whoever calls decides with his `traceparent` whether the call is followed; of the others every so-many-th is. The draw comes before the
 * SDK is asked for a span, because a span that is not sampled would cost a good part of what the call itself does.
 */
export class CallSpans implements CallObserver {
  readonly #tracer: Tracer;
  readonly #random: Random;
  readonly #samplesPerMillion: number;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ tracer, random, samplesPerMillion }: CallSpansOptions) {
    this.#tracer = tracer;
    this.#random = random;
    this.#samplesPerMillion = samplesPerMillion;
  }

  begin(call: ServerCall): CallTrace | null {
    const parent = this.#propagator.extract(ROOT_CONTEXT, call, METADATA);
    if (!this.#isSampled(parent)) return null;
    const { method } = call;
    if (method === null) return null;
    const name = method.path.slice(1);
    const attributes: Attributes = {
      'rpc.method': name,
      'rpc.system.name': 'grpc',
      ...serverAddress(call.info.localAddress),
    };
    return new CallSpan(
      this.#tracer,
      this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent),
    );
  }

  #isSampled(parent: Context): boolean {
    const decision = trace.getSpanContext(parent);
    if (decision !== undefined) return (decision.traceFlags & TraceFlags.SAMPLED) !== 0;
    return this.#samplesPerMillion > 0 && this.#random.below(MILLION) < this.#samplesPerMillion;
  }
}

class CallSpan implements CallTrace, CallParts {
  readonly #tracer: Tracer;
  readonly #span: Span;
  /** Those that go on. */
  readonly #open = new Set<PartSpan>();

  constructor(tracer: Tracer, span: Span) {
    this.#tracer = tracer;
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
    const parent = trace.setSpan(ROOT_CONTEXT, this.#span);
    const part = new PartSpan(this.#tracer.startSpan(name, { attributes }, parent), this.#open);
    this.#open.add(part);
    return part;
  }

  endAll(): void {
    for (const part of this.#open) part.end();
  }

  onEnd(code: number, message: string): void {
    this.endAll();
    const span = this.#span;
    span.setAttribute('rpc.response.status_code', statusText(code));
    if (FAULTS.has(code)) span.setStatus({ code: SpanStatusCode.ERROR, message });
    span.end();
  }
}

class PartSpan implements PartTrace {
  readonly #span: Span;
  readonly #open: Set<PartSpan>;

  constructor(span: Span, open: Set<PartSpan>) {
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
