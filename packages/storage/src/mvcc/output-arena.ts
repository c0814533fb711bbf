/**
 * Room for encoded output that lives as long as its readers hold it: pieces of shared arrays, filled one behind the other.
 * An array is let go when it is full; those who still hold a piece of it keep it alive. Whoever knows that nobody does says so
 * ({@link OutputArena.clear}), and the array is filled again.
 */
import { poisonReleased } from '@etcd/base';

const ARRAY_BYTES = 64 * 1024;

export class OutputArena {
  /** The piece that {@link reserve} made room for begins here. */
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  #used = 0;

  /** Nobody has a view of any piece any more. */
  clear(): void {
    if (this.buffer.length !== ARRAY_BYTES) return;
    poisonReleased(this.buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  /** Makes room for `length` bytes, at {@link buffer} from {@link start} on. */
  reserve(length: number): void {
    if (length > ARRAY_BYTES / 4) {
      // Large ones get an array to themselves, and do not pin others.
      this.buffer = Buffer.allocUnsafeSlow(length);
      this.start = 0;
      this.#used = this.buffer.length;
      return;
    }
    if (this.#used + length > this.buffer.length) {
      this.buffer = Buffer.allocUnsafeSlow(ARRAY_BYTES);
      this.#used = 0;
    }
    this.start = this.#used;
    this.#used += length;
  }
}
