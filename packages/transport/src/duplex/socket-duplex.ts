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

class SocketDuplex implements Duplex {
  readonly #socket: NodeDuplex;
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
    return this.#socket.writableLength;
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
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
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
    this.#isDraining = socket.writableLength > 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #written(): void {
    if (!this.#isDraining || this.#socket.writableLength > 0) return;
    this.#isDraining = false;
    if (!this.#socket.destroyed) this.#receiver?.onDrain();
  }
}
