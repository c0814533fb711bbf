/**
 * What follows the header of an age file: a nonce of 16 bytes, then the content in chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under its
 * number, the last one marked as such and empty only where all is, so that nothing can be changed, moved or cut off unseen.
 */
import {
  type CipherChaCha20Poly1305,
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type DecipherChaCha20Poly1305,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { headerLength, openHeader, type SealedHeader, type Secrets } from './age-header.ts';
import { BackupError } from './backup-error.ts';
import type { Content } from './content.ts';
import { PIECE_BYTES } from './stream-sizes.ts';

const CIPHER = 'chacha20-poly1305';
const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const NONCE_BYTES = 16;
const COUNTER_BYTES = 12;
/** A header has a few lines for each recipient. */
const MAX_HEADER_BYTES = 1 << 20;
const NO_BYTES = Buffer.alloc(0);
/** What the cipher is given at once: it makes a buffer each time, and large ones take it longer than the work. */
const STEP_BYTES = 16 * 1024;
const AUTHENTICATION = { authTagLength: TAG_BYTES };

/** The numbers of chunks, one after the other. */
class Counter {
  readonly #nonce = Buffer.alloc(COUNTER_BYTES);
  #count = 0;

  get isFirst(): boolean {
    return this.#count === 0;
  }

  next(isLast: boolean): Buffer {
    this.#nonce.writeUIntBE(this.#count++, COUNTER_BYTES - 1 - 6, 6);
    this.#nonce[COUNTER_BYTES - 1] = isLast ? 1 : 0;
    return this.#nonce;
  }
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)));
}

/** What waits for its chunk to be full, and room for what is made of those that are. */
abstract class ChunkWork {
  readonly #chunk: Buffer;
  #filled = 0;
  #made: Buffer;
  #madeBytes = 0;

  constructor(chunkBytes: number) {
    this.#chunk = Buffer.allocUnsafeSlow(chunkBytes);
    this.#made = Buffer.allocUnsafeSlow(PIECE_BYTES + SEALED_CHUNK_BYTES);
  }

  /** What comes of the chunks behind which there is more: the last may be what is left. It is lent. */
  take(piece: Uint8Array): Buffer {
    this.#madeBytes = 0;
    for (let at = 0; at < piece.length; ) {
      if (this.#filled === this.#chunk.length) this.#finishChunk(false);
      const part = piece.subarray(at, at + this.#chunk.length - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
    }
    return this.#made.subarray(0, this.#madeBytes);
  }

  /** What comes of the last chunk. */
  finish(): Buffer {
    this.#madeBytes = 0;
    this.#finishChunk(true);
    return this.#made.subarray(0, this.#madeBytes);
  }

  #finishChunk(isLast: boolean): void {
    const missing = this.#madeBytes + this.#filled + TAG_BYTES - this.#made.length;
    if (missing > 0) this.#made = Buffer.concat([this.#made], this.#made.length * 2 + missing);
    this.#madeBytes += this.work(this.#chunk.subarray(0, this.#filled), isLast, this.#made, this.#madeBytes);
    this.#filled = 0;
  }

  /** Writes what it makes of a chunk into `target` from `at` on, and says how much that is. */
  protected abstract work(chunk: Buffer, isLast: boolean, target: Buffer, at: number): number;
}

class ChunkSealing extends ChunkWork {
  readonly #key: KeyObject;
  readonly #counter = new Counter();

  constructor(key: KeyObject) {
    super(CHUNK_BYTES);
    this.#key = key;
  }

  protected override work(chunk: Buffer, isLast: boolean, target: Buffer, at: number): number {
    const cipher = createCipheriv(CIPHER, this.#key, this.#counter.next(isLast), AUTHENTICATION);
    run(cipher, chunk, target, at);
    cipher.final();
    target.set(cipher.getAuthTag(), at + chunk.length);
    return chunk.length + TAG_BYTES;
  }
}

class ChunkOpening extends ChunkWork {
  readonly #key: KeyObject;
  readonly #counter = new Counter();

  constructor(key: KeyObject) {
    super(SEALED_CHUNK_BYTES);
    this.#key = key;
  }

  protected override work(chunk: Buffer, isLast: boolean, target: Buffer, at: number): number {
    const length = chunk.length - TAG_BYTES;
    if (length < 0) throw new BackupError('the backup is cut off');
    // Whoever seals puts the mark on the chunk before: with an empty one there would be two files of one content.
    if (length === 0 && !this.#counter.isFirst) {
      throw new BackupError('the backup is no age file: its last chunk is empty');
    }
    const decipher = createDecipheriv(CIPHER, this.#key, this.#counter.next(isLast), AUTHENTICATION);
    decipher.setAuthTag(chunk.subarray(length));
    run(decipher, chunk.subarray(0, length), target, at);
    try {
      decipher.final();
    } catch {
      throw new BackupError('the backup is damaged or cut off: it is not what was sealed');
    }
    return length;
  }
}

function run(
  cipher: CipherChaCha20Poly1305 | DecipherChaCha20Poly1305,
  chunk: Buffer,
  target: Buffer,
  at: number,
): void {
  for (let from = 0; from < chunk.length; from += STEP_BYTES) {
    target.set(cipher.update(chunk.subarray(from, from + STEP_BYTES)), at + from);
  }
}

/** Content in, an age file out. */
export async function* sealed(
  content: Content,
  { header, fileKey }: SealedHeader,
): AsyncGenerator<Uint8Array, void, void> {
  const nonce = randomBytes(NONCE_BYTES);
  const sealing = new ChunkSealing(payloadKey(fileKey, nonce));
  yield Buffer.concat([header, nonce]);
  for await (const piece of content) {
    const made = sealing.take(piece);
    if (made.length > 0) yield made;
  }
  yield sealing.finish();
}

/** An age file in, its content out; fails with {@link BackupError}. Nothing comes out that was not sealed by its key. */
export async function* opened(content: Content, secrets: Secrets): AsyncGenerator<Uint8Array, void, void> {
  let beginning: Buffer = NO_BYTES;
  let opening: ChunkOpening | null = null;
  for await (const piece of content) {
    let rest = piece;
    if (opening === null) {
      beginning = Buffer.concat([beginning, piece]);
      const length = headerLength(beginning);
      if (length < 0 || beginning.length < length + NONCE_BYTES) {
        if (beginning.length > MAX_HEADER_BYTES) throw new BackupError('the backup is not an age file');
        continue;
      }
      const fileKey = await openHeader(beginning.subarray(0, length), secrets);
      rest = beginning.subarray(length + NONCE_BYTES);
      opening = new ChunkOpening(payloadKey(fileKey, beginning.subarray(length, length + NONCE_BYTES)));
      beginning = NO_BYTES;
    }
    const made = opening.take(rest);
    if (made.length > 0) yield made;
  }
  if (opening === null) throw new BackupError('the backup is not an age file, or cut off');
  const made = opening.finish();
  if (made.length > 0) yield made;
}
