/**
 * Keys and ranges of keys. A range is `[key, rangeEnd)` in byte order; an empty end means the key alone, and an end of one
 * zero byte means that there is none.
 */
import { prefixEnd } from '@etcd/api';
import { EMPTY_BYTES, utf8ToBytes } from '@etcd/base';

/** A key or value: text is taken as UTF-8. */
export type Bytes = string | Uint8Array;

/** Which keys are meant, beside the one that is named. */
export interface RangeOptions {
  /** All keys that begin with the named one; all keys if that is empty. */
  readonly prefix?: boolean | undefined;
  /** All keys from the named one on. */
  readonly fromKey?: boolean | undefined;
  /** All keys from the named one to this, exclusive. */
  readonly rangeEnd?: Bytes | undefined;
}

export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

const ZERO: Uint8Array = new Uint8Array(1);

export function toBytes(value: Bytes): Uint8Array {
  return typeof value === 'string' ? utf8ToBytes(value) : value;
}

/** The range that `options` make of `key`. */
export function keyRange(key: Bytes, options: RangeOptions): KeyRange {
  const bytes = toBytes(key);
  if (options.prefix === true) {
    return bytes.length === 0 ? { key: ZERO, rangeEnd: ZERO } : { key: bytes, rangeEnd: prefixEnd(bytes) };
  }
  if (options.fromKey === true) return { key: bytes.length === 0 ? ZERO : bytes, rangeEnd: ZERO };
  return { key: bytes, rangeEnd: options.rangeEnd === undefined ? EMPTY_BYTES : toBytes(options.rangeEnd) };
}

export function concatBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function isOpenEnd(end: Uint8Array): boolean {
  return end.length === 1 && end[0] === 0;
}

/** The range of a namespace's keys, as it is in the whole store. */
export function namespaceRange(namespace: Uint8Array, { key, rangeEnd }: KeyRange): KeyRange {
  if (namespace.length === 0) return { key, rangeEnd };
  // A first key of one zero byte with an open end is "everything", which here begins with the namespace itself.
  const first = isOpenEnd(key) && isOpenEnd(rangeEnd) ? EMPTY_BYTES : key;
  const whole = concatBytes(namespace, first);
  if (rangeEnd.length === 0) return { key: whole, rangeEnd: EMPTY_BYTES };
  if (isOpenEnd(rangeEnd)) return { key: whole, rangeEnd: prefixEnd(namespace) };
  return { key: whole, rangeEnd: concatBytes(namespace, rangeEnd) };
}
