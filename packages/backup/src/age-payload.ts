/**
 * What follows the header of an age file: a nonce of 16 bytes, then the content in chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under its
 * number, the last one marked as such and empty only where all is, so that nothing can be changed, moved or cut off unseen.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { headerLength, openHeader, type SealedHeader, type Secrets } from './age-header.ts';
import { BackupError } from './backup-error.ts';

const CIPHER = 'chacha20-poly1305';
const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const NONCE_BYTES = 16;
const COUNTER_BYTES = 12;
/** A header has a few lines for each recipient. */
const MAX_HEADER_BYTES = 1 << 20;
const NO_BYTES = Buffer.alloc(0);

/** Bytes cut into pieces of one size; the rest waits. What comes is cut in place: only a piece that spans two of them is copied. */
class Chunker {
  readonly #size: number;
  #pending: Buffer[] = [];
  /** At most the size of a piece. */
  #bytes = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** The pieces behind which there is more: the last one may be what is left. */
  take(bytes: Buffer): Buffer[] {
    const missing = this.#size - this.#bytes;
    if (bytes.length <= missing) {
      if (bytes.length > 0) this.#pending.push(bytes);
      this.#bytes += bytes.length;
      return [];
    }
    if (missing > 0) this.#pending.push(bytes.subarray(0, missing));
    const pieces = [this.rest()];
    let at = missing;
    for (; bytes.length - at > this.#size; at += this.#size) pieces.push(bytes.subarray(at, at + this.#size));
    this.#pending = [bytes.subarray(at)];
    this.#bytes = bytes.length - at;
    return pieces;
  }

  rest(): Buffer {
    const [first] = this.#pending;
    return this.#pending.length === 1 && first !== undefined ? first : Buffer.concat(this.#pending);
  }
}

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

/** Content in, an age file out. */
export class AgeSealer extends Transform {
  readonly #key: KeyObject;
  readonly #chunks = new Chunker(CHUNK_BYTES);
  readonly #counter = new Counter();

  constructor({ header, fileKey }: SealedHeader) {
    super();
    const nonce = randomBytes(NONCE_BYTES);
    this.#key = payloadKey(fileKey, nonce);
    this.push(header);
    this.push(nonce);
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const sealed: Buffer[] = [];
    for (const chunk of this.#chunks.take(bytes)) this.#seal(chunk, false, sealed);
    // In one piece: what comes behind has its price for each.
    if (sealed.length > 0) this.push(Buffer.concat(sealed));
    done();
  }

  override _flush(done: TransformCallback): void {
    const sealed: Buffer[] = [];
    this.#seal(this.#chunks.rest(), true, sealed);
    done(null, Buffer.concat(sealed));
  }

  #seal(chunk: Buffer, isLast: boolean, sealed: Buffer[]): void {
    const cipher = createCipheriv(CIPHER, this.#key, this.#counter.next(isLast), {
      authTagLength: TAG_BYTES,
    });
    sealed.push(cipher.update(chunk));
    cipher.final();
    sealed.push(cipher.getAuthTag());
  }
}

/** An age file in, its content out; fails with {@link BackupError}. Nothing comes out that was not sealed by its key. */
export class AgeOpener extends Transform {
  readonly #secrets: Secrets;
  readonly #chunks = new Chunker(CHUNK_BYTES + TAG_BYTES);
  readonly #counter = new Counter();
  #beginning: Buffer = NO_BYTES;
  #key: KeyObject | null = null;

  constructor(secrets: Secrets) {
    super();
    this.#secrets = secrets;
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#key !== null) return this.#take(bytes, done);
    this.#beginning = Buffer.concat([this.#beginning, bytes]);
    const length = headerLength(this.#beginning);
    if (length < 0 || this.#beginning.length < length + NONCE_BYTES) {
      const isTooLong = this.#beginning.length > MAX_HEADER_BYTES;
      return done(isTooLong ? new BackupError('the backup is not an age file') : null);
    }
    this.#open(length, done);
  }

  override _flush(done: TransformCallback): void {
    if (this.#key === null) return done(new BackupError('the backup is not an age file, or cut off'));
    const content: Buffer[] = [];
    const problem = this.#openChunk(this.#chunks.rest(), true, content);
    if (problem !== null) return done(problem);
    done(null, content[0]);
  }

  #open(length: number, done: TransformCallback): void {
    const beginning = this.#beginning;
    this.#beginning = NO_BYTES;
    const nonce = beginning.subarray(length, length + NONCE_BYTES);
    openHeader(beginning.subarray(0, length), this.#secrets).then(
      (fileKey) => {
        this.#key = payloadKey(fileKey, nonce);
        this.#take(beginning.subarray(length + NONCE_BYTES), done);
      },
      (error: Error) => done(error),
    );
  }

  #take(bytes: Buffer, done: TransformCallback): void {
    const content: Buffer[] = [];
    for (const chunk of this.#chunks.take(bytes)) {
      const problem = this.#openChunk(chunk, false, content);
      if (problem !== null) return done(problem);
    }
    if (content.length > 0) this.push(Buffer.concat(content));
    done();
  }

  #openChunk(chunk: Buffer, isLast: boolean, opened: Buffer[]): BackupError | null {
    if (chunk.length < TAG_BYTES) return new BackupError('the backup is cut off');
    // Whoever seals puts the mark on the chunk before: with an empty one there would be two files of one content.
    if (chunk.length === TAG_BYTES && !this.#counter.isFirst) {
      return new BackupError('the backup is no age file: its last chunk is empty');
    }
    const nonce = this.#counter.next(isLast);
    const decipher = createDecipheriv(CIPHER, this.#key!, nonce, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(chunk.subarray(chunk.length - TAG_BYTES));
    const content = decipher.update(chunk.subarray(0, chunk.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return new BackupError('the backup is damaged or cut off: it is not what was sealed');
    }
    opened.push(content);
    return null;
  }
}
