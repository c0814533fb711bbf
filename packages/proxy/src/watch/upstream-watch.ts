/**
 * The stream to a member that carries the watches of equal callers: opened when the first is asked for, opened again, to whatever member is there,
 * when it is cut, closed when there is none left. Members answer requests to create in their order, so that an answer is for the first that
 * waits.
 */
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import {
  encodeWatchRequest,
  WatchCancelRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { WatchService } from '@etcd/api/services';
import { GrpcCode, type Logger, RingBuffer, type Timer } from '@etcd/base';
import type { ClientCall, ClientReceiver, GrpcChannel } from '@etcd/transport';
import type { Caller } from '../upstream/caller.ts';
import type { Cancelable, Upstream } from '../upstream/upstream.ts';
import type { WatcherOwner } from './client-watcher.ts';
import type { SharedWatch } from './shared-watch.ts';
import type { WatchCounts } from './watch-counts.ts';
import { NO_WATCH, WatchFrame } from './watch-frame.ts';
import { type GroupStream, WatchGroup } from './watch-group.ts';

/** Changes a message before clients get it. */
export type FrameMap = (frame: WatchFrame) => void;

export interface UpstreamWatchOptions {
  readonly upstream: Upstream;
  readonly caller: Caller;
  readonly counts: WatchCounts;
  readonly logger: Logger;
  readonly mapFrame: FrameMap | null;
  /** The last watch is gone. */
  readonly onIdle: () => void;
}

const { path } = WatchService.methods.watch;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

export class UpstreamWatch implements GroupStream, ClientReceiver {
  /** The header of the last message: for what is said to clients without asking a member. */
  header: Uint8Array = new Uint8Array(0);
  readonly #options: UpstreamWatchOptions;
  readonly #groups = new Map<string, WatchGroup>();
  readonly #pending = new RingBuffer<SharedWatch>();
  readonly #byId = new Map<number, SharedWatch>();
  readonly #progress = new Set<WatcherOwner>();
  #call: ClientCall | null = null;
  #opening: Cancelable | null = null;
  #pause: Timer | null = null;
  #pauseMs = 0;
  #isClosed = false;

  constructor(options: UpstreamWatchOptions) {
    this.#options = options;
  }

  /** Watches that members carry for it. */
  get sourceCount(): number {
    let count = 0;
    for (const { sources } of this.#groups.values()) count += sources.size;
    return count;
  }

  group(key: string, request: WatchCreateRequest): WatchGroup {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new WatchGroup(key, request, this, this.#options.counts);
      this.#groups.set(key, group);
    }
    return group;
  }

  /** Asks the member how far it is; the answer goes to {@link WatcherOwner.sendProgress}. */
  requestProgress(owner: WatcherOwner): void {
    this.#progress.add(owner);
    if (this.#call === null) this.#open();
    else this.#send(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
  }

  forgetProgress(owner: WatcherOwner): void {
    this.#progress.delete(owner);
    this.#closeIfIdle();
  }

  isAwaitingProgress(owner: WatcherOwner): boolean {
    return this.#progress.has(owner);
  }

  /** Ends all streams of clients. */
  close(code: number, message: string): void {
    this.#fail(code, message);
    this.#leave();
  }

  // GroupStream

  create(source: SharedWatch): void {
    if (this.#call === null) this.#open();
    else this.#sendCreate(source);
  }

  cancel({ upstreamId }: SharedWatch): void {
    // One that is being created is canceled when the member has said its id.
    if (upstreamId === null || this.#byId.get(upstreamId) === undefined) return;
    this.#byId.delete(upstreamId);
    this.#sendCancel(upstreamId);
  }

  forget(group: WatchGroup): void {
    if (this.#groups.get(group.key) !== group) return;
    this.#groups.delete(group.key);
    this.#closeIfIdle();
  }

  // The member's side

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (call !== this.#call) return;
    let frame: WatchFrame;
    try {
      frame = WatchFrame.read(bytes, start, end);
      this.#options.mapFrame?.(frame);
    } catch (error) {
      return this.close(GrpcCode.Internal, (error as Error).message);
    }
    this.#pauseMs = 0;
    this.header = frame.header;
    if (frame.created) this.#onCreated(frame);
    else if (frame.canceled) this.#onCanceled(frame);
    else if (frame.watchId === NO_WATCH) this.#onProgress(frame);
    else {
      const source = this.#byId.get(frame.watchId);
      source?.group.onEvents(source, frame);
    }
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (call !== this.#call) return;
    this.#call = null;
    this.#onLost(code, message);
  }

  #onCreated(frame: WatchFrame): void {
    const source = this.#pending.take();
    if (source === undefined) return;
    if (frame.canceled) {
      if (!source.isClosed) source.group.onRefused(source, frame);
    } else if (source.isClosed) {
      this.#sendCancel(frame.watchId);
    } else {
      this.#byId.set(frame.watchId, source);
      source.group.onCreated(source, frame);
    }
  }

  #onCanceled(frame: WatchFrame): void {
    const source = this.#byId.get(frame.watchId);
    if (source === undefined) return;
    this.#byId.delete(frame.watchId);
    source.group.onCanceled(source, frame);
  }

  #onProgress(frame: WatchFrame): void {
    for (const owner of [...this.#progress]) if (owner.sendProgress(frame)) this.#progress.delete(owner);
    this.#closeIfIdle();
  }

  #open(): void {
    if (this.#isClosed || this.#opening !== null || this.#pause !== null) return;
    const { upstream } = this.#options;
    const deadlineMs = Number.POSITIVE_INFINITY;
    const opening = upstream.acquire(deadlineMs, (channel, reason) => {
      this.#opening = null;
      if (this.#isClosed) return;
      if (channel !== null) return this.#begin(channel);
      this.#onLost(GrpcCode.Unavailable, reason);
    });
    // Called back already when a member was there.
    if (this.#call === null) this.#opening = opening;
  }

  #begin(channel: GrpcChannel): void {
    this.#call = channel.call(path, this, { metadata: this.#options.caller.metadata });
    for (const { sources } of this.#groups.values()) for (const source of sources) this.#sendCreate(source);
    if (this.#progress.size > 0)
      this.#send(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
  }

  /** The stream is gone: everything is asked for again, unless that would not help. */
  #onLost(code: number, message: string): void {
    for (let source = this.#pending.take(); source !== undefined; source = this.#pending.take());
    this.#byId.clear();
    for (const { sources } of this.#groups.values()) for (const source of sources) source.onCut();
    if (!this.#mayReturn(code, message)) return this.close(code, message);
    const { upstream, logger } = this.#options;
    if (this.#groups.size > 0)
      logger.warn('a stream of watches was cut; asking for them again', { error: message });
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2));
    this.#pause = upstream.clock.setTimer(pauseMs, () => {
      this.#pause = null;
      this.#open();
    });
    this.#closeIfIdle();
  }

  #mayReturn(code: number, message: string): boolean {
    // Who asked to hear of it hears of it.
    if (this.#options.caller.requiresLeader && message === RPC_ERRORS.ErrGRPCNoLeader.message) return false;
    const { entry } = EtcdError.fromStatus(code, message);
    if (entry === RPC_ERRORS.ErrGRPCInvalidAuthToken) return false;
    return (
      code === GrpcCode.Unavailable ||
      code === GrpcCode.Canceled ||
      code === GrpcCode.Internal ||
      code === GrpcCode.DeadlineExceeded
    );
  }

  #fail(code: number, message: string): void {
    const owners = new Set<WatcherOwner>(this.#progress);
    for (const group of [...this.#groups.values()]) {
      for (const { owner } of group.watchers()) owners.add(owner);
    }
    for (const owner of owners) owner.fail(code, message);
  }

  #closeIfIdle(): void {
    if (this.#groups.size > 0 || this.#progress.size > 0 || this.#isClosed) return;
    this.#leave();
  }

  #leave(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#opening?.cancel();
    this.#pause?.cancel();
    const call = this.#call;
    this.#call = null;
    call?.cancel();
    this.#options.onIdle();
  }

  #sendCreate(source: SharedWatch): void {
    const { request } = source.group;
    this.#pending.push(source);
    const createRequest = new WatchCreateRequest({ ...request, startRevision: source.nextRevision });
    this.#send(new WatchRequest({ createRequest }));
  }

  #sendCancel(id: number): void {
    this.#send(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId: BigInt(id) }) }));
  }

  #send(request: WatchRequest): void {
    this.#call?.write(encodeWatchRequest(request));
  }
}
