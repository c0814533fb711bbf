/** A Node stream (a net or tls socket, or anything else that is a `stream.Duplex`) as a {@link Duplex}. */
import type { Socket } from 'node:net';
import type { Duplex as NodeDuplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Duplex, DuplexReceiver } from './duplex.ts';

/**
 * Wraps `socket`, which may still be connecting or shaking hands: what is written is sent afterwards. The
 * wrapper takes the socket over, its `error` event included.
 */
export function socketDuplex(socket: NodeDuplex): Duplex {
  return new SocketDuplex(socket);
}

/**
 * TLS encrypts a write of one part from where it is, and copies one of several to memory of their own first. So much is small enough
 * for that.
 */
const MAX_GATHERED_BYTES = 16 * 1024;

class SocketDuplex implements Duplex {
  readonly #socket: NodeDuplex;
  /** Parts that TLS is given when it has taken those before them, and how many bytes they are. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #hasEnded = false;
  #receiver: DuplexReceiver | null = null;
  #error: Error | null = null;
  #isDraining = false;
  // One function for all writes; the stream calls it when a write is done.
  readonly #onWritten = (): void => this.#written();

  constructor(socket: NodeDuplex) {
    this.#socket = socket;
    // From now on an error is ours to report, even one that comes before `open`.
    socket.on('error', (error: Error) => {
      this.#error ??= error;
    });
  }

  get pendingBytes(): number {
    return this.#socket.writableLength + this.#waitingBytes;
  }

  /** TLS encrypts what it has copied to one place. */
  get writesParts(): boolean {
    return (this.#socket as Partial<TLSSocket>).encrypted !== true;
  }

  open(receiver: DuplexReceiver): void {
    const socket = this.#socket;
    this.#receiver = receiver;
    // Answers are gathered before they are written; waiting for more to fill a packet would only delay them.
    (socket as Partial<Socket>).setNoDelay?.(true);
    socket.on('data', (chunk: Uint8Array) => receiver.onData(chunk));
    socket.on('end', () => receiver.onEnd());
    socket.on('close', () => receiver.onClose(this.#error));
    // It may have been paused by whoever accepted it.
    socket.resume();
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.#isClosed || this.#hasEnded) return;
    if (this.writesParts) this.#writeTogether(parts);
    else {
      this.#waiting.push(...parts);
      for (const part of parts) this.#waitingBytes += part.length;
      if (this.#socket.writableLength === 0) this.#writeNext();
    }
    this.#isDraining = this.pendingBytes > 0;
  }

  get #isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** What waits, up to the next large part or that one alone. */
  #writeNext(): void {
    let count = 0;
    let bytes = 0;
    while (count < this.#waiting.length) {
      const { length } = this.#waiting[count]!;
      if (count > 0 && bytes + length > MAX_GATHERED_BYTES) break;
      bytes += length;
      count++;
    }
    this.#waitingBytes -= bytes;
    this.#writeTogether(this.#waiting.splice(0, count));
  }

  #writeTogether(parts: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (parts.length === 1) {
      socket.write(parts[0], this.#onWritten);
    } else {
      // Corked writes leave in one system call.
      socket.cork();
      const last = parts.length - 1;
      for (let i = 0; i < last; i++) socket.write(parts[i]);
      socket.write(parts[last], this.#onWritten);
      socket.uncork();
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#hasEnded = true;
    if (this.#waitingBytes === 0) this.#socket.end();
  }

  destroy(): void {
    this.#forgetWaiting();
    this.#socket.destroy();
  }

  #forgetWaiting(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #written(): void {
    if (!this.#isDraining || this.#socket.writableLength > 0) return;
    if (this.#isClosed) this.#forgetWaiting();
    if (this.#waitingBytes > 0) return this.#writeNext();
    this.#isDraining = false;
    if (this.#hasEnded) this.#socket.end();
    if (!this.#socket.destroyed) this.#receiver?.onDrain();
  }
}
