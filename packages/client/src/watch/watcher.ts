/**
 * One watch: an async iterable of batches, in the order of revisions, each revision whole, none missing and none twice,
 * whatever happens to connections.
 *
 * Invariant: everything below {@link Watcher.nextRevision} has been handed over, and nothing from it on; so a watch that was cut
 * off is asked for again from there. What a connection delivered of a revision in part is forgotten with the connection.
 *
 * A reader that is slower than the server's events makes them pile up here, up to `maxHeldBytes`. Then the watch is taken
 * back from the server, and asked for again once the reader has caught up: others on the same stream are not held up.
 */
import { EtcdError, type RpcError } from '@etcd/api';
import { FilterType, WatchCreateRequest, type WatchResponse } from '@etcd/api/etcdserverpb';
import type { Event } from '@etcd/api/mvccpb';
import { RingBuffer } from '@etcd/base';
import { ClientError, CompactedError } from '../errors.ts';
import type { RangeOptions } from '../keys.ts';

export interface WatchOptions extends RangeOptions {
  /** From this revision on, which may lie in the past; from now on unless told. */
  readonly startRevision?: number | undefined;
  /** Events carry the pair as it was before. */
  readonly prevKv?: boolean | undefined;
  /** Leave out puts, or deletes. */
  readonly noPut?: boolean | undefined;
  readonly noDelete?: boolean | undefined;
  /** Hand over a batch without events when the server says how far it is. */
  readonly progressNotify?: boolean | undefined;
  /** End with "no leader" where the member has lost its cluster, so that another is tried. */
  readonly requireLeader?: boolean | undefined;
  /** Let the server cut large batches; they are put together here, revision by revision. On unless told. */
  readonly fragment?: boolean | undefined;
  /** Bytes of events that may wait for the reader. */
  readonly maxHeldBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WatchBatch {
  readonly events: readonly Event[];
  /** The store's revision when it was sent. A batch without events says: nothing more up to here. */
  readonly revision: number;
  /** The message that completed the batch, for its header. */
  readonly response: WatchResponse;
}

/** What a watch needs of the stream that it shares. */
export interface WatcherHost {
  /** Takes the watch back from the server, for now or for good. */
  withdraw(watcher: Watcher): void;
  /** Asks the server for the watch (again). */
  enqueue(watcher: Watcher): void;
  requestProgress(): void;
}

const DEFAULT_MAX_HELD_BYTES = 8 * 1024 * 1024;
/** What a batch costs beyond its bytes. */
const BATCH_OVERHEAD_BYTES = 64;
const DONE = { done: true, value: undefined } as const;

interface Waiting {
  readonly resolve: (result: IteratorResult<WatchBatch, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

interface Held {
  readonly batch: WatchBatch;
  readonly byteCount: number;
}

export class Watcher implements AsyncIterableIterator<WatchBatch, undefined> {
  readonly #host: WatcherHost;
  readonly #key: Uint8Array;
  readonly #rangeEnd: Uint8Array;
  readonly #options: WatchOptions;
  readonly #prefixLength: number;
  readonly #maxHeldBytes: number;
  readonly #held = new RingBuffer<Held>();
  readonly #waiting = new RingBuffer<Waiting>();
  readonly #ready = Promise.withResolvers<number>();
  readonly #onAbort = (): void => this.end(this.#options.signal?.reason);
  /** Events of a revision that may not be complete yet. */
  #partial: Event[] = [];
  #partialBytes = 0;
  #heldBytes = 0;
  #nextRevision: number;
  #isSuspended = false;
  #finalResponse: WatchResponse | null = null;
  #isOver = false;
  #error: unknown = null;

  constructor(
    host: WatcherHost,
    range: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array },
    prefixLength: number,
    options: WatchOptions,
  ) {
    this.#host = host;
    this.#key = range.key;
    this.#rangeEnd = range.rangeEnd;
    this.#options = options;
    this.#prefixLength = prefixLength;
    this.#maxHeldBytes = options.maxHeldBytes ?? DEFAULT_MAX_HELD_BYTES;
    this.#nextRevision = options.startRevision ?? 0;
    // Whoever waits for it sees the failure; nobody has to.
    this.#ready.promise.catch(() => {});
    const { signal } = options;
    if (signal?.aborted === true) this.end(signal.reason);
    else signal?.addEventListener('abort', this.#onAbort);
  }

  /** The first revision that has not been handed over; 0 before the server has said where the watch begins. */
  get nextRevision(): number {
    return this.#nextRevision;
  }

  /** The message with which the server has ended the watch; null where it has not. */
  get finalResponse(): WatchResponse | null {
    return this.#finalResponse;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** Resolves with the first revision that is watched, once the server watches. */
  ready(): Promise<number> {
    return this.#ready.promise;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchBatch, undefined>> {
    const held = this.#held.take();
    if (held !== undefined) {
      this.#heldBytes -= held.byteCount;
      if (this.#isSuspended && !this.#isOver && this.#heldBytes <= this.#maxHeldBytes / 2) {
        this.#isSuspended = false;
        this.#host.enqueue(this);
      }
      return Promise.resolve({ done: false, value: held.batch });
    }
    if (this.#isOver) {
      const error = this.#error;
      this.#error = null;
      return error === null ? Promise.resolve(DONE) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives up: what a `for await` does when it is left early. */
  return(): Promise<IteratorResult<WatchBatch, undefined>> {
    this.end(null);
    this.#held.clear();
    this.#error = null;
    return Promise.resolve(DONE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** The events one by one. */
  async *events(): AsyncGenerator<Event, void, undefined> {
    for await (const { events } of this) yield* events;
  }

  /** Asks the server how far it is: an empty batch follows once all watches of the stream are up to date. */
  requestProgress(): void {
    this.#host.requestProgress();
  }

  // What the stream calls

  createRequest(): WatchCreateRequest {
    const { noDelete, noPut, prevKv, fragment } = this.#options;
    const filters: number[] = [];
    if (noPut === true) filters.push(FilterType.NOPUT);
    if (noDelete === true) filters.push(FilterType.NODELETE);
    return new WatchCreateRequest({
      key: this.#key,
      rangeEnd: this.#rangeEnd,
      startRevision: this.#nextRevision,
      // Always: it moves the place to go on from past what is compacted while nothing happens here.
      progressNotify: true,
      filters,
      prevKv: prevKv ?? false,
      fragment: fragment ?? true,
    });
  }

  /** The connection is gone, and with it what it has delivered in part. */
  onCut(): void {
    this.#partial = [];
    this.#partialBytes = 0;
  }

  onCreated(response: WatchResponse): void {
    const revision = response.header?.revision ?? 0;
    if (this.#nextRevision === 0) this.#nextRevision = revision + 1;
    this.#ready.resolve(this.#nextRevision);
  }

  /** The server has ended the watch. */
  onCanceled(response: WatchResponse, entry: RpcError | null): void {
    this.#finalResponse = response;
    if (response.compactRevision > 0) this.end(new CompactedError(response.compactRevision));
    else if (entry !== null) this.end(new EtcdError(entry));
    else this.end(new ClientError('closed', response.cancelReason || 'the server has ended the watch'));
  }

  /** The server says how far the stream is as a whole, because it was asked. */
  onProgress(response: WatchResponse): void {
    if (this.#isSuspended || this.#isOver) return;
    this.#deliver([], response, 0);
  }

  onEvents(response: WatchResponse, byteCount: number): void {
    if (this.#isOver || this.#isSuspended) return;
    if (response.events.length === 0 && !response.fragment && this.#partial.length === 0) {
      this.#nextRevision = Math.max(this.#nextRevision, (response.header?.revision ?? 0) + 1);
      if (this.#options.progressNotify === true) this.#deliver([], response, 0);
      return;
    }
    const { events } = response;
    if (this.#prefixLength > 0) for (const event of events) this.#strip(event);
    if (!response.fragment && this.#partial.length === 0) {
      this.#deliverEvents(events, response, byteCount);
      return;
    }
    for (const event of events) this.#partial.push(event);
    this.#partialBytes += byteCount;
    if (!response.fragment) {
      const whole = this.#partial;
      const wholeBytes = this.#partialBytes;
      this.onCut();
      this.#deliverEvents(whole, response, wholeBytes);
    } else {
      this.#deliverWholeRevisions(response);
    }
  }

  /** Ends the watch; what is held can still be read. */
  end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.onCut();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#ready.reject(error ?? new ClientError('closed', 'the watch is closed'));
    this.#host.withdraw(this);
    const first = this.#waiting.take();
    if (first === undefined) this.#error = error;
    else if (error === null) first.resolve(DONE);
    else first.reject(error);
    for (let more = this.#waiting.take(); more !== undefined; more = this.#waiting.take()) more.resolve(DONE);
  }

  /** Of a batch in the making, all revisions but the last are complete. */
  #deliverWholeRevisions(response: WatchResponse): void {
    const lastRevision = revisionOf(this.#partial.at(-1));
    let count = this.#partial.length;
    while (count > 0 && revisionOf(this.#partial[count - 1]) === lastRevision) count--;
    if (count === 0) return;
    const whole = this.#partial.slice(0, count);
    const wholeBytes = Math.floor((this.#partialBytes * count) / this.#partial.length);
    this.#partial = this.#partial.slice(count);
    this.#partialBytes -= wholeBytes;
    this.#deliverEvents(whole, response, wholeBytes);
  }

  #deliverEvents(events: readonly Event[], response: WatchResponse, byteCount: number): void {
    // Never twice, even from a server that begins earlier than it was asked to.
    const fresh =
      revisionOf(events[0]) >= this.#nextRevision
        ? events
        : events.filter((event) => revisionOf(event) >= this.#nextRevision);
    if (fresh.length === 0) return;
    this.#nextRevision = revisionOf(fresh.at(-1)) + 1;
    this.#deliver(fresh, response, byteCount);
  }

  #deliver(events: readonly Event[], response: WatchResponse, byteCount: number): void {
    const batch = { events, revision: response.header?.revision ?? 0, response };
    const waiting = this.#waiting.take();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: batch });
      return;
    }
    const heldBytes = byteCount + BATCH_OVERHEAD_BYTES;
    this.#held.push({ batch, byteCount: heldBytes });
    this.#heldBytes += heldBytes;
    if (this.#heldBytes <= this.#maxHeldBytes) return;
    this.#isSuspended = true;
    this.onCut();
    this.#host.withdraw(this);
  }

  #strip(event: Event): void {
    if (event.kv !== null) event.kv.key = event.kv.key.subarray(this.#prefixLength);
    if (event.prevKv !== null) event.prevKv.key = event.prevKv.key.subarray(this.#prefixLength);
  }
}

function revisionOf(event: Event | undefined): number {
  return event?.kv?.modRevision ?? 0;
}
