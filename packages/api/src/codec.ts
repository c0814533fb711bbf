/**
 * A message's codec as a value, for code that handles messages of any type: method tables, printers, tests. Code that
 * knows its message calls the functions (`decodePutRequest`, `sizePutRequest`, `writePutRequest`) directly.
 */
import { assert } from '@etcd/base';

export interface Codec<T> {
  /** Full name, as `etcdserverpb.PutRequest`. */
  readonly name: string;
  /** A message with every field at its default. */
  create(): T;
  /**
   * The message in `bytes[start, end)`, the whole array unless told. Its byte strings are views of `bytes`: whoever
   * keeps one longer than the buffer copies it. Malformed input throws `DecodeError`.
   */
  decode(bytes: Uint8Array, start?: number, end?: number): T;
  /** Exactly how many bytes {@link write} writes. */
  size(message: T): number;
  /** Encodes at `position`, where `size(message)` bytes must be free; returns the position behind. */
  write(message: T, target: Uint8Array, position: number): number;
}

/** Encodes into an array of its own. Hot paths write into a buffer that they already have. */
export function encode<T>(codec: Codec<T>, message: T): Uint8Array {
  const target = new Uint8Array(codec.size(message));
  const end = codec.write(message, target, 0);
  assert(end === target.length, 'a message is written in its exact size');
  return target;
}

/** What the caller of a decoder promises about its arguments. */
export function checkRange(bytes: Uint8Array, start: number, end: number): void {
  assert(start >= 0 && start <= end && end <= bytes.length, 'decode range outside the array');
}
