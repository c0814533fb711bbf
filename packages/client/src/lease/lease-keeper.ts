/**
 * Keeps leases alive over one call for all of them: a third of a lease's life after each answer the next is due. A cut call
 * is opened again; a lease that could not be kept alive for as long as it lives counts as lost, measured from when
 * the question was sent, so that nobody here believes in a lease longer than the server does.
 */
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { LeaseKeepAliveRequest, type LeaseKeepAliveResponse } from '@etcd/api/etcdserverpb';
import { LeaseService } from '@etcd/api/services';
import { GrpcCode, RingBuffer, type Timer } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import { ClientError } from '../errors.ts';
import type { Caller } from '../rpc/caller.ts';
import { pause } from '../rpc/connection.ts';
import { copyMessage } from '../rpc/unary-call.ts';

const METHOD = LeaseService.methods.leaseKeepAlive;
const RECONNECT_PAUSE_MS = 200;
/** How long a lease of unknown life is tried for before the first answer. */
const FIRST_ANSWER_MS = 10_000;
const SECOND_MS = 1000;

/** A lease in the keeper's care. */
export interface KeptLease {
  readonly id: bigint;
  onAlive(response: LeaseKeepAliveResponse): void;
  onLost(error: Error): void;
}

class Entry {
  readonly lease: KeptLease;
  nextMs: number;
  lostMs: number;
  /** When each question was sent that has no answer on this call yet, of which there are few: answers come in their order. */
  readonly askedMs = new RingBuffer<number>();

  constructor(lease: KeptLease, nowMs: number, lostMs: number) {
    this.lease = lease;
    this.nextMs = nowMs;
    this.lostMs = lostMs;
  }
}

export class LeaseKeeper implements ClientReceiver {
  readonly #caller: Caller;
  readonly #entries = new Map<bigint, Entry>();
  #call: ClientCall | null = null;
  #token = '';
  #isOpening = false;
  #timer: Timer | null = null;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * `ttlSeconds` is what is known of its life, 0 for nothing, and `grantedMs` the earliest time at which that may have begun. Where
   * that is long ago the grant may as well be of a later attempt: half a life is left for the first answer, which says it.
   */
  add(lease: KeptLease, ttlSeconds: number, grantedMs = this.#caller.now): void {
    const nowMs = this.#caller.now;
    const lifeMs = ttlSeconds > 0 ? ttlSeconds * SECOND_MS : FIRST_ANSWER_MS;
    this.#entries.set(lease.id, new Entry(lease, nowMs, Math.max(grantedMs + lifeMs, nowMs + lifeMs / 2)));
    this.#run();
  }

  remove(lease: KeptLease): void {
    if (this.#entries.get(lease.id)?.lease !== lease) return;
    this.#entries.delete(lease.id);
    if (this.#entries.size === 0) this.#leave();
  }

  /** Whether its life, as far as is known here, has ended: also before the timer that says so has run, as after a pause of the process. */
  isPast(lease: KeptLease): boolean {
    const entry = this.#entries.get(lease.id);
    return entry !== undefined && entry.lease === lease && entry.lostMs <= this.#caller.now;
  }

  close(): void {
    const error = new ClientError('closed', 'the client is closed');
    for (const entry of [...this.#entries.values()]) this.#lose(entry, error);
    this.#leave();
  }

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (call !== this.#call) return;
    let response: LeaseKeepAliveResponse;
    try {
      response = METHOD.response.decode(copyMessage(bytes, start, end));
    } catch (error) {
      for (const kept of [...this.#entries.values()]) this.#lose(kept, asError(error));
      return;
    }
    const entry = this.#entries.get(response.id);
    if (entry === undefined) return;
    if (response.ttl <= 0) {
      this.#lose(entry, new EtcdError(RPC_ERRORS.ErrGRPCLeaseNotFound));
      return;
    }
    const lifeMs = response.ttl * SECOND_MS;
    const nowMs = this.#caller.now;
    entry.lostMs = (entry.askedMs.take() ?? nowMs) + lifeMs;
    entry.nextMs = nowMs + Math.max(0, entry.lostMs - nowMs) / 3;
    entry.lease.onAlive(response);
    this.#arm();
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (call !== this.#call) return;
    this.#call = null;
    this.#onCut(EtcdError.fromStatus(code, message));
  }

  /** Sends what is due, gives up what is lost, and waits for the next of either. */
  #run(): void {
    const nowMs = this.#caller.now;
    for (const entry of [...this.#entries.values()]) {
      if (entry.lostMs <= nowMs) {
        this.#lose(entry, new ClientError('lease-lost', 'the lease could not be kept alive'));
      } else if (entry.nextMs <= nowMs && this.#call !== null) {
        this.#send(entry);
      }
    }
    if (this.#entries.size > 0 && this.#call === null) this.#open(0);
    this.#arm();
  }

  #send(entry: Entry): void {
    const request = new LeaseKeepAliveRequest({ id: entry.lease.id });
    const bytes = new Uint8Array(METHOD.request.size(request));
    METHOD.request.write(request, bytes, 0);
    const nowMs = this.#caller.now;
    entry.askedMs.push(nowMs);
    // Asked again, well before the end, if this one is not answered.
    entry.nextMs = nowMs + Math.max(SECOND_MS, (entry.lostMs - nowMs) / 3);
    this.#call?.write(bytes);
  }

  #open(delayMs: number): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    const paused = delayMs === 0 ? Promise.resolve() : pause(this.#caller.options.clock, delayMs);
    paused
      .then(() => this.#caller.open(METHOD.path, this))
      .then(
        ({ call, token }) => {
          this.#isOpening = false;
          this.#call = call;
          this.#token = token;
          const nowMs = this.#caller.now;
          // The member may be another one: everything is asked for again.
          for (const entry of this.#entries.values()) {
            entry.nextMs = nowMs;
            entry.askedMs.clear();
          }
          if (this.#entries.size === 0) this.#leave();
          else this.#run();
        },
        (error: unknown) => {
          this.#isOpening = false;
          this.#onCut(error);
        },
      );
  }

  #onCut(error: unknown): void {
    if (this.#entries.size === 0) return;
    const { tokens } = this.#caller;
    const entry = error instanceof EtcdError ? error.entry : null;
    const isToken =
      entry === RPC_ERRORS.ErrGRPCInvalidAuthToken || entry === RPC_ERRORS.ErrGRPCAuthOldRevision;
    if (isToken && tokens.canRefresh) tokens.reject(this.#token);
    else if (!(error instanceof EtcdError) || !isTransient(error)) {
      for (const kept of [...this.#entries.values()]) this.#lose(kept, asError(error));
      return;
    }
    this.#open(RECONNECT_PAUSE_MS);
  }

  #lose(entry: Entry, error: Error): void {
    this.#entries.delete(entry.lease.id);
    entry.lease.onLost(error);
    if (this.#entries.size === 0) this.#leave();
  }

  #arm(): void {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      const next = this.#call === null ? entry.lostMs : Math.min(entry.nextMs, entry.lostMs);
      if (next < dueMs) dueMs = next;
    }
    if (dueMs === this.#timerMs) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#timerMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#caller.options;
    this.#timer = clock.setTimer(Math.max(0, dueMs - clock.now()), () => {
      this.#timer = null;
      this.#timerMs = Number.POSITIVE_INFINITY;
      this.#run();
    });
  }

  #leave(): void {
    const call = this.#call;
    this.#call = null;
    call?.cancel();
    this.#arm();
  }
}

function isTransient(error: EtcdError): boolean {
  return (
    error.code === GrpcCode.Unavailable ||
    error.code === GrpcCode.Internal ||
    error.code === GrpcCode.DeadlineExceeded ||
    error.code === GrpcCode.Canceled
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
