/**
 * A call with one message there and many back, as an async iterable. What arrives before it is asked for is held, up to
 * a quarter of the connection's window; then the stream is paused, and with it, through flow control, the server. It is tried again only
 * before the first message: what has been delivered can't be taken back.
 */
import { type Codec, EtcdError } from '@etcd/api';
import { GrpcCode, RingBuffer } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import { type CallOptions, DEFAULT_RECEIVE_WINDOW_BYTES } from '../options.ts';
import type { Caller } from './caller.ts';
import { pause } from './connection.ts';
import { MAX_ATTEMPTS, RETRY_PAUSE_MS, Verdict, verdictOf } from './retry.ts';
import { copyMessage } from './unary-call.ts';

/** Of the window of a connection, what may wait for its reader. */
const HELD_SHARE = 1 / 4;

interface Waiting<Response> {
  readonly resolve: (result: IteratorResult<Response, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

interface Held<Response> {
  readonly message: Response;
  readonly byteCount: number;
}

const DONE = { done: true, value: undefined } as const;

export class ServerStream<Response> implements AsyncIterableIterator<Response, undefined>, ClientReceiver {
  readonly #caller: Caller;
  readonly #path: string;
  readonly #request: Uint8Array;
  readonly #codec: Codec<Response>;
  readonly #options: CallOptions;
  readonly #deadlineMs: number;
  readonly #held = new RingBuffer<Held<Response>>();
  readonly #waiting = new RingBuffer<Waiting<Response>>();
  readonly #onAbort = (): void => this.#end(this.#options.signal?.reason);
  readonly #maxHeldBytes: number;
  #heldBytes = 0;
  #call: ClientCall | null = null;
  #attempt = 0;
  #hasStarted = false;
  #hasDelivered = false;
  #isOver = false;
  /** What the reader is told behind the last message; null for a good end. */
  #error: unknown = null;

  constructor(
    caller: Caller,
    path: string,
    request: Uint8Array,
    codec: Codec<Response>,
    options: CallOptions,
    deadlineMs: number,
  ) {
    this.#caller = caller;
    this.#path = path;
    this.#request = request;
    this.#codec = codec;
    this.#options = options;
    this.#maxHeldBytes = (caller.options.maxReceiveWindowBytes ?? DEFAULT_RECEIVE_WINDOW_BYTES) * HELD_SHARE;
    this.#deadlineMs = deadlineMs;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Response, undefined>> {
    this.#start();
    const held = this.#held.take();
    if (held !== undefined) {
      this.#heldBytes -= held.byteCount;
      if (this.#heldBytes < this.#maxHeldBytes / 2) this.#call?.resume();
      return Promise.resolve({ done: false, value: held.message });
    }
    if (this.#isOver) {
      const error = this.#error;
      this.#error = null;
      return error === null ? Promise.resolve(DONE) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives up: what a `for await` does when it is left early. */
  return(): Promise<IteratorResult<Response, undefined>> {
    this.#hasStarted = true;
    this.#end(null);
    this.#held.clear();
    this.#error = null;
    return Promise.resolve(DONE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isOver || call !== this.#call) return;
    let message: Response;
    try {
      message = this.#codec.decode(copyMessage(bytes, start, end));
    } catch (error) {
      this.#end(error);
      return;
    }
    this.#hasDelivered = true;
    const waiting = this.#waiting.take();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: message });
      return;
    }
    this.#held.push({ message, byteCount: end - start });
    this.#heldBytes += end - start;
    if (this.#heldBytes >= this.#maxHeldBytes) call.pause();
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (this.#isOver || call !== this.#call) return;
    this.#call = null;
    if (code === GrpcCode.OK) {
      this.#end(null);
      return;
    }
    const error = EtcdError.fromStatus(code, message);
    const { balancer, options, tokens } = this.#caller;
    let verdict = verdictOf(this.#path, error, call.isUnprocessed, balancer.endpointCount);
    // A stream that has delivered nothing is a read that can be repeated.
    if (verdict === Verdict.FAIL && error.code === GrpcCode.Unavailable) verdict = Verdict.RETRY;
    const isHopeless = verdict === Verdict.REFRESH_TOKEN && !tokens.canRefresh;
    if (this.#hasDelivered || verdict === Verdict.FAIL || isHopeless || ++this.#attempt >= MAX_ATTEMPTS) {
      this.#end(error);
      return;
    }
    options.onEvent?.({ kind: 'retry', method: this.#path, attempt: this.#attempt, error });
    if (verdict === Verdict.REFRESH_TOKEN) tokens.reject(tokens.token);
    pause(options.clock, RETRY_PAUSE_MS, this.#options.signal).then(
      () => this.#open(),
      (thrown: unknown) => this.#end(thrown),
    );
  }

  #start(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      this.#end(signal.reason);
      return;
    }
    signal?.addEventListener('abort', this.#onAbort);
    this.#open();
  }

  #open(): void {
    if (this.#isOver) return;
    const caller = this.#caller;
    const leftMs = this.#deadlineMs - caller.now;
    if (leftMs <= 0) {
      this.#end(caller.deadlineError());
      return;
    }
    const timeoutMs = leftMs === Number.POSITIVE_INFINITY ? 0 : leftMs;
    caller.open(this.#path, this, { ...this.#options, timeoutMs }).then(
      ({ call }) => {
        if (this.#isOver) {
          call.cancel();
          return;
        }
        this.#call = call;
        call.write(this.#request);
        call.halfClose();
      },
      (error: unknown) => this.#end(error),
    );
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#call?.cancel();
    this.#call = null;
    const first = this.#waiting.take();
    if (first === undefined) {
      this.#error = error;
      return;
    }
    if (error === null) first.resolve(DONE);
    else first.reject(error);
    for (let more = this.#waiting.take(); more !== undefined; more = this.#waiting.take()) more.resolve(DONE);
  }
}
