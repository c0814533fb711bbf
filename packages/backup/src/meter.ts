/** What goes through on the way: its length and its SHA-256, and whether it is a snapshot that came whole. */
import { createHash } from 'node:crypto';
import { BackupError } from './backup-error.ts';
import type { Content } from './content.ts';
import { SnapshotDigest } from './snapshot-digest.ts';

/** So many more bytes have passed; whoever looks after memory wants to know. */
export type OnPassed = (byteCount: number) => void;

export class Meter {
  byteCount = 0;
  readonly #hash = createHash('sha256');

  async *measure(content: Content): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of content) {
      this.byteCount += piece.length;
      this.#hash.update(piece);
      yield piece;
    }
  }

  /** To be asked once, at the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** Passes a snapshot on, and fails at its end if it is not what its own digest says. */
export class SnapshotMeter {
  readonly #digest = new SnapshotDigest();
  readonly #onPassed: OnPassed;

  constructor(onPassed: OnPassed = () => {}) {
    this.#onPassed = onPassed;
  }

  get byteCount(): number {
    return this.#digest.byteCount;
  }

  async *measure(content: Content): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of content) {
      this.#digest.update(piece);
      yield piece;
      this.#onPassed(piece.length);
    }
    const verdict = this.#digest.verdict();
    if (verdict === 'missing')
      throw new BackupError(`the snapshot is cut off: it has no digest [bytes: ${this.byteCount}]`);
    if (verdict === 'wrong') throw new BackupError('the snapshot is damaged: it is not what its digest says');
  }

  /** To be asked once, at the end. */
  sha256(): string {
    return this.#digest.sha256();
  }
}
