/** Something that takes bytes from outside, as the fuzzer of `tools/fuzz` drives it. */

export interface FuzzTarget {
  readonly name: string;
  /** What is fed, in a few words. */
  readonly what: string;
  /** Inputs to begin with: right ones, of each kind. */
  readonly seeds: () => readonly Uint8Array[];
  /** Words that mean something to it. */
  readonly tokens?: readonly string[] | undefined;
  /** Longer inputs are not made; 2 KiB unless told. */
  readonly maxBytes?: number | undefined;
  /** What it holds for any input, however short; 0 unless told. */
  readonly heldBytes?: number | undefined;
  /** An input takes it milliseconds: `npm test` feeds it a quarter of what was kept. */
  readonly isSlow?: boolean | undefined;
  /** Takes an input; throws what is no answer to bad input: a broken invariant, a wrong kind of error, something left behind. */
  readonly run: (input: Uint8Array) => void | Promise<void>;
}

/** Cuts an input into the fields that a target needs; zeros where it has ended. */
export class InputReader {
  readonly #input: Uint8Array;
  #position = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#input.length;
  }

  byte(): number {
    return this.#input[this.#position++] ?? 0;
  }

  /** Little endian. */
  number(byteCount: number): number {
    let value = 0;
    for (let i = 0; i < byteCount; i++) value += this.byte() * 256 ** i;
    return value;
  }

  bytes(byteCount: number): Uint8Array {
    const piece = this.#input.slice(this.#position, this.#position + byteCount);
    this.#position += byteCount;
    return piece;
  }

  rest(): Uint8Array {
    return this.bytes(Math.max(0, this.#input.length - this.#position));
  }
}
