/**
 * Watches a range for as long as a round lasts, at another member whenever its stream ends, from where it was. What it is told is judged afterwards; it
 * looks into it only to know where to go on.
 */
import {
  decodeWatchResponse,
  encodeWatchRequest,
  FilterType,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import type { WatchedRange } from '@etcd/sim/judges';
import type { RawStream } from '../support/etcd-rpc.ts';
import { type Endpoint, Endpoints } from './endpoints.ts';
import type { History, WatchRecord } from './history.ts';
import { bytesOf } from './requests.ts';

export interface WatcherOptions {
  readonly name: string;
  readonly range: WatchedRange;
  readonly endpoints: () => readonly Endpoint[];
  readonly history: History;
  readonly metadata: Readonly<Record<string, string>>;
  readonly random: SeededRandom;
}

const RETRY_MS = 100;
const MAX_STAY_MS = 15_000;
/** A silent member is left after this: it may be stopped, or cut off from this client. */
const MAX_SILENCE_MS = 5000;
const QUESTION_MS = 1000;

/** @param isWhole of everything, without anything left out. */
export function drawRange(random: SeededRandom, isWhole: boolean): WatchedRange {
  const [key, end] = isWhole
    ? ['\0', '\0']
    : random.pick([
        ['k', 'k~'],
        ['k0', 'k1'],
        ['k05', ''],
        ['\0', '\0'],
      ]);
  const without = isWhole ? null : random.pick([null, null, 'puts', 'deletes'] as const);
  return { key: key!, end: end!, prevKv: random.chance(0.5), fragment: random.chance(0.5), without };
}

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #endpoints: Endpoints;
  readonly #record: WatchRecord;
  #stream: RawStream | null = null;
  #nextRevision = 2;
  /** Of the pieces of a message that has not come whole: its last revision. */
  #lastInPieces = 0;
  #openedMs = 0;
  #heardMs = 0;
  #stayMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options.endpoints, options.metadata);
    this.#record = { name: options.name, range: options.range, steps: [] };
    options.history.watches.push(this.#record);
  }

  start(): void {
    this.#open();
    this.#timer = setInterval(() => this.#look(), QUESTION_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#stream?.cancel();
    this.#endpoints.close();
  }

  asksWhetherKnows(revision: number): boolean {
    if (this.#nextRevision > revision) return true;
    this.#askForProgress();
    return false;
  }

  /** Asks how far it has been told, so that silence means something; and leaves a member that is silent, or where it has been long. */
  #look(): void {
    const nowMs = performance.now();
    if (nowMs - this.#openedMs > this.#stayMs || nowMs - this.#heardMs > MAX_SILENCE_MS) {
      this.#stream?.cancel();
    } else this.#askForProgress();
  }

  #askForProgress(): void {
    this.#send(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
  }

  #send(request: WatchRequest): void {
    this.#stream?.send(encodeWatchRequest(request));
  }

  #open(): void {
    const { random, range } = this.#options;
    const { name, rpc } = this.#endpoints.pick((count) => random.below(count));
    this.#lastInPieces = 0;
    this.#openedMs = performance.now();
    this.#heardMs = this.#openedMs;
    this.#stayMs = random.below(MAX_STAY_MS);
    this.#record.steps.push({ type: 'open', from: this.#nextRevision, by: name });
    const stream = rpc.streamRaw(
      '/etcdserverpb.Watch/Watch',
      {
        onMessage: (bytes) => {
          if (stream === this.#stream) this.#onMessage(bytes);
        },
        onEnd: () => {
          if (stream === this.#stream) this.#reopen();
        },
      },
      random.chance(0.5) ? { hasleader: 'true' } : {},
    );
    this.#stream = stream;
    this.#send(
      new WatchRequest({
        createRequest: new WatchCreateRequest({
          key: bytesOf(range.key),
          rangeEnd: bytesOf(range.end),
          startRevision: this.#nextRevision,
          progressNotify: true,
          prevKv: range.prevKv,
          fragment: range.fragment,
          filters:
            range.without === null ? [] : [range.without === 'puts' ? FilterType.NOPUT : FilterType.NODELETE],
        }),
      }),
    );
  }

  #reopen(): void {
    this.#stream = null;
    setTimeout(() => {
      if (this.#timer !== null) this.#open();
    }, RETRY_MS);
  }

  #onMessage(bytes: Uint8Array): void {
    this.#heardMs = performance.now();
    const { created, canceled, compactRevision, events, fragment, header } = decodeWatchResponse(bytes);
    this.#record.steps.push({ type: 'message', bytes });
    if (canceled) {
      if (compactRevision > 0) this.#nextRevision = compactRevision;
      this.#stream?.cancel();
      return;
    }
    if (created) return;
    const last = events.at(-1)?.kv?.modRevision ?? this.#lastInPieces;
    this.#lastInPieces = fragment ? last : 0;
    if (fragment) return;
    const known = last > 0 ? last : (header?.revision ?? 0);
    this.#nextRevision = Math.max(this.#nextRevision, known + 1);
    this.#options.history.see(last);
  }
}
