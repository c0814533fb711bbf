/**
 * One unary call from the first attempt to its answer. An attempt that finds a connection and a token costs no promise of its
 * own; only what waits does.
 */
import { type Codec, EtcdError } from '@etcd/api';
import type { ClientCall, GrpcChannel, UnaryCallback } from '@etcd/transport';
import type { CallOptions } from '../options.ts';
import type { Caller } from './caller.ts';
import { pause } from './connection.ts';
import { MAX_ATTEMPTS, RETRY_PAUSE_MS, Verdict, verdictOf } from './retry.ts';

/** Messages that are a smaller share of their chunk than this are copied, lest they keep it alive. */
const COPY_SHARE = 4;

/** The bytes of a message, as a Buffer that may be kept. */
export function copyMessage(bytes: Uint8Array, start: number, end: number): Buffer {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  return (end - start) * COPY_SHARE >= bytes.buffer.byteLength ? view : Buffer.from(view);
}

/** Hot: one shape. */
export class UnaryCall<Response> {
  readonly #caller: Caller;
  readonly #path: string;
  readonly #request: Uint8Array;
  readonly #codec: Codec<Response>;
  readonly #options: CallOptions;
  readonly #deadlineMs: number;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  #attempt = 0;
  #token = '';
  #call: ClientCall | null = null;
  #onAbort: (() => void) | null = null;
  #isOver = false;

  constructor(
    caller: Caller,
    path: string,
    request: Uint8Array,
    codec: Codec<Response>,
    options: CallOptions,
    deadlineMs: number,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.#caller = caller;
    this.#path = path;
    this.#request = request;
    this.#codec = codec;
    this.#options = options;
    this.#deadlineMs = deadlineMs;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal } = this.#options;
    if (signal !== undefined) {
      if (signal.aborted) {
        this.#reject(signal.reason);
        return;
      }
      this.#onAbort = () => this.#abort();
      signal.addEventListener('abort', this.#onAbort);
    }
    this.#try();
  }

  #try(): void {
    const caller = this.#caller;
    if (!caller.tokens.isReady) {
      this.#after(this.#limited(caller.refreshToken()));
      return;
    }
    const channel = caller.balancer.pick();
    if (channel !== null) {
      this.#send(channel);
      return;
    }
    caller.channel(this.#deadlineMs, this.#options.signal).then(
      (found) => {
        // It may have gone again, or the token with it.
        if (!this.#isOver) this.#send(found);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #send(channel: GrpcChannel): void {
    const caller = this.#caller;
    const metadata = caller.metadata(this.#options);
    this.#token = caller.tokens.token;
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) {
      this.#call = channel.unary(this.#path, this.#request, this.#onAnswer, { metadata });
      return;
    }
    const timeoutMs = this.#deadlineMs - caller.now;
    if (timeoutMs <= 0) this.#fail(caller.deadlineError());
    else this.#call = channel.unary(this.#path, this.#request, this.#onAnswer, { metadata, timeoutMs });
  }

  readonly #onAnswer: UnaryCallback = (code, message, bytes, start, end, call) => {
    this.#call = null;
    if (this.#isOver) return;
    if (code !== 0) {
      this.#onFailure(EtcdError.fromStatus(code, message), call.isUnprocessed);
      return;
    }
    let response: Response;
    try {
      response = this.#codec.decode(copyMessage(bytes, start, end));
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#finish();
    this.#resolve(response);
  };

  #onFailure(error: EtcdError, isUnprocessed: boolean): void {
    const { balancer, options, tokens } = this.#caller;
    const verdict = verdictOf(this.#path, error, isUnprocessed, balancer.endpointCount);
    const isHopeless = verdict === Verdict.REFRESH_TOKEN && options.token !== undefined;
    if (verdict === Verdict.FAIL || isHopeless || ++this.#attempt >= MAX_ATTEMPTS) {
      this.#fail(error);
      return;
    }
    options.onEvent?.({ kind: 'retry', method: this.#path, attempt: this.#attempt, error });
    if (verdict === Verdict.REFRESH_TOKEN) tokens.reject(this.#token);
    // One round over a majority without a pause: another member may well be able to.
    const quorum = (balancer.endpointCount >> 1) + 1;
    if (this.#attempt % quorum !== 0) this.#try();
    else this.#after(pause(options.clock, RETRY_PAUSE_MS, this.#options.signal));
  }

  /** Tries (again) once `ready` is resolved. */
  #after(ready: Promise<void>): void {
    ready.then(
      () => {
        if (this.#isOver) return;
        if (this.#deadlineMs <= this.#caller.now) this.#fail(this.#caller.deadlineError());
        else this.#try();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** `work`, which is shared and has a deadline of its own, for at most as long as this call has. */
  #limited(work: Promise<void>): Promise<void> {
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return work;
    const { clock } = this.#caller.options;
    const late = new Promise<void>((resolve) => {
      const timer = clock.setTimer(Math.max(0, this.#deadlineMs - clock.now()), resolve);
      work.then(
        () => timer.cancel(),
        () => timer.cancel(),
      );
    });
    return Promise.race([work, late]);
  }

  #abort(): void {
    const call = this.#call;
    this.#fail(this.#options.signal?.reason);
    call?.cancel();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#isOver = true;
    if (this.#onAbort !== null) this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }
}
