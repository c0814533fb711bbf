/**
 * mvccpb.KeyValue as it lies in the backend, written and read in place: the hot path never makes a message of it. The
 * encoding is Go's (fields in order, zeros left out), because hashes are taken over it.
 *
 *   1 key | 2 create_revision | 3 mod_revision | 4 version | 5 value | 6 lease
 */
import type { LeaseId } from '@etcd/api';
import { sizeBigInt, sizeInt64, sizeUint32, writeBigInt, writeInt64, writeUint32 } from '@etcd/api/wire';

const TAG_KEY = 0x0a;
const TAG_CREATE_REVISION = 0x10;
const TAG_MOD_REVISION = 0x18;
const TAG_VERSION = 0x20;
const TAG_VALUE = 0x2a;
const TAG_LEASE = 0x30;

const TWO_POW_32 = 0x1_0000_0000;
/** Shorter pieces are copied byte by byte: a call costs as much as forty bytes. */
const CALL_BYTES = 32;

/** The parts of a KeyValue that is about to be written. One shape, reused: the writer of a transaction has one. */
export class KeyValueParts {
  key: Uint8Array = new Uint8Array(0);
  keyStart = 0;
  keyEnd = 0;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  value: Uint8Array = new Uint8Array(0);
  valueStart = 0;
  valueEnd = 0;
  lease = 0n;
}

/** Exactly the bytes that {@link writeKeyValue} writes. */
export function sizeKeyValue(parts: KeyValueParts): number {
  const keyLength = parts.keyEnd - parts.keyStart;
  const valueLength = parts.valueEnd - parts.valueStart;
  let size = 0;
  if (keyLength > 0) size += 1 + sizeUint32(keyLength) + keyLength;
  if (parts.createRevision > 0) size += 1 + sizeInt64(parts.createRevision);
  if (parts.modRevision > 0) size += 1 + sizeInt64(parts.modRevision);
  if (parts.version > 0) size += 1 + sizeInt64(parts.version);
  if (valueLength > 0) size += 1 + sizeUint32(valueLength) + valueLength;
  if (parts.lease !== 0n) size += 1 + sizeBigInt(parts.lease);
  return size;
}

/** Returns the position behind. */
export function writeKeyValue(parts: KeyValueParts, target: Uint8Array, at: number): number {
  const keyLength = parts.keyEnd - parts.keyStart;
  const valueLength = parts.valueEnd - parts.valueStart;
  if (keyLength > 0) {
    target[at++] = TAG_KEY;
    at = writeUint32(target, at, keyLength);
    at = copyInto(target, at, parts.key, parts.keyStart, parts.keyEnd);
  }
  if (parts.createRevision > 0) at = writeField(target, at, TAG_CREATE_REVISION, parts.createRevision);
  if (parts.modRevision > 0) at = writeField(target, at, TAG_MOD_REVISION, parts.modRevision);
  if (parts.version > 0) at = writeField(target, at, TAG_VERSION, parts.version);
  if (valueLength > 0) {
    target[at++] = TAG_VALUE;
    at = writeUint32(target, at, valueLength);
    at = copyInto(target, at, parts.value, parts.valueStart, parts.valueEnd);
  }
  if (parts.lease !== 0n) {
    target[at++] = TAG_LEASE;
    at = writeBigInt(target, at, parts.lease);
  }
  return at;
}

/**
 * Reads a KeyValue in place. One object is reused from value to value; its fields describe the last one parsed, as
 * offsets into the array that it lies in.
 */
export class KeyValueView {
  keyStart = 0;
  keyEnd = 0;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  valueStart = 0;
  valueEnd = 0;
  #leaseLow = 0;
  #leaseHigh = 0;
  #position = 0;
  #low = 0;
  #high = 0;

  get lease(): LeaseId {
    if ((this.#leaseLow | this.#leaseHigh) === 0) return 0n;
    return (BigInt(this.#leaseHigh) << 32n) | BigInt(this.#leaseLow >>> 0);
  }

  /** False when `buffer[start, end)` is not an encoded KeyValue. */
  parse(buffer: Uint8Array, start: number, end: number): boolean {
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.createRevision = this.modRevision = this.version = 0;
    this.#leaseLow = this.#leaseHigh = 0;
    this.#position = start;
    while (this.#position < end) if (!this.#field(buffer, end)) return false;
    return this.#position === end;
  }

  #field(buffer: Uint8Array, end: number): boolean {
    if (!this.#varint(buffer, end)) return false;
    const tag = this.#low;
    if (this.#high !== 0 || tag >>> 3 === 0) return false;
    if (tag === TAG_KEY || tag === TAG_VALUE) {
      if (!this.#length(buffer, end)) return false;
      const from = this.#position;
      this.#position += this.#low;
      if (tag === TAG_KEY) {
        this.keyStart = from;
        this.keyEnd = this.#position;
      } else {
        this.valueStart = from;
        this.valueEnd = this.#position;
      }
      return true;
    }
    const wireType = tag & 7;
    if (wireType === 0) return this.#scalar(tag, buffer, end);
    // Fields of newer versions are passed over.
    if (wireType === 2) {
      if (!this.#length(buffer, end)) return false;
      this.#position += this.#low;
    } else if (wireType === 1) this.#position += 8;
    else if (wireType === 5) this.#position += 4;
    else return false;
    return this.#position <= end;
  }

  #scalar(tag: number, buffer: Uint8Array, end: number): boolean {
    if (!this.#varint(buffer, end)) return false;
    if (tag === TAG_CREATE_REVISION) this.createRevision = this.#counter();
    else if (tag === TAG_MOD_REVISION) this.modRevision = this.#counter();
    else if (tag === TAG_VERSION) this.version = this.#counter();
    else if (tag === TAG_LEASE) {
      this.#leaseLow = this.#low;
      this.#leaseHigh = this.#high;
    }
    return true;
  }

  #counter(): number {
    return this.#high * TWO_POW_32 + (this.#low >>> 0);
  }

  /** Leaves a length in `#low` that does not reach beyond `end`. */
  #length(buffer: Uint8Array, end: number): boolean {
    if (!this.#varint(buffer, end)) return false;
    return this.#high === 0 && this.#low >= 0 && this.#low <= end - this.#position;
  }

  /** Leaves the value in `#low` and `#high`, signed words. */
  #varint(buffer: Uint8Array, end: number): boolean {
    let at = this.#position;
    let low = 0;
    let high = 0;
    for (let shift = 0; at < end; shift += 7) {
      const byte = buffer[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else if (shift === 63 && bits <= 1) high |= bits << 31;
      else return false;
      if (byte < 0x80) {
        this.#position = at;
        this.#low = low;
        this.#high = high;
        return true;
      }
    }
    return false;
  }
}

/** Copies `source[start, end)` to `target` at `at`; returns the position behind. */
export function copyInto(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length <= CALL_BYTES) for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
  else if (length === source.length) target.set(source, at);
  else target.set(source.subarray(start, end), at);
  return at + length;
}

function writeField(target: Uint8Array, at: number, tag: number, value: number): number {
  target[at] = tag;
  return writeInt64(target, at + 1, value);
}
