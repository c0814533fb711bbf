/**
 * Lines to a file descriptor: standard error, standard output or a log file. Each line is written at once, so that a
 * process that dies has told all it knew; but a pipe that nobody empties, or a stopped terminal, must not stop a
 * member. So the descriptor is asked first whether it takes a page, and lines wait in a bounded queue while it does not.
 *
 * A descriptor that is gone (closed pipe, hung-up terminal) makes the sink fall silent.
 */
import fs from 'node:fs';
import { type Clock, RingBuffer } from '@etcd/base';
import type { LogSink } from './log-sink.ts';

/** What this module asks of the operating system; tests put their own in its place. */
export interface DescriptorCalls {
  /** Whether `descriptor` takes {@link ATOMIC_BYTES} without waiting, asked for up to `timeoutMs`. */
  pollWritable(descriptor: number, timeoutMs: number): boolean;
  /** Bytes written, at least one; throws an error with `code`. */
  write(descriptor: number, bytes: Uint8Array, offset: number, length: number): number;
}

export interface DescriptorSinkOptions {
  readonly descriptor: number;
  /** Regular files always take more; asking them would be a wasted call. */
  readonly isRegularFile: boolean;
  readonly clock: Clock;
  readonly calls: DescriptorCalls;
}

/** A pipe that says it is writable has room for one page; more could wait. */
export const ATOMIC_BYTES = 4096;

const MAX_QUEUED_BYTES = 1024 ** 2;
const RETRY_MS = 20;
const FLUSH_LIMIT_MS = 1000;

/** Errors after which no later write can succeed. A file may recover; a pipe or terminal whose other side is gone does not. */
const GONE = new Set(['EBADF', 'EPIPE', 'ENXIO', 'ECONNRESET', 'ENOTCONN']);
const GONE_UNLESS_FILE = 'EIO';

export class DescriptorSink implements LogSink {
  readonly #descriptor: number;
  readonly #isRegularFile: boolean;
  readonly #clock: Clock;
  readonly #calls: DescriptorCalls;
  readonly #queue = new RingBuffer<Buffer>();
  /** Bytes of the queue's first line that are written already. */
  #headOffset = 0;
  #queuedBytes = 0;
  #retryPending = false;
  #gone = false;
  #lost = 0;

  constructor(options: DescriptorSinkOptions) {
    this.#descriptor = options.descriptor;
    this.#isRegularFile = options.isRegularFile;
    this.#clock = options.clock;
    this.#calls = options.calls;
  }

  write(line: string): void {
    if (this.#gone) return;
    const bytes = Buffer.from(line);
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes.length > MAX_QUEUED_BYTES) {
      this.#lost++;
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#drain(0);
  }

  flushSync(): void {
    this.#drain(FLUSH_LIMIT_MS);
  }

  lostCount(): number {
    return this.#lost;
  }

  /** Writes queued lines until the descriptor has no room for `patienceMs`. */
  #drain(patienceMs: number): void {
    const endMs = patienceMs === 0 ? 0 : this.#clock.now() + patienceMs;
    while (this.#queuedBytes > 0) {
      if (!this.#isRegularFile) {
        const waitMs = patienceMs === 0 ? 0 : Math.max(0, Math.ceil(endMs - this.#clock.now()));
        if (!this.#calls.pollWritable(this.#descriptor, waitMs)) {
          this.#retryLater();
          return;
        }
      }
      if (!this.#writeSome()) return;
    }
  }

  /** One write of at most a page; false when the sink has to wait or is gone. */
  #writeSome(): boolean {
    const line = this.#queue.peek()!;
    const left = line.length - this.#headOffset;
    const length = this.#isRegularFile ? left : Math.min(left, ATOMIC_BYTES);
    let written: number;
    try {
      written = this.#calls.write(this.#descriptor, line, this.#headOffset, length);
    } catch (error) {
      return this.#handleError(error);
    }
    this.#queuedBytes -= written;
    this.#headOffset += written;
    if (this.#headOffset === line.length) this.#dropHead();
    return true;
  }

  #handleError(error: unknown): boolean {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EAGAIN') {
      this.#retryLater();
      return false;
    }
    if (GONE.has(code) || (code === GONE_UNLESS_FILE && !this.#isRegularFile)) {
      this.#gone = true;
      this.#lost += this.#queue.count;
      this.#queuedBytes = 0;
      this.#queue.clear();
      return false;
    }
    // A full disk, say: this line is lost, the next may fit.
    this.#lost++;
    this.#queuedBytes -= this.#queue.peek()!.length - this.#headOffset;
    this.#dropHead();
    return true;
  }

  #dropHead(): void {
    this.#queue.take();
    this.#headOffset = 0;
  }

  #retryLater(): void {
    if (this.#retryPending) return;
    this.#retryPending = true;
    this.#clock.setTimer(RETRY_MS, () => {
      this.#retryPending = false;
      this.#drain(0);
    });
  }
}

/** {@link DescriptorCalls.write} of the real system. */
export function writeDescriptor(
  descriptor: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  return fs.writeSync(descriptor, bytes, offset, length);
}
