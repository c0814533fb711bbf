/**
 * A logger that writes into a text, as interaction scripts expect it: one line per message, the level before it. At
 * level NONE nothing is written at all, not even by the harness itself.
 */
import type { Logger, LogLevel } from '@etcd/base';

/** As scripts name them, in ascending order. */
export const LEVEL_NAMES: readonly string[] = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'];

const QUIET = LEVEL_NAMES.indexOf('NONE');
const LEVELS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 };

export class RedirectLogger implements Logger {
  level = 0;
  #text = '';

  get quiet(): boolean {
    return this.level === QUIET;
  }

  write(text: string): void {
    if (!this.quiet) this.#text += text;
  }

  /** What was written since the last time. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  /** Runs `body` with everything that it writes indented. */
  indented(body: () => void): void {
    const outer = this.take();
    try {
      body();
    } finally {
      const inner = this.take();
      const lines = inner.split('\n');
      if (lines.at(-1) === '') lines.pop();
      this.#text = outer + lines.map((line) => `  ${line}\n`).join('');
    }
  }

  enabled(level: LogLevel): boolean {
    return this.level <= LEVELS[level];
  }

  debug(message: string): void {
    this.#print('debug', message);
  }

  info(message: string): void {
    this.#print('info', message);
  }

  warn(message: string): void {
    this.#print('warn', message);
  }

  error(message: string): void {
    this.#print('error', message);
  }

  fatal(message: string): void {
    this.#print('fatal', message);
  }

  child(): Logger {
    return this;
  }

  #print(level: LogLevel, message: string): void {
    if (this.enabled(level)) this.write(`${LEVEL_NAMES[LEVELS[level]]} ${message}\n`);
  }
}
