/**
 * The byte stream under a connection, as this package sees it. `socketDuplex` makes one of a net or tls
 * socket, `memoryDuplexPair` makes two that are connected with each other.
 *
 * The rules: `open` is called once, before anything else, and only from then on does the receiver hear
 * anything. After `onClose` nothing more is heard, and every call is harmless. Nothing is called back from
 * inside `write`.
 */
export interface Duplex {
  /** Bytes that were written but are not yet with the operating system. */
  readonly pendingBytes: number;
  /** Whether a write of many parts takes them from where they are, instead of putting them together first. */
  readonly writesParts: boolean;

  open(receiver: DuplexReceiver): void;

  /**
   * Sends `parts` in order. When {@link pendingBytes} is 0 afterwards, their memory belongs to the caller
   * again; otherwise it must not change until `onDrain` is called, once everything is gone.
   */
  write(parts: readonly Uint8Array[]): void;

  /** No more `onData` until {@link resume}, apart from what has been read already. */
  pause(): void;
  resume(): void;

  /** Sends what is pending, then says that no more will come. */
  end(): void;
  /** Gives up at once; `onClose` follows. */
  destroy(): void;
}

export interface DuplexReceiver {
  /** The chunk belongs to the receiver, which may keep views of it for as long as it likes. */
  onData(chunk: Uint8Array): void;
  /** What `write` left pending has been sent. */
  onDrain(): void;
  /** The other side will send no more. */
  onEnd(): void;
  /** The stream is gone in both directions. Called exactly once. */
  onClose(error: Error | null): void;
}
