/**
 * The connection to one endpoint: made, watched, and made again after a pause that grows. States:
 *
 *     idle -> connecting -> ready -> (connecting | waiting) …  -> closed
 *                  \-> waiting -> connecting
 *
 * A connection that the server drains is replaced at once, while its open calls go on.
 */
import type { Clock, Random, Timer } from '@etcd/base';
import { CLIENT_LIMITS, GrpcChannel, type Http2Limits } from '@etcd/transport';
import type { Endpoint } from '../endpoint.ts';
import {
  type ClientOptions,
  DEFAULT_DIAL_TIMEOUT_MS,
  DEFAULT_KEEPALIVE_INTERVAL_MS,
  DEFAULT_KEEPALIVE_TIMEOUT_MS,
  DEFAULT_MAX_RECEIVE_BYTES,
  DEFAULT_MAX_SEND_BYTES,
} from '../options.ts';
import { HealthWatch } from './health-watch.ts';

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
const PAUSE_FACTOR = 1.6;
/** Share of a pause by which it may differ, so that clients do not come back all at once. */
const PAUSE_JITTER = 0.2;
/** How long open calls have when the endpoint is dropped. */
const LEAVE_MS = 5_000;

type State = 'idle' | 'connecting' | 'ready' | 'waiting' | 'closed';

export class Connection {
  readonly endpoint: Endpoint;
  readonly #options: ClientOptions;
  readonly #onChange: (connection: Connection) => void;
  #state: State = 'idle';
  #channel: GrpcChannel | null = null;
  #timer: Timer | null = null;
  #pauseMs = FIRST_PAUSE_MS;
  #health: HealthWatch | null = null;
  #isServing = true;
  #lastError = '';

  constructor(endpoint: Endpoint, options: ClientOptions, onChange: (connection: Connection) => void) {
    this.endpoint = endpoint;
    this.#options = options;
    this.#onChange = onChange;
  }

  /** The channel for a new call, or null while there is none. */
  get channel(): GrpcChannel | null {
    return this.#state === 'ready' ? this.#channel : null;
  }

  /** Whether the member says that it serves. */
  get isServing(): boolean {
    return this.#isServing;
  }

  get state(): State {
    return this.#state;
  }

  /** Why there is no connection; empty before the first failure. */
  get lastError(): string {
    return this.#lastError;
  }

  connect(): void {
    if (this.#state === 'idle') this.#dial();
  }

  /** Ends the pause of a connection that waits to be tried again. */
  hurry(): void {
    if (this.#state !== 'waiting') return;
    this.#timer?.cancel();
    this.#dial();
  }

  close(): void {
    const channel = this.#retire();
    channel?.close('the client was closed');
  }

  /** Takes no more calls; those that are open may end, streams have a while until they must go elsewhere. */
  leave(): void {
    const channel = this.#retire();
    if (channel === null) return;
    channel.drain();
    this.#options.clock.setTimer(LEAVE_MS, () => channel.close('the endpoint was dropped'));
  }

  #retire(): GrpcChannel | null {
    if (this.#state === 'closed') return null;
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#health?.stop();
    return this.#channel;
  }

  #dial(): void {
    const { clock, connectionClock, connector, keepaliveIntervalMs, keepaliveTimeoutMs } = this.#options;
    this.#state = 'connecting';
    const channel: GrpcChannel = new GrpcChannel(connector.connect(this.endpoint), {
      clock: connectionClock ?? clock,
      authority: this.endpoint.authority,
      isSecure: this.endpoint.isSecure ?? connector.isSecure,
      limits: {
        keepaliveIntervalMs: keepaliveIntervalMs ?? DEFAULT_KEEPALIVE_INTERVAL_MS,
        keepaliveTimeoutMs: keepaliveTimeoutMs ?? DEFAULT_KEEPALIVE_TIMEOUT_MS,
        keepaliveWithoutStream: this.#options.keepaliveWithoutStream ?? false,
        ...windowLimits(this.#options.maxReceiveWindowBytes),
      },
      maxSendMessageBytes: this.#options.maxSendMessageBytes ?? DEFAULT_MAX_SEND_BYTES,
      maxReceiveMessageBytes: this.#options.maxReceiveMessageBytes ?? DEFAULT_MAX_RECEIVE_BYTES,
      onReady: () => this.#onReady(channel),
      onDraining: (reason) => this.#onDraining(channel, reason),
      onClosed: (reason) => this.#onClosed(channel, reason),
    });
    this.#channel = channel;
    const dialTimeoutMs = this.#options.dialTimeoutMs ?? DEFAULT_DIAL_TIMEOUT_MS;
    this.#timer = clock.setTimer(dialTimeoutMs, () => channel.close(`no answer in ${dialTimeoutMs} ms`));
  }

  #onReady(channel: GrpcChannel): void {
    if (this.#channel !== channel || this.#state !== 'connecting') return;
    this.#timer?.cancel();
    this.#state = 'ready';
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#isServing = true;
    if (this.#options.healthChecks === true) {
      this.#health = new HealthWatch(channel, (isServing) => {
        if (this.#channel !== channel) return;
        this.#isServing = isServing;
        if (!isServing) this.#options.onEvent?.({ kind: 'unhealthy', endpoint: this.endpoint.text });
        this.#onChange(this);
      });
    }
    this.#options.onEvent?.({ kind: 'connected', endpoint: this.endpoint.text });
    this.#onChange(this);
  }

  #onDraining(channel: GrpcChannel, reason: string): void {
    if (this.#channel !== channel || this.#state === 'closed') return;
    this.#lost(reason);
    this.#dial();
  }

  #onClosed(channel: GrpcChannel, reason: string): void {
    if (this.#channel !== channel || this.#state === 'closed') return;
    const wasReady = this.#state === 'ready';
    this.#timer?.cancel();
    this.#lost(reason);
    // A connection that worked is worth an immediate try; one that fails again soon waits.
    const pauseMs = wasReady ? 0 : jittered(this.#options.random, this.#pauseMs);
    if (!wasReady) this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * PAUSE_FACTOR);
    this.#state = 'waiting';
    this.#timer = this.#options.clock.setTimer(pauseMs, () => {
      if (this.#state === 'waiting') this.#dial();
    });
    this.#onChange(this);
  }

  #lost(reason: string): void {
    this.#lastError = reason;
    this.#health?.stop();
    this.#health = null;
    this.#channel = null;
    this.#options.onEvent?.({ kind: 'disconnected', endpoint: this.endpoint.text, reason });
  }
}

function jittered(random: Random, delayMs: number): number {
  const share = random.below(1_000_000) / 1_000_000;
  return delayMs * (1 - PAUSE_JITTER + 2 * PAUSE_JITTER * share);
}

/** Resolves after `delayMs`, or at once when `signal` gives up; never rejects. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    if (signal?.aborted === true) done();
    else signal?.addEventListener('abort', done);
  });
}

function windowLimits(maxBytes: number | undefined): Partial<Http2Limits> {
  if (maxBytes === undefined) return {};
  const streamWindowBytes = Math.min(CLIENT_LIMITS.streamWindowBytes, maxBytes);
  return { streamWindowBytes, maxStreamWindowBytes: maxBytes, connectionWindowBytes: maxBytes };
}
