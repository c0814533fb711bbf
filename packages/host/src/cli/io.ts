/** What a program is connected with: standard streams and environment. */
import { readSync, writeSync } from 'node:fs';
import { type Terminal, terminalOf } from './terminal.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const NEWLINE = 0x0a;
/** As a shell tells the end by that signal. */
const EXIT_AFTER_SIGPIPE = 141;
const READ_BYTES = 64 * 1024;
/** How long a full pipe is left to its reader before the next try. */
const FULL_PIPE_PAUSE_MS = 1;
const pauseCell = new Int32Array(new SharedArrayBuffer(4));

export class Io {
  readonly env: NodeJS.ProcessEnv;
  #stdout: Terminal | null = null;
  #stderr: Terminal | null = null;
  /** What has been read beyond a line. */
  #input: Buffer = Buffer.alloc(0);

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.env = env;
  }

  get outTerminal(): Terminal {
    this.#stdout ??= terminalOf(STDOUT, this.env);
    return this.#stdout;
  }

  get errorTerminal(): Terminal {
    this.#stderr ??= terminalOf(STDERR, this.env);
    return this.#stderr;
  }

  out(data: string | Uint8Array): void {
    write(STDOUT, data);
  }

  line(text: string): void {
    write(STDOUT, `${text}\n`);
  }

  error(text: string): void {
    write(STDERR, `${text}\n`);
  }

  errorText(text: string): void {
    write(STDERR, text);
  }

  /** Everything that standard input has. */
  readAll(): Buffer {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const count = readSome(chunk);
      if (count === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, count));
    }
  }

  /** The next line of standard input, with what ends it; null when the input ends before a line does. */
  readLine(): Buffer | null {
    for (;;) {
      const end = this.#input.indexOf(NEWLINE);
      if (end >= 0) {
        const line = this.#input.subarray(0, end + 1);
        this.#input = this.#input.subarray(end + 1);
        return line;
      }
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const count = readSome(chunk);
      if (count === 0) return null;
      this.#input = Buffer.concat([this.#input, chunk.subarray(0, count)]);
    }
  }
}

/** The number of bytes, 0 at the end. */
function readSome(target: Buffer): number {
  for (;;) {
    try {
      return readSync(STDIN, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(pauseCell, 0, 0, FULL_PIPE_PAUSE_MS);
    }
  }
}

/** A reader that has gone ends the program without a word, as the signal would that Node keeps from it. */
function write(descriptor: number, data: string | Uint8Array): void {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EAGAIN') process.exit(code === 'EPIPE' ? EXIT_AFTER_SIGPIPE : 1);
      Atomics.wait(pauseCell, 0, 0, FULL_PIPE_PAUSE_MS);
    }
  }
}
