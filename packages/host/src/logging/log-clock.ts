/**
 * Time stamps of log lines, `2026-01-02T03:04:05.678901Z`: wall-clock time with microseconds, which the wall clock of
 * JavaScript lacks. They come from the monotonic clock, anchored to the wall clock and anchored anew when that one is set.
 */
import type { Clock } from '@etcd/base';

/** The wall clock counts whole milliseconds, so a good anchor is off by less than one; two means that it was set. */
const MAX_DRIFT_MS = 2;

export class LogClock {
  readonly #clock: Clock;
  readonly #offsetMinutes: (wallMs: number) => number;
  /** Wall time minus monotonic time. */
  #anchorMs: number;

  /** @param offsetMinutes as `Date.getTimezoneOffset`: minutes by which local time is behind UTC. */
  constructor(clock: Clock, offsetMinutes: (wallMs: number) => number) {
    this.#clock = clock;
    this.#offsetMinutes = offsetMinutes;
    this.#anchorMs = clock.wallNow() - clock.now();
  }

  timestamp(): string {
    const wallMs = this.#clock.wallNow();
    let exactMs = this.#anchorMs + this.#clock.now();
    if (Math.abs(exactMs - wallMs) > MAX_DRIFT_MS) {
      this.#anchorMs = wallMs - this.#clock.now();
      exactMs = wallMs;
    }
    return formatTimestamp(exactMs, this.#offsetMinutes(wallMs));
  }
}

export function formatTimestamp(wallMs: number, offsetMinutes: number): string {
  const wholeMs = Math.floor(wallMs);
  const microseconds = Math.floor((wallMs - wholeMs) * 1000);
  const local = new Date(wholeMs - offsetMinutes * 60_000).toISOString().slice(0, -1);
  return `${local}${String(microseconds).padStart(3, '0')}${zoneText(offsetMinutes)}`;
}

function zoneText(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'Z';
  const sign = offsetMinutes > 0 ? '-' : '+';
  const minutes = Math.abs(offsetMinutes);
  const digits = (value: number): string => String(value).padStart(2, '0');
  return sign + digits(Math.floor(minutes / 60)) + digits(minutes % 60);
}
