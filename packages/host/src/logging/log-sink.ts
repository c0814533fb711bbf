/** Where finished lines go. A sink never throws and never waits: what it can't take in time it drops and counts. */

export interface LogSink {
  /** Takes one line, its newline included. */
  write(line: string): void;
  /** Hands over what is still held back, waiting for a moment at most. For the end of the process. */
  flushSync(): void;
  /** Lines dropped so far. */
  lostCount(): number;
}

/** Keeps nothing. */
export const NULL_SINK: LogSink = { write: () => {}, flushSync: () => {}, lostCount: () => 0 };

/** Gives every line to several sinks. */
export class TeeSink implements LogSink {
  readonly #sinks: readonly LogSink[];

  constructor(sinks: readonly LogSink[]) {
    this.#sinks = sinks;
  }

  write(line: string): void {
    for (const sink of this.#sinks) sink.write(line);
  }

  flushSync(): void {
    for (const sink of this.#sinks) sink.flushSync();
  }

  lostCount(): number {
    let lost = 0;
    for (const sink of this.#sinks) lost += sink.lostCount();
    return lost;
  }
}

/** Keeps lines for a test to look at. */
export class MemorySink implements LogSink {
  readonly #lines: string[] = [];

  write(line: string): void {
    this.#lines.push(line);
  }

  flushSync(): void {}

  lostCount(): number {
    return 0;
  }

  lines(): readonly string[] {
    return this.#lines;
  }

  /** Each JSON line as an object. */
  records(): readonly Readonly<Record<string, unknown>>[] {
    return this.#lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Messages of all lines, in order. */
  messages(): readonly unknown[] {
    return this.records().map((record) => record['msg']);
  }
}
