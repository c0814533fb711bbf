/**
 * Structured logging as the core sees it. Messages are constant strings (tools wait for them word by word),
 * everything variable is a field. Building fields costs, so hot code asks {@link Logger.enabled} first.
 */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** Values as they appear in the JSON line; bigints are printed in decimal. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /**
   * Whether a line of this level is written; with `message`, whether the next one of this message is, which may have been written too often
   * already. Where not, asking counts as having logged it.
   */
  enabled(level: LogLevel, message?: string): boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Logs at level fatal. Does not end the process: the caller decides how. */
  fatal(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}

/** Drops everything. */
export const SILENT_LOGGER: Logger = {
  enabled: () => false,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  fatal: () => {},
  child: () => SILENT_LOGGER,
};
