/**
 * Bytes on their way, in pieces. A piece is lent: it holds until the next one is asked for, so that whoever makes them can use one buffer for
 * all. A gigabyte of buffers that nobody needs any more costs more than to hash it.
 */
import { BackupError } from './backup-error.ts';

export type Content = AsyncIterable<Uint8Array>;

/** Ends with the signal's reason, at once: who makes the pieces may be waiting for something that never comes. */
export async function* abortable(
  content: Content,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (signal === undefined) return yield* content as AsyncGenerator<Uint8Array, void, void>;
  const pieces = content[Symbol.asyncIterator]();
  let giveUp: (reason: unknown) => void = () => {};
  const abort = (): void => giveUp(signal.reason);
  signal.addEventListener('abort', abort);
  let isAtEnd = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        pieces.next().then(resolve, reject);
      });
      isAtEnd = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    // What failed because it was called off says so in many words.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    // Not waited for: it is heard when the piece that is under way has come.
    if (!isAtEnd) pieces.return?.().catch(() => {});
  }
}

/** All of it in a buffer of its own. Throws {@link BackupError} where it is too long. */
export async function collect(content: Content, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of content) {
    length += piece.length;
    if (length > maxBytes) throw new BackupError(`larger than ${maxBytes} bytes`);
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}
