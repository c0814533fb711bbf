/**
 * The cluster behind the proxy: calls are passed on as the bytes that they are, to whatever member is there, and tried again on
 * another one where etcd's client does so: what changes nothing, and what certainly no member has seen.
 */
import { EtcdError } from '@etcd/api';
import { type Clock, GrpcCode, type Timer } from '@etcd/base';
import type { ClientOptions } from '@etcd/client';
import { Balancer, type ChannelWaiter, RETRY_PAUSE_MS, Verdict, verdictOf } from '@etcd/client/forward';
import type { ClientCall, ClientReceiver, GrpcChannel } from '@etcd/transport';
import { BulkLanes } from './bulk-lanes.ts';
import type { Caller } from './caller.ts';

/** Takes the answer, which is `bytes[start, end)` when `code` is 0. Called once, never from inside the call that asks. */
export type Answer = (code: number, message: string, bytes: Uint8Array, start: number, end: number) => void;

/** Something under way that nobody waits for any more. */
export interface Cancelable {
  cancel(): void;
}

/** How long a call without a deadline waits for a member to be there. */
const MAX_WAIT_MS = 5_000;
const MAX_ATTEMPTS = 100;
const NOTHING = new Uint8Array(0);

export class Upstream {
  readonly clock: Clock;
  readonly balancer: Balancer;
  /** For streams that carry much. */
  readonly lanes: BulkLanes;

  constructor(options: ClientOptions) {
    this.clock = options.clock;
    this.balancer = new Balancer(options);
    this.lanes = new BulkLanes(options);
  }

  setEndpoints(endpoints: readonly string[]): void {
    this.balancer.setEndpoints(endpoints);
    this.lanes.setEndpoints(endpoints);
  }

  /** One message there and one back. */
  unary(path: string, request: Uint8Array, caller: Caller, deadlineMs: number, answer: Answer): Cancelable {
    const call = new UnaryForward(this, path, request, caller, deadlineMs, answer);
    call.start();
    return call;
  }

  /** Gives a channel of `balancer` to `then`: at once, as soon as there is one, or null and why there is none in time. */
  acquire(
    deadlineMs: number,
    then: (channel: GrpcChannel | null, reason: string) => void,
    balancer = this.balancer,
  ): Cancelable {
    const channel = balancer.pick();
    if (channel !== null) {
      then(channel, '');
      return NOTHING_TO_CANCEL;
    }
    const waiting = new Acquisition(this.clock, balancer, then);
    waiting.start(Math.min(deadlineMs, this.clock.now() + MAX_WAIT_MS));
    return waiting;
  }

  close(): void {
    this.balancer.close();
    this.lanes.close();
  }
}

const NOTHING_TO_CANCEL: Cancelable = { cancel: () => {} };

class Acquisition implements ChannelWaiter {
  readonly #clock: Clock;
  readonly #balancer: Balancer;
  readonly #then: (channel: GrpcChannel | null, reason: string) => void;
  #timer: Timer | null = null;

  constructor(clock: Clock, balancer: Balancer, then: (channel: GrpcChannel | null, reason: string) => void) {
    this.#clock = clock;
    this.#balancer = balancer;
    this.#then = then;
  }

  start(deadlineMs: number): void {
    const clock = this.#clock;
    const balancer = this.#balancer;
    this.#timer = clock.setTimer(Math.max(0, deadlineMs - clock.now()), () => {
      balancer.forget(this);
      this.#then(null, balancer.lastError === '' ? 'no member answers' : balancer.lastError);
    });
    balancer.wait(this);
  }

  onChannel(channel: GrpcChannel): void {
    this.#timer?.cancel();
    this.#then(channel, '');
  }

  onClosed(error: Error): void {
    this.#timer?.cancel();
    this.#then(null, error.message);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#balancer.forget(this);
  }
}

/** Hot: one for each call. */
class UnaryForward implements Cancelable, ClientReceiver {
  readonly #upstream: Upstream;
  readonly #path: string;
  readonly #request: Uint8Array;
  readonly #caller: Caller;
  readonly #deadlineMs: number;
  readonly #answer: Answer;
  #attempt = 0;
  #call: ClientCall | null = null;
  #waiting: Cancelable | null = null;
  #isOver = false;
  #bytes: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #count = 0;

  constructor(
    upstream: Upstream,
    path: string,
    request: Uint8Array,
    caller: Caller,
    deadlineMs: number,
    answer: Answer,
  ) {
    this.#upstream = upstream;
    this.#path = path;
    this.#request = request;
    this.#caller = caller;
    this.#deadlineMs = deadlineMs;
    this.#answer = answer;
  }

  start(): void {
    const channel = this.#upstream.balancer.pick();
    if (channel !== null) return this.#send(channel);
    this.#waiting = this.#upstream.acquire(this.#deadlineMs, (found, reason) => {
      this.#waiting = null;
      if (this.#isOver) return;
      if (found !== null) this.#send(found);
      else if (this.#upstream.clock.now() < this.#deadlineMs) this.#finish(GrpcCode.Unavailable, reason);
      else this.#finish(GrpcCode.DeadlineExceeded, 'context deadline exceeded');
    });
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting?.cancel();
    this.#call?.cancel();
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#count++;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    this.#call = null;
    if (this.#isOver) return;
    if (code !== GrpcCode.OK) return this.#onFailure(code, message, call.isUnprocessed);
    if (this.#count === 1) return this.#finish(code, message);
    this.#finish(GrpcCode.Internal, 'cardinality violation: a unary call was not answered with one message');
  }

  #send(channel: GrpcChannel): void {
    const { metadata } = this.#caller;
    const leftMs = this.#deadlineMs - this.#upstream.clock.now();
    const options =
      this.#deadlineMs === Number.POSITIVE_INFINITY
        ? { metadata }
        : { metadata, timeoutMs: Math.max(1, leftMs) };
    const call = channel.call(this.#path, this, options);
    this.#call = call;
    call.write(this.#request, 0, this.#request.length);
    call.halfClose();
  }

  #onFailure(code: number, message: string, isUnprocessed: boolean): void {
    const { balancer, clock } = this.#upstream;
    const error = EtcdError.fromStatus(code, message);
    const verdict = verdictOf(this.#path, error, isUnprocessed, balancer.endpointCount);
    if (verdict !== Verdict.RETRY || ++this.#attempt >= MAX_ATTEMPTS) return this.#finish(code, message);
    this.#count = 0;
    const timer = clock.setTimer(this.#attempt < balancer.endpointCount ? 0 : RETRY_PAUSE_MS, () => {
      this.#waiting = null;
      this.start();
    });
    this.#waiting = timer;
  }

  #finish(code: number, message: string): void {
    this.#isOver = true;
    this.#answer(code, message, this.#bytes, this.#start, this.#end);
  }
}
