/**
 * A tool's log, for people: lines on stderr as etcd's tools write them, tab-separated, the fields as JSON with blanks.
 *
 *   2026-01-02T03:04:05Z  info  restored snapshot  {"path": "snapshot.db"}
 */
import { type Clock, LevelMethods, type LogFields, type LogLevel } from '@etcd/base';

type Write = (line: string) => void;

export class ConsoleLogger extends LevelMethods {
  readonly #clock: Clock;
  readonly #write: Write;
  readonly #fields: LogFields;

  constructor(clock: Clock, write: Write, fields: LogFields = {}) {
    super();
    this.#clock = clock;
    this.#write = write;
    this.#fields = fields;
  }

  enabled(level: LogLevel): boolean {
    return level !== 'debug';
  }

  child(fields: LogFields): ConsoleLogger {
    return new ConsoleLogger(this.#clock, this.#write, { ...this.#fields, ...fields });
  }

  log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!this.enabled(level)) return;
    const { caller: _caller, ...shown } = { ...this.#fields, ...fields };
    const columns = [timestamp(this.#clock.wallNow()), level, message];
    if (Object.keys(shown).length > 0) columns.push(`{${entriesText(shown)}}`);
    this.#write(columns.join('\t'));
  }
}

function timestamp(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}

function entriesText(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${JSON.stringify(name)}: ${valueText(value)}`)
    .join(', ');
}

function valueText(value: unknown): string {
  if (typeof value === 'function') return valueText((value as () => unknown)());
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  return JSON.stringify(value) ?? 'null';
}
