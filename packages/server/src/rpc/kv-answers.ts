/**
 * Responses of the KV service, written from the store's results without building messages: stored pairs are copied as
 * the encoded bytes that they are. For every response there is its exact size and its writer, which agree.
 */
import type { Revision } from '@etcd/api';
import { sizeDelimited, sizeInt64, sizeUint32, writeInt64, writeUint32 } from '@etcd/api/wire';
import { unreachable } from '@etcd/base';
import {
  DELETE_RANGE,
  type DeleteRangeResult,
  NOTHING,
  type OpResult,
  PUT,
  type PutResult,
  RANGE,
  type RangeResult,
  type Slices,
  TXN,
  type TxnResult,
} from '@etcd/storage/mvcc';
import { type Body, MIN_REFERRED_BYTES } from '@etcd/transport';
import { EMPTY_HEADER, type HeaderWriter, INNER_HEADER } from './response-header.ts';

const delimited = (field: number): number => (field << 3) | 2;
const varint = (field: number): number => field << 3;

const RANGE_KVS_TAG = delimited(2);
const RANGE_MORE_TAG = varint(3);
const RANGE_COUNT_TAG = varint(4);
const PUT_PREV_KV_TAG = delimited(2);
const DELETE_DELETED_TAG = varint(2);
const DELETE_PREV_KVS_TAG = delimited(3);
const TXN_SUCCEEDED_TAG = varint(2);
const TXN_RESPONSES_TAG = delimited(3);

// --- range

export function sizeRangeAnswer(result: RangeResult, header: HeaderWriter): number {
  return header.size(result.revision) + sizePairs(result.kvs) + sizeRangeEnd(result);
}

export function writeRangeAnswer(
  result: RangeResult,
  header: HeaderWriter,
  target: Uint8Array,
  position: number,
): number {
  position = header.write(target, position, result.revision);
  position = writePairs(result.kvs, RANGE_KVS_TAG, target, position);
  return writeRangeEnd(result, target, position);
}

/** The same into `body`, for answers that are too large for one piece. */
export function appendRangeAnswer(result: RangeResult, header: HeaderWriter, body: Body, lend: Lend): void {
  appendHeader(header, result.revision, body);
  appendRangePairs(result.kvs, body, 0, result.kvs.count, lend);
  appendRangeEnd(result, body);
}

export function appendHeader(header: HeaderWriter, revision: Revision, body: Body): void {
  const position = body.reserve(header.size(revision));
  header.write(body.block, position, revision);
}

/** Asks that `buffer`, in which a pair lies, never change again while somebody refers to it: false where it may. */
export type Lend = (buffer: Uint8Array) => boolean;

/** All pairs are copied. */
export const NOTHING_LENT: Lend = () => false;

/** The pairs `from` to `to`, without that one. */
export function appendRangePairs(kvs: Slices, body: Body, from: number, to: number, lend: Lend): void {
  for (let i = from; i < to; i++) {
    const start = kvs.start(i);
    const end = kvs.end(i);
    const position = body.reserve(1 + sizeUint32(end - start));
    body.block[position] = RANGE_KVS_TAG;
    writeUint32(body.block, position + 1, end - start);
    const buffer = kvs.buffer(i);
    if (end - start >= MIN_REFERRED_BYTES && lend(buffer)) body.appendLasting(buffer, start, end);
    else body.append(buffer, start, end);
  }
}

export function appendRangeEnd(result: RangeResult, body: Body): void {
  const position = body.reserve(sizeRangeEnd(result));
  writeRangeEnd(result, body.block, position);
}

/** What comes behind the pairs: whether there are more, and how many there are in all. */
function sizeRangeEnd({ more, count }: RangeResult): number {
  return (more ? 2 : 0) + (count === 0 ? 0 : 1 + sizeInt64(count));
}

function writeRangeEnd({ more, count }: RangeResult, target: Uint8Array, position: number): number {
  if (more) {
    target[position++] = RANGE_MORE_TAG;
    target[position++] = 1;
  }
  if (count === 0) return position;
  target[position++] = RANGE_COUNT_TAG;
  return writeInt64(target, position, count);
}

/** The pairs of a range alone, as they stand in its answer. */
export function sizeRangePairs(kvs: Slices): number {
  return sizePairs(kvs);
}

// --- put

export function sizePutAnswer(result: PutResult, header: HeaderWriter): number {
  return header.size(result.revision) + (result.prevKv === null ? 0 : sizePairs(result.prevKv));
}

export function writePutAnswer(
  result: PutResult,
  header: HeaderWriter,
  target: Uint8Array,
  position: number,
): number {
  position = header.write(target, position, result.revision);
  return result.prevKv === null ? position : writePairs(result.prevKv, PUT_PREV_KV_TAG, target, position);
}

// --- delete

export function sizeDeleteAnswer(result: DeleteRangeResult, header: HeaderWriter): number {
  const { deleted, prevKvs } = result;
  const size = header.size(result.revision) + (deleted === 0 ? 0 : 1 + sizeInt64(deleted));
  return prevKvs === null ? size : size + sizePairs(prevKvs);
}

export function writeDeleteAnswer(
  result: DeleteRangeResult,
  header: HeaderWriter,
  target: Uint8Array,
  position: number,
): number {
  const { deleted, prevKvs } = result;
  position = header.write(target, position, result.revision);
  if (deleted !== 0) {
    target[position++] = DELETE_DELETED_TAG;
    position = writeInt64(target, position, deleted);
  }
  return prevKvs === null ? position : writePairs(prevKvs, DELETE_PREV_KVS_TAG, target, position);
}

// --- transactions

export function sizeTxnAnswer(result: TxnResult, header: HeaderWriter): number {
  let size = header.size(result.revision) + (result.succeeded ? 2 : 0);
  for (const response of result.responses) size += 1 + sizeDelimited(sizeOp(response));
  return size;
}

export function writeTxnAnswer(
  result: TxnResult,
  header: HeaderWriter,
  target: Uint8Array,
  position: number,
): number {
  position = header.write(target, position, result.revision);
  if (result.succeeded) {
    target[position++] = TXN_SUCCEEDED_TAG;
    target[position++] = 1;
  }
  for (const response of result.responses) {
    target[position++] = TXN_RESPONSES_TAG;
    position = writeUint32(target, position, sizeOp(response));
    position = writeOp(response, target, position);
  }
  return position;
}

/** Of a ResponseOp: one field, whose number is the kind of operation. */
function sizeOp(result: OpResult): number {
  return result.kind === NOTHING ? 0 : 1 + sizeDelimited(sizeOpContent(result));
}

function writeOp(result: OpResult, target: Uint8Array, position: number): number {
  if (result.kind === NOTHING) return position;
  target[position++] = delimited(OP_FIELDS[result.kind]);
  position = writeUint32(target, position, sizeOpContent(result));
  switch (result.kind) {
    case RANGE:
      return writeRangeAnswer(result, INNER_HEADER, target, position);
    case PUT:
      return writePutAnswer(result, INNER_HEADER, target, position);
    case DELETE_RANGE:
      return writeDeleteAnswer(result, INNER_HEADER, target, position);
    case TXN:
      return writeTxnAnswer(result, EMPTY_HEADER, target, position);
    default:
      return unreachable(result);
  }
}

const OP_FIELDS = { [RANGE]: 1, [PUT]: 2, [DELETE_RANGE]: 3, [TXN]: 4 } as const;

function sizeOpContent(result: OpResult): number {
  switch (result.kind) {
    case RANGE:
      return sizeRangeAnswer(result, INNER_HEADER);
    case PUT:
      return sizePutAnswer(result, INNER_HEADER);
    case DELETE_RANGE:
      return sizeDeleteAnswer(result, INNER_HEADER);
    case TXN:
      return sizeTxnAnswer(result, EMPTY_HEADER);
    case NOTHING:
      return 0;
    default:
      return unreachable(result);
  }
}

// --- pairs

function sizePairs(kvs: Slices): number {
  const { count } = kvs;
  let size = count;
  for (let i = 0; i < count; i++) size += sizeDelimited(kvs.end(i) - kvs.start(i));
  return size;
}

/** Shorter pairs are copied faster by hand than by a call. */
const MAX_HAND_COPIED_BYTES = 48;

function writePairs(kvs: Slices, tag: number, target: Uint8Array, position: number): number {
  const { count } = kvs;
  for (let i = 0; i < count; i++) {
    const buffer = kvs.buffer(i);
    const start = kvs.start(i);
    const end = kvs.end(i);
    target[position++] = tag;
    position = writeUint32(target, position, end - start);
    if (end - start <= MAX_HAND_COPIED_BYTES) {
      for (let at = start; at < end; at++) target[position++] = buffer[at]!;
    } else {
      target.set(buffer.subarray(start, end), position);
      position += end - start;
    }
  }
  return position;
}
