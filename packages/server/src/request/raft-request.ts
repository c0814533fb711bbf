/**
 * The envelope in which requests travel through the log: `InternalRaftRequest`, with one field for each kind of request, and a header
 * that says who asks. On the hot path a client's bytes are put into it as they came, and taken out as a range, without
 * decoding the envelope as a message.
 */
import { sizeDelimited, sizeUint32, sizeUint64, writeUint32, writeUint64 } from '@etcd/api/wire';
import { copyBytes, EMPTY_BYTES, utf8FromBytes, utf8ToBytes } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { EnvelopeMemory } from './envelope-memory.ts';
import { KINDS, type Kind, type RequestOf } from './kinds.ts';
import type { RequestIds } from './request-ids.ts';

const HEADER_FIELD = 100;
/** Tags of the field `header`, and of the fields in it. */
const HEADER_TAG_LOW = ((HEADER_FIELD << 3) & 0x7f) | 0x80 | 2;
const HEADER_TAG_HIGH = (HEADER_FIELD << 3) >>> 7;
const HEADER_ID_TAG = (1 << 3) | 0;
const HEADER_USERNAME_TAG = (2 << 3) | 2;
const HEADER_AUTH_REVISION_TAG = (3 << 3) | 0;
const WIRE_DELIMITED = 2;

/** Puts requests into envelopes. */
export class RequestEncoder {
  readonly #ids: RequestIds;
  readonly #memory = new EnvelopeMemory();
  /** Where the envelope begins that is being written, in the memory. */
  #begin = 0;
  /** Who asked last, and the fields of the header that say so: mostly it is the same client again. */
  #identity: Identity = NO_IDENTITY;
  #identityBytes: Uint8Array = EMPTY_BYTES;

  constructor(ids: RequestIds) {
    this.#ids = ids;
  }

  /** An envelope with `request`; the caller may keep it until he {@link release | releases} it. */
  encode<K extends Kind>(kind: K, request: RequestOf<K>, identity: Identity, idSuffix: number): Uint8Array {
    const { field, codec } = KINDS[kind];
    const length = codec.size(request);
    const position = this.#open(field, length, identity, idSuffix);
    codec.write(request, this.#memory.bytes, position);
    return this.#close(position + length, idSuffix);
  }

  /** An envelope with a copy of `bytes[start, end)`, a request of this kind as its client has encoded it. */
  encodeBytes(
    kind: Kind,
    bytes: Uint8Array,
    start: number,
    end: number,
    identity: Identity,
    idSuffix: number,
  ): Uint8Array {
    const position = this.#open(KINDS[kind].field, end - start, identity, idSuffix);
    this.#memory.bytes.set(
      start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end),
      position,
    );
    return this.#close(position + end - start, idSuffix);
  }

  /** The entry with this data has left the log for good, and nobody looks at it any more. Any entry may come: most are ours. */
  release(data: Uint8Array): void {
    this.#memory.release(data);
  }

  /** Finds room for the whole; returns where the request goes. */
  #open(field: number, length: number, identity: Identity, idSuffix: number): number {
    if (identity !== this.#identity) this.#setIdentity(identity);
    const headerBytes = this.#headerBytes(idSuffix);
    const tag = (field << 3) | WIRE_DELIMITED;
    const memory = this.#memory;
    this.#begin = memory.reserve(sizeUint32(tag) + sizeDelimited(length) + 2 + sizeDelimited(headerBytes));
    const position = writeUint32(memory.bytes, this.#begin, tag);
    return writeUint32(memory.bytes, position, length);
  }

  /** Writes the header behind the request, which ends at `position`. */
  #close(position: number, idSuffix: number): Uint8Array {
    const target = this.#memory.bytes;
    target[position++] = HEADER_TAG_LOW;
    target[position++] = HEADER_TAG_HIGH;
    position = writeUint32(target, position, this.#headerBytes(idSuffix));
    target[position++] = HEADER_ID_TAG;
    position = this.#ids.write(idSuffix, target, position);
    const identityBytes = this.#identityBytes;
    for (let i = 0; i < identityBytes.length; i++) target[position++] = identityBytes[i]!;
    return target.subarray(this.#begin, position);
  }

  #headerBytes(idSuffix: number): number {
    return 1 + this.#ids.size(idSuffix) + this.#identityBytes.length;
  }

  #setIdentity(identity: Identity): void {
    this.#identity = identity;
    this.#identityBytes = encodeIdentity(identity);
  }
}

function encodeIdentity({ name, revision }: Identity): Uint8Array {
  const nameBytes = utf8ToBytes(name);
  const nameSize = name === '' ? 0 : 1 + sizeDelimited(nameBytes.length);
  const target = new Uint8Array(nameSize + (revision === 0 ? 0 : 1 + sizeUint64(revision)));
  let position = 0;
  if (name !== '') {
    target[position++] = HEADER_USERNAME_TAG;
    position = writeUint32(target, position, nameBytes.length);
    target.set(nameBytes, position);
    position += nameBytes.length;
  }
  if (revision !== 0) {
    target[position++] = HEADER_AUTH_REVISION_TAG;
    writeUint64(target, position, revision);
  }
  return target;
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
  /** Who asks: a user's name is `bytes[nameStart, nameEnd)`. */
  nameStart = 0;
  nameEnd = 0;
  authRevision = 0;
  #identity: Identity = NO_IDENTITY;
  #identityName: Uint8Array = EMPTY_BYTES;
  #low = 0;
  #high = 0;

  /**
   * False if `bytes` is anything but an envelope of the usual form (one request and a header with an id, a user's name and an
   * auth revision): then the codec's decoder has to look at it.
   */
  parse(bytes: Uint8Array): boolean {
    this.field = 0;
    this.idPrefix = 0;
    this.idSuffix = 0;
    this.nameStart = 0;
    this.nameEnd = 0;
    this.authRevision = 0;
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
      if (field === HEADER_FIELD) {
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

  /** Who asks, by the header of `bytes`, which were parsed last. */
  identity(bytes: Uint8Array): Identity {
    const { nameStart, nameEnd, authRevision } = this;
    if (authRevision === 0 && nameStart === nameEnd) return NO_IDENTITY;
    const name = bytes.subarray(nameStart, nameEnd);
    if (this.#identity.revision !== authRevision || Buffer.compare(this.#identityName, name) !== 0) {
      this.#identityName = copyBytes(name);
      this.#identity = { name: utf8FromBytes(name), revision: authRevision };
    }
    return this.#identity;
  }

  #readHeader(bytes: Uint8Array, start: number, end: number): boolean {
    let position = start;
    while (position < end) {
      const tag = bytes[position++];
      position = this.#readVarint(bytes, position);
      if (position < 0) return false;
      if (tag === HEADER_ID_TAG) {
        this.idPrefix = this.#high >>> 16;
        this.idSuffix = (this.#high & 0xffff) * 2 ** 32 + this.#low;
      } else if (tag === HEADER_USERNAME_TAG) {
        if (this.#high !== 0) return false;
        this.nameStart = position;
        position += this.#low;
        this.nameEnd = position;
      } else if (tag === HEADER_AUTH_REVISION_TAG) {
        this.authRevision = this.#high * 2 ** 32 + this.#low;
      } else {
        return false;
      }
    }
    return position === end;
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
