/**
 * The buffers of a long stream of bytes, given back on the way. V8 looks for what nobody needs when its own heap has filled, and
 * sees a buffer as the few bytes that stand for it there: of those that have passed, tens of megabytes gather before it looks.
 */

/** So much of a stream passes between two looks at the youngest objects, each of which takes a fraction of a millisecond. */
const LOOK_EVERY_BYTES = 2 * 1024 * 1024;

export class StreamGarbage {
  readonly #collect: NodeJS.GCFunction;
  #passedBytes = 0;

  constructor() {
    // Loaded when they are needed: most commands of a program are short.
    process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
    this.#collect = process.getBuiltinModule('node:vm').runInNewContext('gc') as NodeJS.GCFunction;
  }

  /** So many bytes have been dealt with; nothing is kept of them. */
  passed(byteCount: number): void {
    this.#passedBytes += byteCount;
    if (this.#passedBytes < LOOK_EVERY_BYTES) return;
    this.#passedBytes = 0;
    this.#collect({ type: 'minor', execution: 'sync' });
  }
}
