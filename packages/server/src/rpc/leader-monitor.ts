/**
 * Ends the streams of clients who asked for it (metadata `hasleader: true`) when the member has seen no leader for some time:
 * they had better go elsewhere. Existing streams are given up more slowly than new calls are refused, because making
 * them anew costs more.
 */
import { RPC_ERRORS } from '@etcd/api';
import type { Clock, Timer } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';

/** Election timeouts without a leader before streams are ended. */
const MAX_ELECTIONS_WITHOUT_LEADER = 3;

export class LeaderMonitor {
  readonly #calls = new Set<ServerCall>();
  readonly #clock: Clock;
  readonly #electionTimeoutMs: number;
  readonly #hasLeader: () => boolean;
  #timer: Timer | null = null;
  #missed = 0;

  constructor(clock: Clock, electionTimeoutMs: number, hasLeader: () => boolean) {
    this.#clock = clock;
    this.#electionTimeoutMs = electionTimeoutMs;
    this.#hasLeader = hasLeader;
  }

  /** Watches over a stream, if its client asked for it. */
  add(call: ServerCall): void {
    if (call.metadata('hasleader') !== 'true') return;
    this.#calls.add(call);
    if (this.#timer !== null) return;
    // What was counted before belongs to streams that are gone.
    this.#missed = 0;
    this.#schedule();
  }

  remove(call: ServerCall): void {
    this.#calls.delete(call);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#calls.clear();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimer(this.#electionTimeoutMs, () => {
      this.#missed = this.#hasLeader() ? 0 : this.#missed + 1;
      if (this.#missed >= MAX_ELECTIONS_WITHOUT_LEADER) this.#endAll();
      this.#timer = null;
      if (this.#calls.size > 0) this.#schedule();
    });
  }

  #endAll(): void {
    const { code, message } = RPC_ERRORS.ErrGRPCNoLeader;
    for (const call of this.#calls) {
      call.fail(code, message);
      call.receiver?.onCancel?.(call);
    }
    this.#calls.clear();
  }
}
