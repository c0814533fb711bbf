/** A promise of a channel, with deadline and signal. */
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import type { Clock, Timer } from '@etcd/base';
import type { GrpcChannel } from '@etcd/transport';
import type { Balancer, ChannelWaiter } from './balancer.ts';

export interface WaitingContext {
  readonly options: { readonly clock: Clock };
  readonly balancer: Balancer;
}

/** What is left of a deadline that has passed without a connection: why there was none is its cause. */
export function deadlineError(lastError: string): Error {
  const cause = lastError === '' ? undefined : { cause: new Error(lastError) };
  return new EtcdError(RPC_ERRORS.ContextDeadlineExceeded, cause);
}

export class WaitingCall implements ChannelWaiter {
  readonly #context: WaitingContext;
  readonly #deadlineMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (channel: GrpcChannel) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (): void => this.#fail(this.#signal?.reason);
  #timer: Timer | null = null;

  constructor(
    context: WaitingContext,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    resolve: (channel: GrpcChannel) => void,
    reject: (error: unknown) => void,
  ) {
    this.#context = context;
    this.#deadlineMs = deadlineMs;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { clock } = this.#context.options;
    if (this.#signal?.aborted === true) {
      this.#reject(this.#signal.reason);
      return;
    }
    this.#signal?.addEventListener('abort', this.#onAbort);
    if (this.#deadlineMs !== Number.POSITIVE_INFINITY) {
      const leftMs = Math.max(0, this.#deadlineMs - clock.now());
      this.#timer = clock.setTimer(leftMs, () => this.#fail(deadlineError(this.#context.balancer.lastError)));
    }
    this.#context.balancer.wait(this);
  }

  onChannel(channel: GrpcChannel): void {
    this.#leave();
    this.#resolve(channel);
  }

  onClosed(error: Error): void {
    this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#leave();
    this.#reject(error);
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#context.balancer.forget(this);
  }
}
