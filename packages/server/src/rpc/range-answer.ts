/**
 * Answers to ranges. Small ones are read and written in one go. Large ones are read in slices, so that nobody else waits
 * long. Where pairs are of some size, they are found first and copied, or referred to, as they are sent: so the answer is in memory
 * once, unless its reader is slow: what is queued for him is a copy beside what was found, until all is queued. Small ones are copied as they are found. A streamed
 * range is sent as it is read, at the pace of its reader.
 *
 * Both hold a view of the store between two slices, so that no compaction and no snapshot from the leader cuts them short. A
 * large range goes as fast as the event loop lets it and is practically always done before its view would be ended; a stream may not
 * be, and then ends with ErrCompacted (etcd's does as soon as it is overtaken), or with ErrStopped when the store was replaced.
 *
 * What takes several turns is judged again before anything of it is sent: users and roles may have changed meanwhile.
 */
import type { InternalError } from '@etcd/api';
import type { RangeRequest } from '@etcd/api/etcdserverpb';
import { sizeUint32, writeUint32 } from '@etcd/api/wire';
import { executeRange, type RangeResult, RangeScan, type Store } from '@etcd/storage/mvcc';
import type { Body, CallReceiver, ServerCall } from '@etcd/transport';
import {
  appendHeader,
  appendRangeAnswer,
  appendRangeEnd,
  appendRangePairs,
  type Lend,
  NOTHING_LENT,
  sizeRangeAnswer,
  sizeRangePairs,
  writeRangeAnswer,
} from './kv-answers.ts';
import type { HeaderWriter, ResponseHeaderWriter } from './response-header.ts';
import { refuseInternal } from './rpc-context.ts';

/** Bytes that are copied before others get a turn. */
const SLICE_BYTES = 4 * 1024 * 1024;
/** A complete answer up to this size goes straight into the connection's output. */
const MAX_INLINE_BYTES = 64 * 1024;

/** From this size of a pair on, a large range holds where pairs are until it has found them all, instead of copying them. */
const MIN_FOUND_BYTES = 1024;

/** Whose range it is. */
export interface RangeOwner {
  /** Why its client must not be told (any more) what the range holds; null where it may be. */
  refusal(): InternalError | null;
  /** Told once when the range has been answered, or refused; not when its client has gone before. */
  onRanged(success: boolean): void;
}

export function answerRange(
  call: ServerCall,
  store: Store,
  request: RangeRequest,
  header: ResponseHeaderWriter,
  owner: RangeOwner,
): void {
  if (request.rangeEnd.length === 0 || request.countOnly) {
    return answerWhole(call, executeRange(store, request), header, owner, NOTHING_LENT);
  }
  const scan = new RangeScan(store, request);
  if (scan.step(store.slices.rangeKeys)) return answerWhole(call, scan.result, header, owner, scan.lend);
  scan.hold(store);
  new LargeRange(call, store, scan, header, owner).next();
}

function answerWhole(
  call: ServerCall,
  result: RangeResult,
  header: HeaderWriter,
  owner: RangeOwner,
  lend: Lend,
): void {
  if (result.error !== null) return refuseRange(call, result.error, owner);
  writeWhole(call, result, header, lend);
  owner.onRanged(true);
}

function refuseRange(call: ServerCall, error: InternalError, owner: RangeOwner): void {
  refuseInternal(call, error);
  owner.onRanged(false);
}

function writeWhole(call: ServerCall, result: RangeResult, header: HeaderWriter, lend: Lend): void {
  const size = sizeRangeAnswer(result, header);
  if (size <= MAX_INLINE_BYTES) {
    const position = call.reserve(size);
    writeRangeAnswer(result, header, call.output, position);
    return;
  }
  const body = call.openBody(size);
  appendRangeAnswer(result, header, body, lend);
  call.closeAnswer(body);
}

class LargeRange {
  readonly #call: ServerCall;
  readonly #store: Store;
  readonly #scan: RangeScan;
  readonly #header: HeaderWriter;
  readonly #owner: RangeOwner;
  /** What pairs are copied to as they are found; null where they are found first. */
  #copy: Body | null = null;

  /** @param scan has made its first step. */
  constructor(call: ServerCall, store: Store, scan: RangeScan, header: HeaderWriter, owner: RangeOwner) {
    this.#owner = owner;
    this.#call = call;
    this.#store = store;
    this.#scan = scan;
    this.#header = header;
    const { kvs, revision } = scan.result;
    if (!scan.isInOrder || kvs.bytes >= kvs.count * MIN_FOUND_BYTES) return;
    this.#copy = call.newBody();
    // The revision of the answer is known from the beginning, so its header can be written first.
    appendHeader(header, revision, this.#copy);
    this.#take(this.#copy);
  }

  readonly next = (): void => {
    if (!this.#call.isAlive) return this.#giveUp();
    const isDone = this.#scan.step(this.#store.slices.rangeKeys);
    const { result } = this.#scan;
    if (result.error !== null) return this.#refuse(result.error);
    if (this.#copy !== null) this.#take(this.#copy);
    if (!isDone) return this.#store.clock.defer(this.next);
    const refusal = this.#owner.refusal();
    if (refusal !== null) this.#refuse(refusal);
    else if (this.#copy !== null) this.#finish(this.#copy);
    else this.#send();
  };

  #giveUp(): void {
    this.#scan.close();
    this.#copy?.discard();
  }

  #refuse(error: InternalError): void {
    this.#copy?.discard();
    refuseRange(this.#call, error, this.#owner);
  }

  /** Copies what the scan has found so far, and forgets it. */
  #take(copy: Body): void {
    const { kvs } = this.#scan.result;
    appendRangePairs(kvs, copy, 0, kvs.count, NOTHING_LENT);
    kvs.clear();
  }

  #finish(copy: Body): void {
    appendRangeEnd(this.#scan.result, copy);
    this.#call.respondBody(copy);
    this.#owner.onRanged(true);
  }

  #send(): void {
    const { result } = this.#scan;
    const body = this.#call.openBody(sizeRangeAnswer(result, this.#header));
    appendHeader(this.#header, result.revision, body);
    this.#sendFrom(0, body);
  }

  /** Sends a slice of what has been found. */
  #sendFrom(from: number, body: Body): void {
    const { kvs } = this.#scan.result;
    const maxLength = body.length + SLICE_BYTES;
    const end = Math.min(kvs.count, from + Math.max(1, this.#store.slices.rangeKeys));
    let next = from;
    while (next < end && body.length < maxLength) {
      appendRangePairs(kvs, body, next, next + 1, this.#scan.lend);
      next++;
    }
    if (next < kvs.count && this.#call.isAlive) {
      return this.#store.clock.defer(() => this.#sendFrom(next, body));
    }
    if (next === kvs.count) appendRangeEnd(this.#scan.result, body);
    this.#call.closeAnswer(body);
    if (!this.#call.isCancelled) this.#owner.onRanged(true);
  }
}

// --- streams

/** Keys in the first chunk of a stream; later ones have as many as make about half the size that a request may have. */
const FIRST_CHUNK_KEYS = 10;
/** Field 1 of RangeStreamResponse. */
const RANGE_RESPONSE_TAG = (1 << 3) | 2;

export function streamRange(
  call: ServerCall,
  store: Store,
  request: RangeRequest,
  header: ResponseHeaderWriter,
  targetBytes: number,
  owner: RangeOwner,
): void {
  const stream = new RangeStream(call, store, request, header, targetBytes, owner);
  call.receiver = stream;
  stream.next();
}

/** Sends chunks while the client takes them; the header, `more` and the count come with the last one. */
class RangeStream implements CallReceiver {
  readonly #call: ServerCall;
  readonly #store: Store;
  readonly #scan: RangeScan;
  readonly #header: HeaderWriter;
  readonly #targetBytes: number;
  readonly #isCountOnly: boolean;
  readonly #owner: RangeOwner;
  #chunkKeys = FIRST_CHUNK_KEYS;

  constructor(
    call: ServerCall,
    store: Store,
    request: RangeRequest,
    header: HeaderWriter,
    targetBytes: number,
    owner: RangeOwner,
  ) {
    this.#owner = owner;
    this.#call = call;
    this.#store = store;
    this.#scan = new RangeScan(store, request);
    this.#header = header;
    this.#targetBytes = targetBytes;
    this.#isCountOnly = request.countOnly;
  }

  onWritable(): void {
    this.next();
  }

  onCancel(): void {
    this.#scan.close();
  }

  readonly next = (): void => {
    if (!this.#call.isAlive) return this.#scan.close();
    const { kvs } = this.#scan.result;
    const { rangeKeys } = this.#store.slices;
    const isDone = this.#scan.step(Math.max(1, Math.min(rangeKeys, this.#chunkKeys - kvs.count)));
    const { error } = this.#scan.result;
    if (error !== null) return refuseRange(this.#call, error, this.#owner);
    if (isDone) return this.#finish();
    this.#scan.hold(this.#store);
    if (kvs.count < this.#chunkKeys) return this.#store.clock.defer(this.next);
    if (!this.#isPermitted()) return;
    const body = this.#begin(sizeRangePairs(kvs));
    appendRangePairs(kvs, body, 0, kvs.count, this.#scan.lend);
    kvs.clear();
    this.#adjust(body.length);
    if (this.#call.closeMessage(body)) this.#store.clock.defer(this.next);
  };

  /** Ends the stream otherwise. */
  #isPermitted(): boolean {
    const refusal = this.#owner.refusal();
    if (refusal === null) return true;
    this.#scan.close();
    refuseRange(this.#call, refusal, this.#owner);
    return false;
  }

  #finish(): void {
    if (!this.#isPermitted()) return;
    const { result } = this.#scan;
    // A count alone is all in one chunk anyway; otherwise pairs, header and count make the last one.
    if (this.#isCountOnly) result.more = false;
    const body = this.#begin(sizeRangeAnswer(result, this.#header));
    appendRangeAnswer(result, this.#header, body, this.#scan.lend);
    this.#call.closeMessage(body);
    this.#call.end();
    this.#owner.onRanged(true);
  }

  /** A message whose RangeResponse, to be appended, has `size` bytes. */
  #begin(size: number): Body {
    const tagBytes = 1 + sizeUint32(size);
    const body = this.#call.openBody(tagBytes + size);
    const position = body.reserve(tagBytes);
    body.block[position] = RANGE_RESPONSE_TAG;
    writeUint32(body.block, position + 1, size);
    return body;
  }

  /** Chunks of about the size of a request: doubled while much smaller, halved when much larger. */
  #adjust(bytes: number): void {
    if (bytes < this.#targetBytes / 2) this.#chunkKeys *= 2;
    else if (bytes > this.#targetBytes * 2) this.#chunkKeys = Math.max(1, Math.floor(this.#chunkKeys / 2));
  }
}
