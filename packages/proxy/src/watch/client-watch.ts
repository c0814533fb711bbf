/**
 * A client's stream of watches. Its requests are taken in their order, so that answers come in that order too: the next one when those before
 * it are answered, but for equal requests to create, which go together.
 *
 * Nothing piles up for a client that does not read: beyond {@link MAX_BEHIND_BYTES} its watchers leave their sources, and go on from their
 * places, with the cluster's history, when the client has caught up.
 */
import { RPC_ERRORS } from '@etcd/api';
import {
  decodeWatchRequest,
  encodeWatchResponse,
  type WatchCreateRequest,
  type WatchRequest,
  WatchResponse,
} from '@etcd/api/etcdserverpb';
import { type Clock, RingBuffer, type Timer } from '@etcd/base';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import { decodeProblem } from '../kv/kv-backend.ts';
import { ClientWatcher, type WatcherOwner } from './client-watcher.ts';
import type { UpstreamWatch } from './upstream-watch.ts';
import { NO_WATCH_FIELD, type WatchFrame, watchIdField } from './watch-frame.ts';
import type { WatchGroup } from './watch-group.ts';

/** Where the sources of a caller's watches are found. */
export interface WatchSources {
  stream(): UpstreamWatch;
  group(request: WatchCreateRequest): WatchGroup;
  /** Whether messages are written whole, so that they can be listened to. */
  readonly isTapped: boolean;
}

/** Bytes that may wait in a stream for a client that reads slowly. */
const MAX_BEHIND_BYTES = 1024 * 1024;
/** Requests that wait for those before them; with more the client's side is not read. */
const MAX_QUEUED_REQUESTS = 1000;
/** How soon a stream is looked at again that waits for others of its connection. */
const CONGESTION_PAUSE_MS = 100;
const NO_ID = -1n;
const DUPLICATE_ID = 'mvcc: duplicate watch ID provided on the WatchStream';
const CANCELED_FIELD = Uint8Array.of(4 << 3, 1);

export class ClientWatch implements CallReceiver, WatcherOwner {
  readonly #call: ServerCall;
  readonly #clock: Clock;
  readonly #sources: WatchSources;
  readonly #watchers = new Map<bigint, ClientWatcher>();
  readonly #queue = new RingBuffer<WatchRequest>();
  readonly #creating = new Set<ClientWatcher>();
  readonly #behind = new Set<ClientWatcher>();
  #nextId = 0n;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(call: ServerCall, clock: Clock, sources: WatchSources) {
    this.#call = call;
    this.#clock = clock;
    this.#sources = sources;
  }

  // The client's side

  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    let request: WatchRequest;
    try {
      request = decodeWatchRequest(bytes, start, end);
    } catch (error) {
      const { code, message } = decodeProblem(error);
      return this.fail(code, message);
    }
    this.#queue.push(request);
    this.#run();
    if (this.#queue.count >= MAX_QUEUED_REQUESTS) call.pause();
  }

  onWritable(): void {
    this.#resume();
  }

  onCancel(): void {
    this.#close();
  }

  // The sources' side

  get isBehind(): boolean {
    const call = this.#call;
    const queuedBytes = call.queue?.byteCount ?? 0;
    return queuedBytes > MAX_BEHIND_BYTES || call.connection.isCongested;
  }

  onCreated(watcher: ClientWatcher, frame: WatchFrame): void {
    this.#creating.delete(watcher);
    if (watcher.requestedId !== 0n && this.#watchers.has(watcher.requestedId)) {
      watcher.group.leave(watcher);
      this.#refuseDuplicate();
      return this.#runLater();
    }
    watcher.id = watcher.requestedId === 0n ? this.#freeId() : watcher.requestedId;
    watcher.idField = watchIdField(watcher.id);
    watcher.isAnnounced = true;
    this.#watchers.set(watcher.id, watcher);
    this.send(watcher, frame.body);
    this.#runLater();
  }

  onRefused(watcher: ClientWatcher, frame: WatchFrame): void {
    // It has been there, and the client must know that it is gone: one that connects again finds out why.
    if (watcher.isAnnounced) return this.fail(RPC_ERRORS.ErrGRPCStopped.code, frame.cancelReason);
    this.#creating.delete(watcher);
    this.#write(frame.body, NO_WATCH_FIELD);
    this.#runLater();
  }

  onCanceled(watcher: ClientWatcher, frame: WatchFrame): void {
    // One that was told of its compaction belongs to the stream until the client cancels it, as at a member.
    if (frame.compactRevision === 0) this.#watchers.delete(watcher.id);
    this.send(watcher, frame.body);
  }

  send(watcher: ClientWatcher, body: Uint8Array): void {
    this.#write(body, watcher.idField);
  }

  onBehind(watcher: ClientWatcher): void {
    this.#behind.add(watcher);
    // Asked, so that the client's side tells when there is room; a crowded connection does not.
    if (this.#call.hasRoom) this.#timer ??= this.#clock.setTimer(CONGESTION_PAUSE_MS, () => this.#onTimer());
  }

  onCaughtUp(): void {
    if (this.#isClosed || !this.#sources.stream().isAwaitingProgress(this)) return;
    this.#sources.stream().requestProgress(this);
  }

  sendProgress(frame: WatchFrame): boolean {
    if (this.#behind.size > 0) return false;
    // One that is on its way to a source has not had what the others have.
    for (const { source } of this.#watchers.values()) if (source?.isCreated !== true) return false;
    this.#write(frame.body, NO_WATCH_FIELD);
    return true;
  }

  fail(code: number, message: string): void {
    this.#call.end(code, message);
    this.#close();
  }

  #onTimer(): void {
    this.#timer = null;
    if (!this.isBehind) return this.#resume();
    this.#timer = this.#clock.setTimer(CONGESTION_PAUSE_MS, () => this.#onTimer());
  }

  /** Finds sources for watchers that were behind, those with the same place together. */
  #resume(): void {
    if (this.#isClosed || this.#behind.size === 0) return;
    const together = new Map<string, ClientWatcher[]>();
    for (const watcher of this.#behind) {
      const key = `${watcher.nextRevision} ${watcher.skip} ${watcher.group.key}`;
      const list = together.get(key);
      if (list === undefined) together.set(key, [watcher]);
      else list.push(watcher);
    }
    this.#behind.clear();
    for (const list of together.values()) this.#rejoin(list);
  }

  /** The group may have been forgotten meanwhile: it is looked for again. */
  #rejoin(watchers: readonly ClientWatcher[]): void {
    const { group } = watchers[0]!;
    const now = this.#sources.stream().group(group.key, group.request);
    for (const watcher of watchers) watcher.group = now;
    now.join(watchers);
  }

  #runLater(): void {
    if (this.#creating.size === 0 && this.#queue.count > 0) this.#clock.defer(() => this.#run());
  }

  #run(): void {
    while (!this.#isClosed && this.#creating.size === 0) {
      const request = this.#queue.take();
      if (request === undefined) break;
      if (request.createRequest !== null) this.#create(request.createRequest);
      else if (request.cancelRequest !== null) this.#cancel(request.cancelRequest.watchId);
      else if (request.progressRequest !== null) this.#sources.stream().requestProgress(this);
    }
    if (this.#call.isPaused && this.#queue.count < MAX_QUEUED_REQUESTS) this.#call.resume();
  }

  /** Creates, together with those behind it in the queue that ask for the same. */
  #create(request: WatchCreateRequest): void {
    const first = this.#newWatcher(request, this.#sources.group(request));
    const watchers = [first];
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const { createRequest } = next;
      if (createRequest === null || createRequest.startRevision !== request.startRevision) break;
      // Whether an id of the client's is free is known when those before it are there.
      if (createRequest.watchId !== 0n) break;
      const group = this.#sources.group(createRequest);
      if (group !== first.group) {
        group.forgetUnlessUsed();
        break;
      }
      this.#queue.take();
      watchers.push(this.#newWatcher(createRequest, group));
    }
    for (const watcher of watchers) this.#creating.add(watcher);
    first.group.join(watchers);
  }

  #newWatcher(
    { startRevision, progressNotify, watchId }: WatchCreateRequest,
    group: WatchGroup,
  ): ClientWatcher {
    return new ClientWatcher(this, group, startRevision, progressNotify, watchId === NO_ID ? 0n : watchId);
  }

  /** A member looks at everything else first: its refusal comes before this one. */
  #refuseDuplicate(): void {
    const response = new WatchResponse({ created: true, canceled: true, cancelReason: DUPLICATE_ID });
    const { header } = this.#sources.stream();
    this.#write(Buffer.concat([header, encodeWatchResponse(response)]), NO_WATCH_FIELD);
  }

  #cancel(id: bigint): void {
    const watcher = this.#watchers.get(id);
    if (watcher === undefined) return;
    const { header } = this.#sources.stream();
    this.#watchers.delete(id);
    this.#behind.delete(watcher);
    watcher.group.leave(watcher);
    this.#write(Buffer.concat([header, CANCELED_FIELD]), watcher.idField);
  }

  #freeId(): bigint {
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #write(body: Uint8Array, idField: Uint8Array): void {
    const call = this.#call;
    if (this.#sources.isTapped) {
      call.write(Buffer.concat([body, idField]));
      return;
    }
    const at = call.reserveMessage(body.length + idField.length);
    const { output } = call;
    output.set(body, at);
    for (let i = 0; i < idField.length; i++) output[at + body.length + i] = idField[i]!;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#queue.clear();
    this.#behind.clear();
    // A source may be sending to this stream just now; what it sends meanwhile goes nowhere.
    this.#clock.defer(() => {
      for (const watcher of [...this.#watchers.values(), ...this.#creating]) watcher.group.leave(watcher);
      this.#watchers.clear();
      this.#creating.clear();
      this.#sources.stream().forgetProgress(this);
    });
  }
}
