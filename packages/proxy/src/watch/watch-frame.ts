/**
 * A message of a watch as it came from a member: what is in it, found without decoding its events, and its bytes without the watcher's id.
 * Every client's watcher gets these bytes with an id of its own behind them: the order of fields means nothing in protobuf.
 */
import { DecodeError } from '@etcd/api';
import {
  decodeResponseHeader,
  decodeWatchResponse,
  encodeWatchResponse,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import { decodeEvent } from '@etcd/api/mvccpb';
import { sizeBigInt, writeBigInt } from '@etcd/api/wire';

const HEADER = 1;
const WATCH_ID = 2;
const CREATED = 3;
const CANCELED = 4;
const COMPACT_REVISION = 5;
const CANCEL_REASON = 6;
const FRAGMENT = 7;
const EVENTS = 11;

const VARINT = 0;
const DELIMITED = 2;
/** A negative number takes so many bytes. */
const NEGATIVE_BYTES = 10;

const WATCH_ID_TAG = WATCH_ID << 3;
const NOTHING = new Uint8Array(0);

/** The id of messages that are for no watcher in particular. */
export const NO_WATCH = -1;

/** The field with a watcher's id, as it is written behind a body; empty for 0. */
export function watchIdField(id: bigint): Uint8Array {
  if (id === 0n) return NOTHING;
  const field = new Uint8Array(1 + sizeBigInt(id));
  field[0] = WATCH_ID_TAG;
  writeBigInt(field, 1, id);
  return field;
}

export const NO_WATCH_FIELD = watchIdField(-1n);

export class WatchFrame {
  watchId = 0;
  created = false;
  canceled = false;
  fragment = false;
  compactRevision = 0;
  cancelReason = '';
  /** Of the store, by the header. */
  revision = 0;
  eventCount = 0;
  firstRevision = 0;
  lastRevision = 0;
  /** The message without the watcher's id. */
  body: Uint8Array = NOTHING;
  /** The header's field, for messages that are made here. */
  header: Uint8Array = NOTHING;
  #filtered: { readonly key: string; readonly body: Uint8Array | null } | null = null;

  /** Reads `bytes[start, end)`, of which it keeps a copy. Throws {@link DecodeError}. */
  static read(bytes: Uint8Array, start: number, end: number): WatchFrame {
    const frame = new WatchFrame();
    frame.#scan(bytes, start, end);
    return frame;
  }

  decode(): WatchResponse {
    return decodeWatchResponse(this.body);
  }

  /** Puts another message in the place of the body. */
  replace(response: WatchResponse): void {
    response.watchId = 0n;
    this.body = encodeWatchResponse(response);
  }

  /**
   * The body without what a watcher has had: events before `nextRevision`, and those of it whose place among its revision's is below
   * `skip`. Null when nothing is left.
   * @param base how many events of the first revision came in messages before this one.
   */
  without(nextRevision: number, skip: number, base: number): Uint8Array | null {
    const key = `${nextRevision} ${skip} ${base}`;
    if (this.#filtered?.key === key) return this.#filtered.body;
    const response = this.decode();
    let revision = this.firstRevision;
    let place = base;
    response.events = response.events.filter(({ kv }) => {
      const own = kv?.modRevision ?? 0;
      if (own !== revision) {
        revision = own;
        place = 0;
      }
      const isNew = own > nextRevision || (own === nextRevision && place >= skip);
      place++;
      return isNew;
    });
    const body = response.events.length === 0 ? null : encodeWatchResponse(response);
    this.#filtered = { key, body };
    return body;
  }

  /** How many of the last events are of the last revision. */
  lastRevisionCount(): number {
    const { events } = this.decode();
    let count = 0;
    while (count < events.length && events[events.length - 1 - count]!.kv?.modRevision === this.lastRevision)
      count++;
    return count;
  }

  #scan(bytes: Uint8Array, start: number, end: number): void {
    let firstEvent = -1;
    let firstEventEnd = -1;
    let lastEvent = -1;
    let lastEventEnd = -1;
    let idStart = -1;
    let idEnd = -1;
    const reader = new Reader(bytes, start, end);
    while (reader.at < end) {
      const fieldStart = reader.at;
      const tag = reader.varint();
      const field = tag >>> 3;
      if ((tag & 7) === VARINT) {
        const value = reader.varint();
        if (field === WATCH_ID) {
          this.watchId = value;
          idStart = fieldStart;
          idEnd = reader.at;
        } else this.#setNumber(field, value);
        continue;
      }
      if ((tag & 7) !== DELIMITED) throw reader.malformed();
      const length = reader.varint();
      const from = reader.at;
      reader.skip(length);
      if (field === EVENTS) {
        if (this.eventCount++ === 0) {
          firstEvent = from;
          firstEventEnd = reader.at;
        }
        lastEvent = from;
        lastEventEnd = reader.at;
      } else if (field === HEADER) {
        this.revision = decodeResponseHeader(bytes, from, reader.at).revision;
        this.header = copyOf(bytes, fieldStart, reader.at);
      } else if (field === CANCEL_REASON) {
        this.cancelReason = Buffer.from(bytes.subarray(from, reader.at)).toString('utf8');
      }
    }
    if (this.eventCount > 0) {
      this.firstRevision = decodeEvent(bytes, firstEvent, firstEventEnd).kv?.modRevision ?? 0;
      this.lastRevision =
        this.eventCount === 1
          ? this.firstRevision
          : (decodeEvent(bytes, lastEvent, lastEventEnd).kv?.modRevision ?? 0);
    }
    this.body = withoutRange(bytes, start, end, idStart, idEnd);
  }

  #setNumber(field: number, value: number): void {
    if (field === CREATED) this.created = value !== 0;
    else if (field === CANCELED) this.canceled = value !== 0;
    else if (field === FRAGMENT) this.fragment = value !== 0;
    else if (field === COMPACT_REVISION) this.compactRevision = value;
  }
}

/** Varints of one message. */
class Reader {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.at = start;
    this.#end = end;
  }

  /** A negative one is {@link NO_WATCH}: the only one that there is. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 1; this.at < this.#end; count++) {
      const byte = this.#bytes[this.at++]!;
      if (count === NEGATIVE_BYTES) return NO_WATCH;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw this.malformed();
  }

  /** A length of ten bytes is none. */
  skip(length: number): void {
    if (length < 0 || this.at + length > this.#end) throw this.malformed();
    this.at += length;
  }

  malformed(): DecodeError {
    return new DecodeError('truncated', 'a field beyond the end', 'etcdserverpb.WatchResponse', this.at);
  }
}

function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  copy.set(bytes.subarray(start, end));
  return copy;
}

function withoutRange(bytes: Uint8Array, start: number, end: number, from: number, to: number): Uint8Array {
  if (from < 0) return copyOf(bytes, start, end);
  const rest = new Uint8Array(end - start - (to - from));
  rest.set(bytes.subarray(start, from));
  rest.set(bytes.subarray(to, end), from - start);
  return rest;
}
