/**
 * The {@link Logger} of a member: pino, told to write the lines that etcd's zap writes:
 *
 *   {"level":"info","ts":"2026-01-02T03:04:05.678901Z","caller":"raft","msg":"became leader","term":2}
 *
 * `level`, `ts`, `logger`, `caller` and `msg` stand first and in this order, on which the regular expressions of log
 * shippers rely. `caller` and `logger` are given once, to {@link Logger.child}, and name the module that speaks; there are no
 * line numbers, because finding them out costs a stack trace per line.
 */
import { type Clock, LevelMethods, type LogFields, type LogLevel } from '@etcd/base';
import { type Logger as PinoLogger, pino } from 'pino';
import { LogClock } from './log-clock.ts';
import type { LogLevelName } from './log-level.ts';
import type { LogSink } from './log-sink.ts';
import { printable } from './log-value.ts';
import { Sampler } from './sampler.ts';

export interface LoggerOptions {
  readonly level: LogLevelName;
  readonly sink: LogSink;
  readonly clock: Clock;
  /** As `Date.getTimezoneOffset`: etcd prints local time. UTC where absent. */
  readonly timezoneOffsetMinutes?: (wallMs: number) => number;
}

/** Who speaks: the two fields that stand before the message. */
interface Identity {
  readonly logger: string;
  readonly caller: string;
}

/** What a logger and all its children share. */
interface LogCore {
  readonly pino: PinoLogger;
  readonly sink: LogSink;
  readonly sampler: Sampler;
  level: LogLevelName;
  /** Lost lines that a line has told about. */
  reportedLost: number;
}

const RANKS: Readonly<Record<LogLevelName, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  dpanic: 4,
  panic: 5,
  fatal: 6,
};

export function createLogger(options: LoggerOptions): EtcdLogger {
  const { sink, clock } = options;
  const logClock = new LogClock(clock, options.timezoneOffsetMinutes ?? (() => 0));
  const core: LogCore = {
    pino: pino(
      {
        base: null,
        // Lines are held back here, not by pino: its levels lack two of zap's.
        level: 'debug',
        formatters: { level: (label) => ({ level: label }) },
        serializers: {},
        timestamp: () => `,"ts":"${logClock.timestamp()}"`,
      },
      { write: (line) => sink.write(line) },
    ),
    sink,
    sampler: new Sampler(clock),
    level: options.level,
    reportedLost: 0,
  };
  return new EtcdLogger(core, { logger: '', caller: '' }, {});
}

/** Made by {@link createLogger} and {@link EtcdLogger.child}. */
export class EtcdLogger extends LevelMethods {
  readonly #core: LogCore;
  readonly #identity: Identity;
  readonly #fields: LogFields;
  readonly #pino: PinoLogger;

  constructor(core: LogCore, identity: Identity, fields: LogFields) {
    super();
    this.#core = core;
    this.#identity = identity;
    this.#fields = fields;
    const { logger, caller } = identity;
    this.#pino = core.pino.child({ ...(logger && { logger }), ...(caller && { caller }) });
  }

  enabled(level: LogLevel, message?: string): boolean {
    if (RANKS[level] < RANKS[this.#core.level]) return false;
    return message === undefined || level === 'fatal' || !this.#core.sampler.passesOver(message);
  }

  override fatal(message: string, fields?: LogFields): void {
    super.fatal(message, fields);
    this.#core.sink.flushSync();
  }

  child(fields: LogFields): EtcdLogger {
    const { logger = this.#identity.logger, caller = this.#identity.caller, ...rest } = fields;
    const identity = { logger: String(logger), caller: String(caller) };
    return new EtcdLogger(this.#core, identity, { ...this.#fields, ...rest });
  }

  level(): LogLevelName {
    return this.#core.level;
  }

  /** Takes effect at once, for this logger, its parents and all their children. */
  setLevel(level: LogLevelName): void {
    this.#core.level = level;
  }

  /** For the end of the process: what is held back is written, or given up after a second. */
  flush(): void {
    this.#core.sink.flushSync();
  }

  log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!this.enabled(level)) return;
    if (level !== 'fatal' && !this.#core.sampler.admits(message)) return;
    const lostBefore = this.#core.sink.lostCount();
    this.#write(level, message, fields);
    const lost = this.#core.sink.lostCount();
    // Told once lines are taken again, so that the telling is not lost as well.
    if (lost === lostBefore && lost > this.#core.reportedLost) {
      const count = lost - this.#core.reportedLost;
      this.#core.reportedLost = lost;
      this.#write('warn', 'log lines were lost because their reader was too slow', { count });
    }
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    const record: Record<string, unknown> = { msg: message };
    for (const key in this.#fields) record[key] = printable(this.#fields[key]);
    for (const key in fields) record[key] = printable(fields[key]);
    // A field of that name would otherwise take the message's place.
    record['msg'] = message;
    this.#pino[level](record);
  }
}
