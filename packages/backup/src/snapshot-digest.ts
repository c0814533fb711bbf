/** The digest that a member sends behind its database: SHA-256 over all bytes before, checked as they come. */
import { createHash } from 'node:crypto';

export const DIGEST_BYTES = 32;
/** A database is made of whole sectors. */
const SECTOR_BYTES = 512;

/** Whether a file of that size ends with a digest, as those that a member has sent do. */
export function hasDigest(sizeBytes: number): boolean {
  return sizeBytes % SECTOR_BYTES === DIGEST_BYTES;
}

export class SnapshotDigest {
  byteCount = 0;
  readonly #hash = createHash('sha256');
  /** The last bytes that have come, which may be the digest. */
  #tail: Buffer = Buffer.alloc(0);

  /** Keeps nothing of `bytes`. */
  update(bytes: Uint8Array): void {
    this.byteCount += bytes.length;
    if (bytes.length < DIGEST_BYTES) return this.#hold(Buffer.concat([this.#tail, bytes]));
    // Nothing of a large piece is copied but its end.
    const bodyBytes = bytes.length - DIGEST_BYTES;
    this.#hash.update(this.#tail).update(bytes.subarray(0, bodyBytes));
    this.#tail = Buffer.from(bytes.subarray(bodyBytes));
  }

  #hold(pending: Buffer): void {
    const bodyBytes = Math.max(0, pending.length - DIGEST_BYTES);
    this.#hash.update(pending.subarray(0, bodyBytes));
    this.#tail = pending.subarray(bodyBytes);
  }

  /** To be asked once, when all has come: the digest may be missing, or be that of something else. */
  verdict(): 'good' | 'missing' | 'wrong' {
    if (!hasDigest(this.byteCount)) return 'missing';
    return this.#hash.copy().digest().equals(this.#tail) ? 'good' : 'wrong';
  }

  /** Of all that has come, the digest included, in hexadecimal; to be asked once, last. It costs nothing beside the check. */
  sha256(): string {
    return this.#hash.update(this.#tail).digest('hex');
  }
}
