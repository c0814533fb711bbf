/** Notices a leader that sends its heartbeats too late: the others may take it for dead, and a slow disk is the usual reason. */

import type { MemberId, Term } from '@etcd/api';
import { formatId } from '@etcd/storage/membership';
import type { MemberEnvironment } from './member-environment.ts';

export interface HeartbeatMonitorOptions extends Pick<MemberEnvironment, 'clock' | 'logger'> {
  readonly heartbeatIntervalMs: number;
  readonly onLate: () => void;
}

/** Late is what comes after twice the interval, as in etcd. */
const LATE_INTERVALS = 2;
/** One line for so long, however many heartbeats are late. */
const QUIET_MS = 10_000;

export class HeartbeatMonitor {
  readonly #options: HeartbeatMonitorOptions;
  /** When the last heartbeat went to each member, in {@link #term}. */
  readonly #sentMs = new Map<MemberId, number>();
  #term = 0;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: HeartbeatMonitorOptions) {
    this.#options = options;
  }

  /** A heartbeat of `term` leaves for `to`. */
  onSend(to: MemberId, term: Term): void {
    const { clock, heartbeatIntervalMs, onLate } = this.#options;
    if (term !== this.#term) {
      this.#sentMs.clear();
      this.#term = term;
    }
    const nowMs = clock.now();
    const gapMs = nowMs - (this.#sentMs.get(to) ?? nowMs);
    this.#sentMs.set(to, nowMs);
    if (gapMs <= LATE_INTERVALS * heartbeatIntervalMs) return;
    onLate();
    if (nowMs - this.#loggedMs < QUIET_MS) return;
    this.#loggedMs = nowMs;
    this.#options.logger.warn(
      'leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk',
      {
        to: formatId(to),
        'heartbeat-interval': `${heartbeatIntervalMs}ms`,
        'expected-duration': `${LATE_INTERVALS * heartbeatIntervalMs}ms`,
        'exceeded-duration': `${Math.round(gapMs - LATE_INTERVALS * heartbeatIntervalMs)}ms`,
      },
    );
  }
}
