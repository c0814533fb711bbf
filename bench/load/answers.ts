/** Looks into answers for the one field that a request source needs, without decoding the rest. */
import { decodeResponseHeader } from '@etcd/api/etcdserverpb';

const HEADER_TAG = 0x0a;
const TXN_SUCCEEDED_TAG = 0x10;
const WATCH_EVENT_TAG = 0x5a;
const WIRE_DELIMITED = 2;

/** A position in a message, moved by what is read. */
const cursor = { position: 0 };

function readVarint(bytes: Uint8Array): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[cursor.position++]!;
    value += (byte & 127) * factor;
    if (byte < 128) return value;
  }
}

/** Sets the cursor behind the header, with which every answer begins; returns where the header begins. */
function passHeader(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== HEADER_TAG) throw new Error('an answer without a header');
  cursor.position = start + 1;
  const length = readVarint(bytes);
  cursor.position += length;
  return cursor.position - length;
}

export function answerRevision(bytes: Uint8Array, start: number): number {
  const headerStart = passHeader(bytes, start);
  return decodeResponseHeader(bytes, headerStart, cursor.position).revision;
}

/** The revision in the header of a message of a RangeStream; 0 if this one has none. */
export function streamedRevision(bytes: Uint8Array, start: number, end: number): number {
  cursor.position = start + 1;
  readVarint(bytes);
  // The message holds a RangeResponse and nothing else.
  const responseStart = cursor.position;
  return responseStart < end && bytes[responseStart] === HEADER_TAG
    ? answerRevision(bytes, responseStart)
    : 0;
}

export function hasSucceeded(bytes: Uint8Array, start: number, end: number): boolean {
  passHeader(bytes, start);
  return cursor.position + 1 < end && bytes[cursor.position] === TXN_SUCCEEDED_TAG;
}

/** The number of events in a WatchResponse. */
export function countEvents(bytes: Uint8Array, start: number, end: number): number {
  let events = 0;
  cursor.position = start;
  while (cursor.position < end) {
    const tag = bytes[cursor.position]!;
    const field = readVarint(bytes);
    if (tag === WATCH_EVENT_TAG) events++;
    const value = readVarint(bytes);
    if ((field & 7) === WIRE_DELIMITED) cursor.position += value;
  }
  return events;
}
