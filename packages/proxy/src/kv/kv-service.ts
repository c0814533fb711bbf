/** The service KV: passes calls on, and remembers the answers to ranges for clients that do not ask for the newest. */
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
  encodeRangeRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { KvService as METHODS } from '@etcd/api/services';
import { type Clock, GrpcCode, latin1FromBytes } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';
import type { Caller } from '../upstream/caller.ts';
import { forwardUnary, Pending } from '../upstream/forward.ts';
import type { KvBackend } from './kv-backend.ts';
import type { RangeCache } from './range-cache.ts';

const NO_BYTES = new Uint8Array(0);
const { methods } = METHODS;

export class KvService {
  readonly #backend: KvBackend;
  readonly #cache: RangeCache;
  readonly #clock: Clock;

  constructor(backend: KvBackend, cache: RangeCache, clock: Clock) {
    this.#backend = backend;
    this.#cache = cache;
    this.#clock = clock;
  }

  range(call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller): void {
    const request = decodeRangeRequest(bytes, start, end);
    const id = cacheId(caller, request);
    const remembered = request.serializable ? this.#cache.get(id, this.#clock.now()) : null;
    if (remembered !== null) return call.respond(remembered);
    const begun = this.#cache.now;
    const pending = new Pending();
    call.receiver = pending;
    pending.question = this.#backend.unary(
      methods.range.path,
      bytes.subarray(start, end),
      caller,
      call.deadlineMs,
      (code, message, answer, from, to) => {
        if (code !== GrpcCode.OK) return call.end(code, message);
        this.#cache.add(id, request, begun, this.#clock.now(), answer, from, to);
        call.respond(answer, from, to);
      },
    );
  }

  put(call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller): void {
    const { key } = decodePutRequest(bytes, start, end);
    this.#write(methods.put.path, call, bytes.subarray(start, end), caller, () =>
      this.#cache.invalidate(key, NO_BYTES),
    );
  }

  deleteRange(call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller): void {
    const { key, rangeEnd } = decodeDeleteRangeRequest(bytes, start, end);
    this.#write(methods.deleteRange.path, call, bytes.subarray(start, end), caller, () =>
      this.#cache.invalidate(key, rangeEnd),
    );
  }

  txn(call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller): void {
    const request = decodeTxnRequest(bytes, start, end);
    this.#write(methods.txn.path, call, bytes.subarray(start, end), caller, () =>
      this.#invalidateTxn(request),
    );
  }

  compact(call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller): void {
    decodeCompactionRequest(bytes, start, end);
    const request = bytes.subarray(start, end);
    forwardUnary(this.#backend, methods.compact.path, call, request, caller, () => this.#cache.dropPast());
  }

  /** Drops what the write may change, now and when it is answered, well or not. */
  #write(path: string, call: ServerCall, request: Uint8Array, caller: Caller, invalidate: () => void): void {
    invalidate();
    const pending = new Pending();
    call.receiver = pending;
    pending.question = this.#backend.unary(
      path,
      request,
      caller,
      call.deadlineMs,
      (code, message, answer, from, to) => {
        invalidate();
        if (code !== GrpcCode.OK) call.end(code, message);
        else call.respond(answer, from, to);
      },
    );
  }

  #invalidateTxn({ compare, success, failure }: TxnRequest): void {
    // A comparison that came out otherwise than expected says that somebody else has written.
    for (const { key, rangeEnd } of compare) this.#cache.invalidate(key, rangeEnd);
    for (const operation of success) this.#invalidateOperation(operation);
    for (const operation of failure) this.#invalidateOperation(operation);
  }

  #invalidateOperation({ requestPut, requestDeleteRange, requestTxn }: RequestOp): void {
    if (requestPut !== null) this.#cache.invalidate(requestPut.key, NO_BYTES);
    if (requestDeleteRange !== null)
      this.#cache.invalidate(requestDeleteRange.key, requestDeleteRange.rangeEnd);
    if (requestTxn !== null) this.#invalidateTxn(requestTxn);
  }
}

/** The same for the same caller and request, whether it may be behind or not. */
function cacheId(caller: Caller, request: RangeRequest): string {
  const wasSerializable = request.serializable;
  request.serializable = true;
  const bytes = encodeRangeRequest(request);
  request.serializable = wasSerializable;
  return `${caller.key}\n${latin1FromBytes(bytes)}`;
}
