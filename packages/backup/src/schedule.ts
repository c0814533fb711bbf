/** When backups are due: at an interval, or as a cron expression says, in UTC. */
import { Cron } from 'croner';
import { BackupError } from './backup-error.ts';

const INTERVAL = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** More often than that a store has better things to do. */
const MIN_INTERVAL_MS = 1000;

export class Schedule {
  readonly #next: (lastMs: number) => number;

  private constructor(next: (lastMs: number) => number) {
    this.#next = next;
  }

  /** Throws {@link BackupError}. */
  static parse(text: string): Schedule {
    if (INTERVAL.test(text)) {
      let intervalMs = 0;
      for (const [, count, unit] of text.matchAll(PART)) intervalMs += Number(count) * UNIT_MS[unit!]!;
      if (intervalMs < MIN_INTERVAL_MS) throw new BackupError(`${text}: the least interval is a second`);
      return new Schedule((lastMs) => lastMs + intervalMs);
    }
    try {
      const cron = new Cron(text, { timezone: 'UTC', paused: true });
      const next = (lastMs: number): number => cron.nextRun(new Date(lastMs))?.getTime() ?? Infinity;
      if (next(Date.now()) === Infinity) throw new Error('that never comes');
      return new Schedule(next);
    } catch (error) {
      const problem = (error as Error).message.replace(/^CronPattern: /, '');
      throw new BackupError(`${text}: neither an interval as 6h nor a cron expression: ${problem}`);
    }
  }

  /** When the one is due that comes after one at `lastMs` (milliseconds since 1970); `Infinity`: never. */
  nextMs(lastMs: number): number {
    return this.#next(lastMs);
  }

  /** From the next one to the one after it. */
  periodMs(nowMs: number): number {
    const next = this.#next(nowMs);
    return this.#next(next) - next;
  }
}
