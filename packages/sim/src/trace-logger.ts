/** The logs of members, as part of the trace of a world. */
import type { Logger, LogLevel } from '@etcd/base';
import type { World } from './world.ts';

/** Shows the members' logs to whoever reads along. */
export class TraceLogger implements Logger {
  readonly #world: World;
  readonly #name: string;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  enabled(level: LogLevel): boolean {
    return level !== 'debug';
  }

  debug(): void {}

  info(message: string, fields?: object): void {
    this.#line('info', message, fields);
  }

  warn(message: string, fields?: object): void {
    this.#line('warn', message, fields);
  }

  error(message: string, fields?: object): void {
    this.#line('error', message, fields);
  }

  fatal(message: string, fields?: object): void {
    this.#line('fatal', message, fields);
  }

  child(): Logger {
    return this;
  }

  #line(level: string, message: string, fields: object = {}): void {
    const text = JSON.stringify(fields, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value instanceof Error ? value.message : value,
    );
    const { clock, trace } = this.#world;
    trace.detail(clock.now(), `${this.#name} ${level}: ${message} ${text}`);
  }
}
