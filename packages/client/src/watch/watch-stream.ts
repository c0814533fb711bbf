/**
 * The stream that watches share: one call, opened when the first watch comes and again whenever it is cut, which carries
 * any number of watches. Watches are asked for one at a time, because a refusal does not say which one it refuses.
 *
 * Invariant: a watch that is not over and not suspended is in exactly one of three places: in the queue, being created, or
 * known under its id.
 */
import { EtcdError, RPC_ERRORS, type RpcError } from '@etcd/api';
import {
  WatchCancelRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import { WatchService } from '@etcd/api/services';
import { GrpcCode, RingBuffer } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import type { Caller } from '../rpc/caller.ts';
import { pause } from '../rpc/connection.ts';
import { copyMessage } from '../rpc/unary-call.ts';
import type { Watcher, WatcherHost } from './watcher.ts';

const METHOD = WatchService.methods.watch;
/** The id of answers that are meant for no watch in particular. */
const NO_WATCH = -1n;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

export class WatchStream implements WatcherHost, ClientReceiver {
  readonly #caller: Caller;
  readonly #requireLeader: boolean;
  readonly #queue = new RingBuffer<Watcher>();
  readonly #byId = new Map<bigint, Watcher>();
  #creating: Watcher | null = null;
  #call: ClientCall | null = null;
  #token = '';
  #isOpening = false;
  /** Somebody waits to hear how far the server is. */
  #wantsProgress = false;
  #hasAskedForProgress = false;
  #pauseMs = 0;
  #isClosed = false;

  constructor(caller: Caller, requireLeader: boolean) {
    this.#caller = caller;
    this.#requireLeader = requireLeader;
  }

  // WatcherHost

  enqueue(watcher: Watcher): void {
    this.#queue.push(watcher);
    if (this.#call === null) this.#open();
    else this.#createNext();
  }

  withdraw(watcher: Watcher): void {
    for (const [id, known] of this.#byId) {
      if (known !== watcher) continue;
      this.#byId.delete(id);
      this.#cancel(id);
      break;
    }
    if (this.#isIdle) this.#leave();
  }

  requestProgress(): void {
    this.#wantsProgress = true;
    this.#hasAskedForProgress = false;
    this.#sendProgressRequest();
  }

  /** Ends every watch. */
  close(error: unknown): void {
    this.#isClosed = true;
    this.#failAll(error);
    this.#leave();
  }

  // ClientReceiver

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (call !== this.#call) return;
    let response: WatchResponse;
    try {
      response = METHOD.response.decode(copyMessage(bytes, start, end));
    } catch (error) {
      this.#failAll(error);
      this.#leave();
      return;
    }
    this.#pauseMs = 0;
    if (response.created) this.#onCreated(response);
    else if (response.canceled) this.#onCanceled(response);
    else if (response.watchId === NO_WATCH) this.#onProgress(response);
    else this.#byId.get(response.watchId)?.onEvents(response, end - start);
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (call !== this.#call) return;
    this.#call = null;
    this.#onLost(EtcdError.fromStatus(code, message));
  }

  get #isIdle(): boolean {
    return this.#byId.size === 0 && this.#queue.count === 0 && this.#creating === null;
  }

  #open(): void {
    if (this.#isOpening || this.#isClosed) return;
    this.#isOpening = true;
    const { clock } = this.#caller.options;
    const paused = this.#pauseMs === 0 ? Promise.resolve() : pause(clock, this.#pauseMs);
    this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
    paused
      .then(() => this.#caller.open(METHOD.path, this, { requireLeader: this.#requireLeader }))
      .then(
        ({ call, token }) => {
          this.#isOpening = false;
          this.#call = call;
          this.#token = token;
          if (this.#isIdle || this.#isClosed) this.#leave();
          else this.#begin();
        },
        (error: unknown) => {
          this.#isOpening = false;
          this.#onLost(error);
        },
      );
  }

  #begin(): void {
    this.#hasAskedForProgress = false;
    this.#createNext();
    this.#sendProgressRequest();
  }

  #onProgress(response: WatchResponse): void {
    this.#wantsProgress = false;
    for (const watcher of this.#byId.values()) watcher.onProgress(response);
  }

  /** The call is gone: every watch goes back into the queue, or ends where another call would not help. */
  #onLost(error: unknown): void {
    const waiting = [...this.#byId.values()];
    if (this.#creating !== null) waiting.push(this.#creating);
    this.#byId.clear();
    this.#creating = null;
    for (const watcher of waiting) watcher.onCut();
    if (!isTransient(error)) {
      for (const watcher of waiting) watcher.end(error);
      this.#failAll(error);
      return;
    }
    for (const watcher of waiting) {
      if (!watcher.isOver && !watcher.isSuspended) this.#queue.push(watcher);
    }
    if (this.#queue.count === 0) return;
    const revision = this.#queue.peek()?.nextRevision ?? 0;
    this.#caller.options.onEvent?.({ kind: 'watch-resumed', revision });
    this.#open();
  }

  #createNext(): void {
    while (this.#creating === null && this.#call !== null) {
      const watcher = this.#queue.take();
      if (watcher === undefined) {
        if (this.#isIdle) this.#leave();
        return;
      }
      if (watcher.isOver || watcher.isSuspended) continue;
      this.#creating = watcher;
      this.#send(new WatchRequest({ createRequest: watcher.createRequest() }));
    }
  }

  #onCreated(response: WatchResponse): void {
    const watcher = this.#creating;
    this.#creating = null;
    if (watcher === null) return;
    if (response.canceled) {
      const entry = entryOf(response.cancelReason);
      if (isTokenTrouble(entry)) {
        this.#queue.push(watcher);
        this.#renewToken();
        return;
      }
      watcher.onCanceled(response, entry);
    } else if (watcher.isOver || watcher.isSuspended) {
      this.#cancel(response.watchId);
    } else {
      this.#byId.set(response.watchId, watcher);
      watcher.onCreated(response);
    }
    this.#createNext();
    this.#sendProgressRequest();
  }

  #onCanceled(response: WatchResponse): void {
    const watcher = this.#byId.get(response.watchId);
    if (watcher === undefined) return;
    this.#byId.delete(response.watchId);
    const entry = entryOf(response.cancelReason);
    if (isTokenTrouble(entry)) {
      watcher.onCut();
      this.#queue.push(watcher);
      this.#renewToken();
    } else {
      watcher.onCanceled(response, entry);
    }
  }

  /** The token was refused: the whole stream is opened again with a new one. */
  #renewToken(): void {
    const { tokens } = this.#caller;
    const call = this.#call;
    this.#call = null;
    call?.cancel();
    if (!tokens.canRefresh) {
      const error = new EtcdError(RPC_ERRORS.ErrGRPCInvalidAuthToken);
      this.#failAll(error);
      return;
    }
    tokens.reject(this.#token);
    this.#onLost(new EtcdError(RPC_ERRORS.ErrGRPCNoLeader));
  }

  #failAll(error: unknown): void {
    const all = [...this.#byId.values()];
    if (this.#creating !== null) all.push(this.#creating);
    for (let queued = this.#queue.take(); queued !== undefined; queued = this.#queue.take()) all.push(queued);
    this.#byId.clear();
    this.#creating = null;
    for (const watcher of all) watcher.end(error);
  }

  /** Once the server knows all watches, so that the answer is for each of them. */
  #sendProgressRequest(): void {
    if (!this.#wantsProgress || this.#hasAskedForProgress || this.#call === null) return;
    if (this.#creating !== null || this.#queue.count > 0) return;
    this.#hasAskedForProgress = true;
    this.#send(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
  }

  #cancel(id: bigint): void {
    if (this.#call === null) return;
    this.#send(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId: id }) }));
  }

  #send(request: WatchRequest): void {
    const bytes = new Uint8Array(METHOD.request.size(request));
    METHOD.request.write(request, bytes, 0);
    this.#call?.write(bytes);
  }

  /** Nobody watches any more. */
  #leave(): void {
    const call = this.#call;
    this.#call = null;
    call?.cancel();
  }
}

/** Whether another connection may help. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof EtcdError)) return false;
  const { code } = error;
  // Nobody here has cancelled it: something on the way has reset the stream.
  if (code === GrpcCode.Canceled) return true;
  return code === GrpcCode.Unavailable || code === GrpcCode.Internal || code === GrpcCode.DeadlineExceeded;
}

function isTokenTrouble(entry: RpcError | null): boolean {
  return entry === RPC_ERRORS.ErrGRPCInvalidAuthToken || entry === RPC_ERRORS.ErrGRPCAuthOldRevision;
}

/** Servers give the reason as the text of an error, with or without its code before it. */
function entryOf(reason: string): RpcError | null {
  if (reason === '') return null;
  const text = /^rpc error: code = \w+ desc = (.*)$/s.exec(reason)?.[1] ?? reason;
  return EtcdError.fromStatus(GrpcCode.Unknown, text).entry;
}
