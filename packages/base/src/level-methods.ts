/** The methods of a {@link Logger} that are named after levels, by the one that writes. */
import type { LogFields, Logger, LogLevel } from './logger.ts';

export abstract class LevelMethods implements Logger {
  abstract enabled(level: LogLevel): boolean;
  abstract child(fields: LogFields): Logger;
  /** Writes a line, if its level is {@link enabled}. */
  abstract log(level: LogLevel, message: string, fields: LogFields | undefined): void;

  debug(message: string, fields?: LogFields): void {
    this.log('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.log('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.log('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.log('error', message, fields);
  }

  fatal(message: string, fields?: LogFields): void {
    this.log('fatal', message, fields);
  }
}
