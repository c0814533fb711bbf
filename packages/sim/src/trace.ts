/**
 * What happened in a simulated world, in order: a hash over all of it, by which two runs are compared, and the last lines of
 * it, for whoever looks for the reason of a violation.
 */
import { latin1FromBytes, RingBuffer } from '@etcd/base';

/** Lines that are kept for the report of a violation. */
const MAX_TAIL_LINES = 120;
const FNV_PRIME = 0x0100_0193;
const FNV_OFFSET = 0x811c_9dc5;

interface Line {
  readonly atMs: number;
  readonly text: string;
}

export class Trace {
  readonly #tail = new RingBuffer<Line>(MAX_TAIL_LINES);
  readonly #print: ((line: string) => void) | null;
  readonly #onEvent: ((line: string) => void) | null;
  /** A moment, as the bits that go into the hash. */
  readonly #moment = new Float64Array(1);
  readonly #momentBits = new Int32Array(this.#moment.buffer);
  #numbers = FNV_OFFSET;
  #texts = FNV_OFFSET;
  #count = 0;

  /**
   * @param print hears every line as it happens; null unless asked for.
   * @param onEvent hears all but the details.
   */
  constructor(print: ((line: string) => void) | null, onEvent: ((line: string) => void) | null = null) {
    this.#print = print;
    this.#onEvent = onEvent;
  }

  /** Whether somebody reads along: then details are worth their cost. */
  get isVerbose(): boolean {
    return this.#print !== null;
  }

  /** Adds numbers to the hash, but no line: for what happens very often. */
  mix(a: number, b: number, c: number): void {
    this.#count++;
    let hash = Math.imul(this.#numbers ^ a, FNV_PRIME);
    hash = Math.imul(hash ^ b, FNV_PRIME);
    this.#numbers = Math.imul(hash ^ c, FNV_PRIME) ^ (hash >>> 15);
  }

  add(nowMs: number, text: string): void {
    this.#moment[0] = nowMs;
    let hash = Math.imul(this.#texts ^ this.#momentBits[0]!, FNV_PRIME);
    hash = Math.imul(hash ^ this.#momentBits[1]!, FNV_PRIME);
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
    this.#texts = hash ^ (hash >>> 15);
    this.#count++;
    const line = { atMs: nowMs, text };
    this.#onEvent?.(lineText(line));
    this.#push(line);
  }

  /** A line that only who reads along sees, and that is no part of the hash: it must not depend on whether anybody does. */
  detail(nowMs: number, text: string): void {
    if (this.#print !== null) this.#push({ atMs: nowMs, text });
  }

  /** Sixteen hexadecimal digits that stand for everything so far. */
  get hash(): string {
    return [this.#numbers, this.#texts].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  get eventCount(): number {
    return this.#count;
  }

  tail(): string[] {
    return Array.from({ length: this.#tail.count }, (_, i) => lineText(this.#tail.at(i)!));
  }

  #push(line: Line): void {
    if (this.#tail.count === MAX_TAIL_LINES) this.#tail.take();
    this.#tail.push(line);
    this.#print?.(lineText(line));
  }
}

/** Made when somebody wants to see it: most lines are seen by nobody. */
function lineText({ atMs, text }: Line): string {
  return `${(atMs / 1000).toFixed(6).padStart(11)} ${text}`;
}

/** Keys and values as the model has them: one unit a byte. */
export function textOf(bytes: Uint8Array): string {
  return latin1FromBytes(bytes);
}

/** A range of keys as it stands in a line. */
export function rangeText(key: string, end: string): string {
  const begin = key === '\0' ? '' : key;
  return end === '' ? begin : `[${begin}, ${end === '\0' ? '' : end})`;
}
