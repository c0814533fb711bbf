/**
 * The envelope in which requests travel through the log: `InternalRaftRequest`, with one field for each kind of request.
 * On the hot path a client's bytes are put into it as they came, and taken out as a range, without decoding the envelope
 * as a message.
 */
import { sizeDelimited, writeUint32 } from '@etcd/api/wire';
import type { RequestIds } from './request-ids.ts';

/** Field numbers of InternalRaftRequest. */
export const RequestField = {
  V2: 2,
  RANGE: 3,
  PUT: 4,
  DELETE_RANGE: 5,
  TXN: 6,
  COMPACTION: 7,
  LEASE_GRANT: 8,
  LEASE_REVOKE: 9,
  ALARM: 10,
  LEASE_CHECKPOINT: 11,
  HEADER: 100,
  CLUSTER_VERSION_SET: 1300,
  CLUSTER_MEMBER_ATTR_SET: 1301,
  DOWNGRADE_INFO_SET: 1302,
  DOWNGRADE_VERSION_TEST: 9900,
} as const;

/** Tag of the field `header`, and of the field `ID` in it. */
const HEADER_TAG_LOW = ((RequestField.HEADER << 3) & 0x7f) | 0x80 | 2;
const HEADER_TAG_HIGH = (RequestField.HEADER << 3) >>> 7;
const HEADER_ID_TAG = 0x08;
const WIRE_DELIMITED = 2;

/** Log entries are encoded into chunks of this size; a chunk lives as long as one of its entries is in the log. */
const CHUNK_BYTES = 128 * 1024;
/** An entry of more than this gets memory of its own. */
const MAX_SHARED_BYTES = CHUNK_BYTES / 8;

/** Puts requests into envelopes. */
export class RequestEncoder {
  readonly #ids: RequestIds;
  #chunk: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(ids: RequestIds) {
    this.#ids = ids;
  }

  /** Size of the envelope that {@link encode} makes. */
  size(field: number, length: number, idSuffix: number): number {
    const headerBytes = 1 + this.#ids.size(idSuffix);
    return tagSize(field) + sizeDelimited(length) + 2 + sizeDelimited(headerBytes);
  }

  /** An envelope with a copy of `bytes[start, end)` as its `field`; the caller may keep it. */
  encode(field: number, bytes: Uint8Array, start: number, end: number, idSuffix: number): Uint8Array {
    const size = this.size(field, end - start, idSuffix);
    const begin = this.#reserve(size);
    const target = this.#chunk;
    let position = writeUint32(target, begin, (field << 3) | WIRE_DELIMITED);
    position = writeUint32(target, position, end - start);
    target.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), position);
    position += end - start;
    target[position++] = HEADER_TAG_LOW;
    target[position++] = HEADER_TAG_HIGH;
    target[position++] = 1 + this.#ids.size(idSuffix);
    target[position++] = HEADER_ID_TAG;
    position = this.#ids.write(idSuffix, target, position);
    return target.subarray(begin, position);
  }

  #reserve(size: number): number {
    if (this.#used + size > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(size > MAX_SHARED_BYTES ? size : CHUNK_BYTES);
      this.#used = 0;
    }
    const begin = this.#used;
    this.#used += size;
    return begin;
  }
}

/** Takes envelopes apart; one for all, its fields hold what {@link parse} found last. */
export class RequestEnvelope {
  /** The kind of request: a field number; 0 when the envelope has none, or more than this parser understands. */
  field = 0;
  /** The request is `bytes[start, end)`. */
  start = 0;
  end = 0;
  /** Of the request's id: its upper 16 and its lower 48 bits; both 0 without one. */
  idPrefix = 0;
  idSuffix = 0;

  /**
   * False if `bytes` is anything but an envelope of the usual form (one request and a header with nothing but an id): then
   * the codec's decoder has to look at it.
   */
  parse(bytes: Uint8Array): boolean {
    this.field = 0;
    this.idPrefix = 0;
    this.idSuffix = 0;
    let position = 0;
    while (position < bytes.length) {
      position = this.#readVarint(bytes, position);
      const tag = this.#low;
      if (position < 0 || this.#high !== 0 || (tag & 7) !== WIRE_DELIMITED) return false;
      position = this.#readVarint(bytes, position);
      if (position < 0 || this.#high !== 0) return false;
      const end = position + this.#low;
      if (end > bytes.length) return false;
      const field = tag >>> 3;
      if (field === RequestField.HEADER) {
        if (!this.#readHeader(bytes, position, end)) return false;
      } else {
        if (this.field !== 0) return false;
        this.field = field;
        this.start = position;
        this.end = end;
      }
      position = end;
    }
    return this.field !== 0;
  }

  #low = 0;
  #high = 0;

  #readHeader(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) return true;
    if (bytes[start] !== HEADER_ID_TAG) return false;
    if (this.#readVarint(bytes, start + 1) !== end) return false;
    this.idPrefix = this.#high >>> 16;
    this.idSuffix = (this.#high & 0xffff) * 2 ** 32 + this.#low;
    return true;
  }

  /** Reads into `#low` and `#high`; returns the position behind, -1 when there is no varint of at most 64 bits. */
  #readVarint(bytes: Uint8Array, position: number): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= bytes.length) return -1;
      const byte = bytes[position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return position;
      }
    }
    return -1;
  }
}

function tagSize(field: number): number {
  return field < 16 ? 1 : field < 2048 ? 2 : 3;
}
