/** What goes through on the way: its length and its SHA-256, and whether it is a snapshot that came whole. */
import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { BackupError } from './backup-error.ts';

const DIGEST_BYTES = 32;
/** A database is made of whole sectors; behind them stands its digest. */
const SECTOR_BYTES = 512;

export class Meter extends Transform {
  byteCount = 0;
  readonly #hash = createHash('sha256');

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.byteCount += bytes.length;
    this.#hash.update(bytes);
    done(null, bytes);
  }

  /** To be asked once, at the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** Passes a snapshot on, and fails at its end if it is not what its own digest says. */
export class SnapshotMeter extends Transform {
  byteCount = 0;
  readonly #whole = createHash('sha256');
  readonly #body = createHash('sha256');
  /** The last bytes that have come, which may be the digest. */
  #tail: Buffer = Buffer.alloc(0);

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.byteCount += bytes.length;
    this.#whole.update(bytes);
    if (bytes.length >= DIGEST_BYTES) {
      this.#body.update(this.#tail).update(bytes.subarray(0, bytes.length - DIGEST_BYTES));
      this.#tail = Buffer.from(bytes.subarray(bytes.length - DIGEST_BYTES));
    } else {
      const pending = Buffer.concat([this.#tail, bytes]);
      const bodyBytes = Math.max(0, pending.length - DIGEST_BYTES);
      this.#body.update(pending.subarray(0, bodyBytes));
      this.#tail = pending.subarray(bodyBytes);
    }
    done(null, bytes);
  }

  override _flush(done: TransformCallback): void {
    if (this.byteCount % SECTOR_BYTES !== DIGEST_BYTES) {
      return done(new BackupError(`the snapshot is cut off: it has no digest [bytes: ${this.byteCount}]`));
    }
    const isWhole = this.#body.digest().equals(this.#tail);
    done(isWhole ? null : new BackupError('the snapshot is damaged: it is not what its digest says'));
  }

  sha256(): string {
    return this.#whole.digest('hex');
  }
}
