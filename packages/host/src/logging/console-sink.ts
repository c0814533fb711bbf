/**
 * `--log-format=console`: the same lines for people, tab-separated as etcd's are:
 *
 *   2026-01-02T03:04:05.678901Z   info   raft   became leader   {"term":2}
 */
import type { LogSink } from './log-sink.ts';

/** The head of a JSON line; what follows it are the fields. */
const JSON_LINE =
  /^\{"level":"(\w+)","ts":"([^"]+)"(?:,"logger":("(?:[^"\\]|\\.)*"))?(?:,"caller":("(?:[^"\\]|\\.)*"))?,"msg":("(?:[^"\\]|\\.)*")(.*)\}\n$/s;

export class ConsoleSink implements LogSink {
  readonly #inner: LogSink;

  constructor(inner: LogSink) {
    this.#inner = inner;
  }

  write(line: string): void {
    this.#inner.write(consoleLine(line));
  }

  flushSync(): void {
    this.#inner.flushSync();
  }

  lostCount(): number {
    return this.#inner.lostCount();
  }
}

/** A line of any other shape stays as it is. */
export function consoleLine(line: string): string {
  const match = JSON_LINE.exec(line);
  if (match === null) return line;
  const [, level, ts, logger, caller, message, fields] = match;
  const columns = [ts, level];
  for (const quoted of [logger, caller, message]) {
    if (quoted !== undefined) columns.push(String(JSON.parse(quoted)));
  }
  if (fields !== '') columns.push(`{${fields!.slice(1)}}`);
  return `${columns.join('\t')}\n`;
}
