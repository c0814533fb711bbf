/**
 * Logging: etcd's lines, from pino, to where `--log-outputs` says.
 *
 * A member gets one {@link EtcdLogger} and gives each part a child with its `caller`. Messages are constants and etcd's own
 * where tools wait for them; everything variable is a field, under etcd's name for it. A field may be a function,
 * which is called only when the line is written; hot code still asks {@link EtcdLogger.enabled} first.
 *
 * Lines are written when they are logged, in order, and before the next statement runs; nothing is lost when the process
 * dies. Writing never throws and never waits: while the reader of a pipe is stuck, up to 1 MiB of lines is held back, and
 * what goes beyond that is counted and reported.
 */
export { createLogger, EtcdLogger, type LoggerOptions } from './etcd-logger.ts';
export { LOG_LEVEL_NAMES, type LogLevelName } from './log-level.ts';
export { LogOutputError } from './log-output-error.ts';
export { type LogSink, MemorySink, NULL_SINK } from './log-sink.ts';
export { defaultLogSink, openLogSink, type SinkOptions } from './open-sink.ts';
export { RefusalLog } from './refusal-log.ts';
export type { LogRotation } from './rotating-file.ts';
