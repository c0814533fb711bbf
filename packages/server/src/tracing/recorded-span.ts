/**
 * What is kept of a span until it is sent, in the form in which the SDK's processors and serializers read spans. The SDK's own spans can do
 * more, and take ten times as long to make: for one call in a hundred that is a good part of what all hundred cost.
 */
import type { Clock, Random } from '@etcd/base';
import type { TraceAttributes } from '@etcd/transport';
import {
  type Attributes,
  type HrTime,
  type SpanContext,
  SpanKind,
  type SpanStatus,
  SpanStatusCode,
  TraceFlags,
} from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, SpanProcessor, TimedEvent } from '@opentelemetry/sdk-trace';

export interface SpanRecorderOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  /** Gets each span when it has ended. */
  readonly processor: Pick<SpanProcessor, 'onEnd'>;
}

/** Events of a span; further ones are counted and lost. */
const MAX_EVENTS = 128;
const SECOND_MS = 1000;
const MS_NS = 1e6;
const HEX_DIGITS_PER_WORD = 8;
const UNSET: SpanStatus = { code: SpanStatusCode.UNSET };
const UNENDED: HrTime = [0, 0];
const NO_LINKS: ReadableSpan['links'] = [];

/** Begins spans, all of which are sampled. */
export class SpanRecorder {
  readonly options: SpanRecorderOptions;

  constructor(options: SpanRecorderOptions) {
    this.options = options;
  }

  /** Of a call, below what its caller says; null: a trace begins with it. */
  call(name: string, attributes: Attributes, parent: SpanContext | null): RecordedSpan {
    const { clock } = this.options;
    return new RecordedSpan(this, name, SpanKind.SERVER, attributes, parent, clock.wallNow() - clock.now());
  }

  /** Of a part of what `parent` is the span of. */
  part(name: string, attributes: TraceAttributes, parent: RecordedSpan): RecordedSpan {
    return new RecordedSpan(
      this,
      name,
      SpanKind.INTERNAL,
      { ...attributes },
      parent.spanContext(),
      parent.epochMs,
    );
  }

  spanId(): string {
    return this.#id(2);
  }

  traceId(): string {
    return this.#id(4);
  }

  /** An id of zeros alone would be none. */
  #id(wordCount: number): string {
    const { random } = this.options;
    let id = '';
    for (let i = 0; i < wordCount; i++) {
      id += (random.uint32() || 1).toString(16).padStart(HEX_DIGITS_PER_WORD, '0');
    }
    return id;
  }
}

export class RecordedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly events: TimedEvent[] = [];
  readonly links = NO_LINKS;
  readonly droppedAttributesCount = 0;
  readonly droppedLinksCount = 0;
  /** Wall-clock time at which the monotonic clock was zero, as it was when the call began: a step of the one stretches no span. */
  readonly epochMs: number;
  endTime: HrTime = UNENDED;
  duration: HrTime = UNENDED;
  status = UNSET;
  ended = false;
  droppedEventsCount = 0;
  readonly #recorder: SpanRecorder;
  readonly #context: SpanContext;
  readonly #startMs: number;

  constructor(
    recorder: SpanRecorder,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    parent: SpanContext | null,
    epochMs: number,
  ) {
    this.#recorder = recorder;
    this.name = name;
    this.kind = kind;
    this.attributes = attributes;
    this.epochMs = epochMs;
    this.#startMs = recorder.options.clock.now();
    this.startTime = hrTime(epochMs + this.#startMs);
    const spanId = recorder.spanId();
    if (parent === null) {
      this.#context = { traceId: recorder.traceId(), spanId, traceFlags: TraceFlags.SAMPLED };
      return;
    }
    const { traceId, traceState } = parent;
    this.parentSpanContext = parent;
    this.#context = {
      traceId,
      spanId,
      traceFlags: TraceFlags.SAMPLED,
      ...(traceState === undefined ? {} : { traceState }),
    };
  }

  get resource(): Resource {
    return this.#recorder.options.resource;
  }

  get instrumentationScope(): InstrumentationScope {
    return this.#recorder.options.scope;
  }

  spanContext(): SpanContext {
    return this.#context;
  }

  addEvent(name: string, attributes?: TraceAttributes): void {
    if (this.ended) return;
    if (this.events.length >= MAX_EVENTS) {
      this.droppedEventsCount++;
      return;
    }
    const time = hrTime(this.epochMs + this.#recorder.options.clock.now());
    this.events.push(attributes === undefined ? { name, time } : { name, time, attributes });
  }

  /** Hands it on; what is told of it from now on is lost. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    const { clock, processor } = this.#recorder.options;
    const nowMs = clock.now();
    this.endTime = hrTime(this.epochMs + nowMs);
    this.duration = hrTime(nowMs - this.#startMs);
    processor.onEnd(this);
  }
}

function hrTime(timeMs: number): HrTime {
  const seconds = Math.floor(timeMs / SECOND_MS);
  return [seconds, Math.floor((timeMs - seconds * SECOND_MS) * MS_NS)];
}
