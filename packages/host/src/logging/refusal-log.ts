/**
 * Lines about those who are refused: strangers decide how many there are, and must not fill a disk with them. What is left out is
 * counted, and the next line says how much it was.
 */
import type { Clock, LogFields, Logger } from '@etcd/base';

const INTERVAL_MS = 60_000;
/** Lines in an interval. */
const MAX_LINES = 100;

export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** What lines of this interval were about; at most {@link MAX_LINES}. */
  readonly #told = new Set<string>();
  #endMs = 0;
  #suppressed = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * @param topic what is told once in an interval.
   * @param fields asked for only if the line is written.
   */
  warn(message: string, topic: string, fields: () => LogFields): void {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#endMs) {
      this.#endMs = nowMs + INTERVAL_MS;
      this.#told.clear();
    }
    if (this.#told.has(topic) || this.#told.size >= MAX_LINES) {
      this.#suppressed++;
      return;
    }
    this.#told.add(topic);
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    this.#logger.warn(message, { ...fields(), ...suppressed });
  }
}
