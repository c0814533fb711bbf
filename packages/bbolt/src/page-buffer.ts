/**
 * A stretch of memory outside the V8 heap that holds pages, or keys and values that a write transaction was given. What has
 * been written into it and made known is not written over while anybody may hold a view of it. The garbage collector frees it when
 * neither the cache nor a view needs it; where it is known that there is no view, its owner uses it again.
 */
import { poisonReleased } from '@etcd/base';

/** Not part of any workspace. */
const NO_STAMP = -1;

export class PageBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The workspace that last referred to this buffer, and by which number: see `Workspace.sourceOf`. */
  sourceStamp = NO_STAMP;
  sourceIndex = 0;

  /** Of a size, or over what is there. The memory is not cleared: whoever publishes a part of it has written all of that part. */
  constructor(memory: number | Uint8Array) {
    const bytes = typeof memory === 'number' ? Buffer.allocUnsafeSlow(memory) : memory;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Its owner is about to use it again. */
  poison(): void {
    poisonReleased(this.bytes);
  }
}

/** Copies `source[start, end)` to `target` at `at`. */
export function copyRange(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  // Below this length a loop is faster than a call into the engine.
  if (end - start <= LOOP_COPY_BYTES) {
    for (let i = start; i < end; i++) target[at++] = source[i]!;
    return;
  }
  if (start === 0 && end === source.length) target.set(source, at);
  else target.set(source.subarray(start, end), at);
}

const LOOP_COPY_BYTES = 32;
