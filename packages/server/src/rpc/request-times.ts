/**
 * How long requests of the KV service take, from their arrival to their answer: for the metrics, and for a line in the log
 * when one was slow.
 */
import type { InternalError } from '@etcd/api';
import type { Clock, Logger } from '@etcd/base';
import { formatGoDuration } from '@etcd/host/args';
import type { Histogram } from '@etcd/host/metrics';
import type { ServerCall } from '@etcd/transport';
import { requestText } from '../apply/index.ts';
import type { EntryMoments } from '../consensus/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { isUndecided } from '../request/index.ts';

export type RequestType = 'Range' | 'ReadonlyTxn' | 'Put' | 'DeleteRange' | 'Txn' | 'Compaction';

/** The proposal measures these; see `cluster/proposal-times.ts`. */
const MEASURED_ELSEWHERE: RequestType = 'Compaction';

export interface RequestTimesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  /** etcd's `--warning-unary-request-duration`. */
  readonly warningMs: number;
  /** etcd's `--warning-apply-duration`, which counts for reads, too. */
  readonly warningApplyMs: number;
  /** Of the entry that is being applied. */
  readonly momentsOfApplying: () => EntryMoments | null;
}

export class RequestTimes {
  /** Where requests of the service are counted. */
  readonly metrics: MetricHandles;
  readonly #options: RequestTimesOptions;
  readonly #succeeded = new Map<RequestType, Histogram>();
  readonly #failed = new Map<RequestType, Histogram>();
  #ranges: Histogram | null = null;
  #lastMs = 0;
  /** When the range that is being answered began to be read. */
  #readMs: number | null = null;
  /** {@link #lastMs} was read in this turn. */
  #isFresh = false;
  readonly #onTurnEnd = (): void => {
    this.#isFresh = false;
  };

  constructor(options: RequestTimesOptions) {
    this.#options = options;
    this.metrics = options.metrics;
  }

  /**
   * A request has arrived, or the store is about to be read. Costs a reading of the clock once in a turn of the event loop: a
   * request begins when the one before it was answered.
   */
  begin(): number {
    if (!this.#isFresh) {
      this.#isFresh = true;
      this.#lastMs = this.#options.clock.now();
      this.#options.clock.defer(this.#onTurnEnd);
    }
    return this.#lastMs;
  }

  /** {@link answered} for a range, which began to be read at `readMs`. */
  ranged(call: ServerCall, startMs: number, readMs: number, success: boolean, request: object): void {
    this.#readMs = readMs;
    this.answered(call, 'Range', startMs, success, request);
    this.#readMs = null;
    const seconds = (this.#lastMs - readMs) / 1000;
    const { rangeDurationSeconds } = this.metrics;
    if (!success) return rangeDurationSeconds.labels('false').observe(seconds);
    this.#ranges ??= rangeDurationSeconds.labels('true');
    this.#ranges.observe(seconds);
  }

  /** {@link answered} for one that failed. What the cluster has decided against is a success of the member. */
  failed(
    call: ServerCall,
    type: RequestType,
    startMs: number,
    error: InternalError,
    request: object | null,
  ): void {
    const isRead = READ_PREFIXES.has(type);
    this.#took(call, type, startMs, !isRead && !isUndecided(error), false, request);
  }

  /** The request that arrived at `startMs` has its answer. */
  answered(
    call: ServerCall,
    type: RequestType,
    startMs: number,
    success: boolean,
    request: object | null,
  ): void {
    this.#took(call, type, startMs, success, success, request);
  }

  #handle(type: RequestType, success: boolean): Histogram {
    const handles = success ? this.#succeeded : this.#failed;
    const known = handles.get(type);
    if (known !== undefined) return known;
    const created = this.metrics.requestDurationSeconds.labels(type, String(success));
    handles.set(type, created);
    return created;
  }

  #took(
    call: ServerCall,
    type: RequestType,
    startMs: number,
    isDecided: boolean,
    success: boolean,
    request: object | null,
  ): void {
    call.trace?.parts?.endAll();
    this.#lastMs = this.#options.clock.now();
    const durationMs = this.#lastMs - startMs;
    if (type !== MEASURED_ELSEWHERE) this.#handle(type, isDecided).observe(durationMs / 1000);
    const { warningMs, warningApplyMs, logger, metrics } = this.#options;
    const prefix = READ_PREFIXES.get(type);
    if (prefix !== undefined && durationMs > warningApplyMs) {
      metrics.slowApplyTotal.inc();
      if (logger.enabled('warn', SLOW_READ)) {
        logger.warn(SLOW_READ, {
          took: formatGoDuration(durationMs),
          'expected-duration': formatGoDuration(warningApplyMs),
          prefix,
          request: describe(request),
          success,
        });
      }
    }
    if (durationMs > warningMs && logger.enabled('warn', SLOW_REQUEST))
      this.#tellOfSlow(call, type, startMs, success, request);
  }

  /** At once, or when the answer has been sent. */
  #tellOfSlow(
    call: ServerCall,
    type: RequestType,
    startMs: number,
    success: boolean,
    request: object | null,
  ): void {
    const { clock, logger } = this.#options;
    const fields = {
      'time spent': formatGoDuration(this.#lastMs - startMs),
      remote: call.info.remoteAddress,
      'response type': call.head.path,
      'request content': describe(request),
      success,
    };
    const ends = this.#phaseEnds(type, success);
    const tell = (sentMs: number): void => {
      const phases = ends === null ? {} : phaseFields(startMs, [...ends, ['send', sentMs]]);
      logger.warn(SLOW_REQUEST, { ...fields, ...phases });
    };
    if (call.isHeldBack) whenSent(call, () => tell(clock.now()));
    else tell(this.#lastMs);
  }

  /** When a request that has just been answered came through which phase; null where nobody knows. */
  #phaseEnds(type: RequestType, success: boolean): PhaseEnd[] | null {
    if (READ_PREFIXES.has(type)) return this.#readPhases();
    return success && type !== MEASURED_ELSEWHERE ? this.#writePhases() : null;
  }

  #readPhases(): PhaseEnd[] | null {
    if (this.#readMs === null) return null;
    return [
      ['agreement', this.#readMs],
      ['read', this.#lastMs],
    ];
  }

  #writePhases(): PhaseEnd[] | null {
    const moments = this.#options.momentsOfApplying();
    if (moments === null) return null;
    return [
      ['queue', moments.savingMs],
      ['log-sync', moments.savedMs],
      ['replication', moments.committedMs],
      ['apply', this.#lastMs],
    ];
  }
}

/** What is said of one costs more than the request itself: of thousands that were slow together, most are passed over before. */
const SLOW_READ = 'apply request took too long';
const SLOW_REQUEST = 'request stats';

type PhaseEnd = readonly [phase: string, endMs: number];

const READ_PREFIXES: ReadonlyMap<RequestType, string> = new Map([
  ['Range', 'read-only range '],
  ['ReadonlyTxn', 'read-only txn '],
]);

/** For how long a request was in which phase, and which was the longest. */
function phaseFields(startMs: number, ends: readonly PhaseEnd[]): Record<string, string> {
  const fields: Record<string, string> = {};
  let longest = { phase: '', durationMs: -1 };
  let fromMs = startMs;
  for (const [phase, endMs] of ends) {
    // An entry may be known to be committed before it is durable here.
    const untilMs = Math.max(fromMs, endMs);
    const durationMs = untilMs - fromMs;
    fields[phase] = formatGoDuration(durationMs);
    if (durationMs > longest.durationMs) longest = { phase, durationMs };
    fromMs = untilMs;
  }
  return { phase: longest.phase, ...fields };
}

/** Calls `then` when the last of the answer is with the socket, or when the client is gone. */
function whenSent(call: ServerCall, then: () => void): void {
  const { trace } = call;
  call.trace = {
    parts: trace?.parts,
    onEnd: (code, message) => {
      trace?.onEnd(code, message);
      then();
    },
  };
}

function describe(request: object | null): string {
  return (request === null ? null : requestText(request)) ?? '';
}
