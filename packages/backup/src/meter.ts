/** What goes through on the way: its length and its SHA-256, and whether it is a snapshot that came whole. */
import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { BackupError } from './backup-error.ts';
import { SnapshotDigest } from './snapshot-digest.ts';
import { QUEUE_BYTES } from './stream-sizes.ts';

/** So many more bytes have passed; whoever looks after memory wants to know. */
export type OnPassed = (byteCount: number) => void;

export class Meter extends Transform {
  byteCount = 0;
  readonly #hash = createHash('sha256');

  constructor() {
    super({ highWaterMark: QUEUE_BYTES });
  }

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
  readonly #digest = new SnapshotDigest();
  readonly #onPassed: OnPassed;

  constructor(onPassed: OnPassed = () => {}) {
    super({ highWaterMark: QUEUE_BYTES });
    this.#onPassed = onPassed;
  }

  get byteCount(): number {
    return this.#digest.byteCount;
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#digest.update(bytes);
    this.#onPassed(bytes.length);
    done(null, bytes);
  }

  override _flush(done: TransformCallback): void {
    const verdict = this.#digest.verdict();
    if (verdict === 'good') return done();
    const problem =
      verdict === 'missing'
        ? `the snapshot is cut off: it has no digest [bytes: ${this.byteCount}]`
        : 'the snapshot is damaged: it is not what its digest says';
    done(new BackupError(problem));
  }

  /** To be asked once, at the end. */
  sha256(): string {
    return this.#digest.sha256();
  }
}
