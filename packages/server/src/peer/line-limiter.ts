/** Keeps a fault that repeats with every message or attempt from filling the log: a line a second for each kind. */
import type { Clock, LogFields, Logger } from '@etcd/base';

const INTERVAL_MS = 1000;

export class LineLimiter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Message to when it may be written again and how often it was held back. Messages are constants, so there are few. */
  readonly #lines = new Map<string, { nextMs: number; suppressed: number }>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** The fields are asked for only if the line is written. */
  warn(message: string, fields: () => LogFields): void {
    const nowMs = this.#clock.now();
    const line = this.#lines.get(message);
    if (line !== undefined && nowMs < line.nextMs) {
      line.suppressed++;
      return;
    }
    const suppressed = line?.suppressed ?? 0;
    this.#lines.set(message, { nextMs: nowMs + INTERVAL_MS, suppressed: 0 });
    this.#logger.warn(message, suppressed === 0 ? fields() : { ...fields(), suppressed });
  }
}
