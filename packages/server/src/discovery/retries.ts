/** Asking a discovery service again, as long as it takes: 2 seconds after the first failure, twice as many after each, up to a bound. */
import type { Clock, Logger } from '@etcd/base';

const FIRST_DELAY_MS = 2_000;
const MAX_DELAY_MS = 32_000;

export interface RetryOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What is tried, for the log. */
  readonly step: string;
  /** Whether `error` passes by itself. */
  readonly passes: (error: unknown) => boolean;
}

/** The result of `attempt`, once it has one. Rejects with the first error that does not pass. */
export async function untilAnswered<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const { clock, logger, step, passes } = options;
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!passes(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn('retry connecting to discovery service', {
        reason: step,
        error: reason,
        'backoff-ms': delayMs,
      });
      await new Promise<void>((resolve) => clock.setTimer(delayMs, resolve));
    }
  }
}
