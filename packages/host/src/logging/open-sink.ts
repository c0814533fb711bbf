/** From `--log-outputs` and `--log-format` to a {@link LogSink}: opens files, finds the journal. */
import fs from 'node:fs';
import type { Clock } from '@etcd/base';
import { pollWritable, sendUnixDatagram } from '../process/node-libc.ts';
import { systemErrorText } from '../process/system-error.ts';
import { ConsoleSink } from './console-sink.ts';
import { DescriptorSink, writeDescriptor } from './descriptor-sink.ts';
import { JOURNAL_SOCKET, JournalSink } from './journal-sink.ts';
import { LogOutputError } from './log-output-error.ts';
import { type LogSink, NULL_SINK, TeeSink } from './log-sink.ts';
import { type LogRotation, RotatingFile } from './rotating-file.ts';

export interface SinkOptions {
  readonly outputs: readonly string[];
  readonly format: 'json' | 'console';
  readonly clock: Clock;
  /** How the file among the outputs begins anew; null: never. */
  readonly rotation?: LogRotation | null;
}

const STDOUT = 1;
const STDERR = 2;
const DISCARD = '/dev/null';

/** Throws {@link LogOutputError} where an output can't be opened. */
export function openLogSink({ outputs, format, clock, rotation = null }: SinkOptions): LogSink {
  // As in etcd, one that discards discards for all.
  if (outputs.includes(DISCARD)) return NULL_SINK;
  const stderr = descriptorSink(STDERR, clock);
  const sinks = outputs.map((output): LogSink => {
    switch (output) {
      case 'default':
      case 'stderr':
        return stderr;
      case 'stdout':
        return descriptorSink(STDOUT, clock);
      case 'systemd/journal':
        return openJournal(outputs, stderr);
      default:
        return openFile(output, clock, rotation);
    }
  });
  const sink = sinks.length === 1 ? sinks[0]! : new TeeSink([...new Set(sinks)]);
  return format === 'console' ? new ConsoleSink(sink) : sink;
}

/** Lines to standard error, for what has to be said before the configuration is known. */
export function defaultLogSink(clock: Clock): LogSink {
  return descriptorSink(STDERR, clock);
}

function descriptorSink(descriptor: number, clock: Clock): LogSink {
  const isRegularFile = fs.fstatSync(descriptor).isFile();
  const calls = { pollWritable, write: writeDescriptor };
  return new DescriptorSink({ descriptor, isRegularFile, clock, calls });
}

function openJournal(outputs: readonly string[], fallback: LogSink): LogSink {
  if (outputs.length > 1) {
    throw new LogOutputError('systemd/journal can not be combined with other --log-outputs');
  }
  if (!fs.existsSync(JOURNAL_SOCKET)) {
    const reason = `dial unixgram ${JOURNAL_SOCKET}: connect: no such file or directory`;
    throw new LogOutputError(`can't find journal (${reason})`);
  }
  return new JournalSink(sendUnixDatagram, fallback);
}

function openFile(output: string, clock: Clock, rotation: LogRotation | null): LogSink {
  if (rotation !== null) return openRotating(output, clock, rotation);
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(output)?.[1];
  if (scheme !== undefined && scheme !== 'file') {
    const quoted = JSON.stringify(output);
    throw new LogOutputError(`open sink ${quoted}: no sink found for scheme ${JSON.stringify(scheme)}`);
  }
  const path = scheme === 'file' ? decodeURIComponent(new URL(output).pathname) : output;
  try {
    return descriptorSink(fs.openSync(path, 'a', 0o666), clock);
  } catch (error) {
    const quoted = JSON.stringify(output);
    throw new LogOutputError(`open sink ${quoted}: open ${path}: ${systemErrorText(error)}`);
  }
}

/** As in etcd, the output is a path here, whatever it looks like. */
function openRotating(path: string, clock: Clock, rotation: LogRotation): LogSink {
  try {
    return new RotatingFile({
      path,
      rotation,
      clock,
      wallMs: Date.now,
      timezoneOffsetMinutes: (wallMs) => new Date(wallMs).getTimezoneOffset(),
    });
  } catch (error) {
    throw new LogOutputError(`can't open logfile ${JSON.stringify(path)}: ${systemErrorText(error)}`);
  }
}
