/**
 * `--log-outputs=systemd/journal`: each line becomes one entry of the system's journal, sent as a datagram with the
 * fields of systemd's native protocol. What the journal does not take goes to another sink instead.
 */
import type { SendResult } from '../process/node-libc.ts';
import type { LogSink } from './log-sink.ts';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

export type SendDatagram = (path: string, bytes: Uint8Array) => SendResult;

/** Syslog's priorities, as systemd numbers them. */
const PRIORITIES: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3, fatal: 2 };

export class JournalSink implements LogSink {
  readonly #send: SendDatagram;
  readonly #fallback: LogSink;

  constructor(send: SendDatagram, fallback: LogSink) {
    this.#send = send;
    this.#fallback = fallback;
  }

  write(line: string): void {
    const { error } = this.#send(JOURNAL_SOCKET, journalEntry(line));
    if (error !== undefined) this.#fallback.write(line);
  }

  flushSync(): void {
    this.#fallback.flushSync();
  }

  lostCount(): number {
    return this.#fallback.lostCount();
  }
}

/**
 * Assignments, one a line. A line holds no newline before its end, so none of the values needs the protocol's binary
 * form.
 */
export function journalEntry(line: string): Uint8Array {
  const message = line.endsWith('\n') ? line.slice(0, -1) : line;
  const level = /^\{"level":"(\w+)"/.exec(line)?.[1] ?? 'info';
  const caller = /"caller":"([^"\\]*)"/.exec(line)?.[1] ?? '';
  const assignments = [
    `MESSAGE=${message.replaceAll('\n', ' ')}`,
    `PRIORITY=${PRIORITIES[level] ?? 6}`,
    'SYSLOG_IDENTIFIER=etcd',
    `PACKAGE=${caller.split('/')[0]}`,
  ];
  return Buffer.from(`${assignments.join('\n')}\n`);
}
