/**
 * The KV service: the hot path. Requests are decoded once, judged, and either read from the store or put into the log as
 * the bytes they came in; results are written into the connection's output in place. One object per request waits for
 * whatever has to be waited for, and answers.
 */
import { type InternalError, RPC_ERRORS } from '@etcd/api';
import {
  CompactionRequestCodec,
  CompactionResponse,
  CompactionResponseCodec,
  type DeleteRangeRequest,
  DeleteRangeRequestCodec,
  type PutRequest,
  PutRequestCodec,
  type RangeRequest,
  RangeRequestCodec,
  type TxnRequest,
  TxnRequestCodec,
} from '@etcd/api/etcdserverpb';
import {
  type DeleteRangeResult,
  executeTxn,
  isReadOnly,
  isSerializable,
  type PutResult,
  type TxnResult,
} from '@etcd/storage/mvcc';
import type { ServerCall } from '@etcd/transport';
import { countTxn, putCost, txnCost } from '../apply/index.ts';
import type { EtcdServer } from '../member/index.ts';
import type { CompactionResult, Reader, Waiter } from '../request/index.ts';
import { RequestField } from '../request/index.ts';
import {
  sizeDeleteAnswer,
  sizePutAnswer,
  sizeTxnAnswer,
  writeDeleteAnswer,
  writePutAnswer,
  writeTxnAnswer,
} from './kv-answers.ts';
import { checkDelete, checkPut, checkRange, checkRangeStream, checkTxn } from './kv-checks.ts';
import { answerRange, type RangeListener, streamRange } from './range-answer.ts';
import { RequestTimes, type RequestType } from './request-times.ts';
import type { ResponseHeaderWriter } from './response-header.ts';
import { answer, decodeRequest, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';

/** Answers of more than this are not put into the connection's output, but queued as a chunk of their own. */
const MAX_INLINE_BYTES = 64 * 1024;

export function registerKvService(context: RpcContext): void {
  const service = new KvService(context);
  const { grpc } = context;
  grpc.unary('/etcdserverpb.KV/Range', (...call) => service.range(...call));
  grpc.unary('/etcdserverpb.KV/Put', (...call) => service.put(...call));
  grpc.unary('/etcdserverpb.KV/DeleteRange', (...call) => service.deleteRange(...call));
  grpc.unary('/etcdserverpb.KV/Txn', (...call) => service.txn(...call));
  grpc.unary('/etcdserverpb.KV/Compact', (...call) => service.compact(...call));
  grpc.serverStream('/etcdserverpb.KV/RangeStream', (...call) => service.rangeStream(...call));
}

class KvService {
  readonly #context: RpcContext;
  readonly #server: EtcdServer;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#server = context.server;
    this.#header = context.header;
    const { clock, logger, config } = context.server;
    this.#times = new RequestTimes({
      clock,
      logger,
      metrics: context.metrics,
      warningMs: config.warningUnaryRequestDurationMs,
      warningApplyMs: config.warningApplyDurationMs,
    });
  }

  range(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, RangeRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call, request.serializable)) return;
    const error = checkRange(request);
    if (error !== null) return void refuse(call, error);
    const read = new RangeCall(call, request, this.#server, this.#header, this.#times, false);
    if (request.serializable) this.#server.readLocally(read);
    else this.#server.read(read);
  }

  rangeStream(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, RangeRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const error = checkRangeStream(request);
    if (error !== null) return void refuse(call, error);
    const read = new RangeCall(call, request, this.#server, this.#header, this.#times, true);
    if (request.serializable) this.#server.readLocally(read);
    else this.#server.read(read);
  }

  put(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, PutRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    if (!this.#hasRoom(call, putCost(request))) return;
    const error = checkPut(request);
    if (error !== null) return void refuse(call, error);
    const waiter = new PutCall(call, request, this.#header, this.#times);
    this.#server.propose(RequestField.PUT, bytes, start, end, waiter);
  }

  deleteRange(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, DeleteRangeRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const error = checkDelete(request);
    if (error !== null) return void refuse(call, error);
    const waiter = new DeleteCall(call, request, this.#header, this.#times);
    this.#server.propose(RequestField.DELETE_RANGE, bytes, start, end, waiter);
  }

  txn(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, TxnRequestCodec, bytes, start, end, RPC_ERRORS.ErrGRPCTooManyOps);
    if (request === null || !this.#context.admit(call)) return;
    if (!this.#hasRoom(call, txnCost(request))) return;
    const error = checkTxn(request, this.#server.config.maxTxnOps);
    if (error !== null) return void refuse(call, error);
    const txn = new TxnCall(call, request, this.#server, this.#header, this.#times);
    if (!isReadOnly(request)) this.#server.propose(RequestField.TXN, bytes, start, end, txn);
    else if (isSerializable(request)) this.#server.readLocally(txn);
    else this.#server.read(txn);
  }

  compact(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, CompactionRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const waiter = new CompactCall(call, request.physical, this.#server, this.#header, this.#times);
    this.#server.propose(RequestField.COMPACTION, bytes, start, end, waiter);
  }

  /** Refuses what the quota has no room for, once the alarm that tells of it is up. */
  #hasRoom(call: ServerCall, costBytes: number): boolean {
    if (this.#server.quota.hasRoomFor(costBytes)) return true;
    this.#server.onNoSpace(() => refuse(call, RPC_ERRORS.ErrGRPCNoSpace));
    return false;
  }
}

class RangeCall implements Reader, RangeListener {
  readonly #call: ServerCall;
  readonly #request: RangeRequest;
  readonly #server: EtcdServer;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #isStream: boolean;
  readonly #startMs: number;
  #readMs = 0;

  constructor(
    call: ServerCall,
    request: RangeRequest,
    server: EtcdServer,
    header: ResponseHeaderWriter,
    times: RequestTimes,
    isStream: boolean,
  ) {
    this.#call = call;
    this.#request = request;
    this.#server = server;
    this.#header = header;
    this.#times = times;
    this.#isStream = isStream;
    this.#startMs = times.begin();
  }

  onReadable(): void {
    if (!this.#call.isAlive) return;
    const { store, config } = this.#server;
    this.#times.metrics.rangeTotal.value++;
    this.#readMs = this.#times.begin();
    if (this.#isStream)
      streamRange(this.#call, store, this.#request, this.#header, config.maxRequestBytes, this);
    else answerRange(this.#call, store, this.#request, this.#header, this);
  }

  onRanged(success: boolean): void {
    this.#times.ranged(this.#call, this.#startMs, this.#readMs, success, this.#request);
  }

  onUnreadable(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.answered(this.#call, 'Range', this.#startMs, false, this.#request);
  }
}

class PutCall implements Waiter {
  readonly request: PutRequest;
  readonly #call: ServerCall;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;

  constructor(call: ServerCall, request: PutRequest, header: ResponseHeaderWriter, times: RequestTimes) {
    this.#call = call;
    this.request = request;
    this.#header = header;
    this.#times = times;
    this.#startMs = times.begin();
  }

  onApplied(result: PutResult): void {
    const call = this.#call;
    const position = call.reserve(sizePutAnswer(result, this.#header));
    writePutAnswer(result, this.#header, call.output, position);
    this.#times.answered(call, 'Put', this.#startMs, true, this.request);
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.answered(this.#call, 'Put', this.#startMs, false, this.request);
  }
}

class DeleteCall implements Waiter {
  readonly request: DeleteRangeRequest;
  readonly #call: ServerCall;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;

  constructor(
    call: ServerCall,
    request: DeleteRangeRequest,
    header: ResponseHeaderWriter,
    times: RequestTimes,
  ) {
    this.#call = call;
    this.request = request;
    this.#header = header;
    this.#times = times;
    this.#startMs = times.begin();
  }

  onApplied(result: DeleteRangeResult): void {
    const size = sizeDeleteAnswer(result, this.#header);
    if (size > MAX_INLINE_BYTES) {
      const chunk = Buffer.allocUnsafeSlow(size);
      writeDeleteAnswer(result, this.#header, chunk, 0);
      this.#call.respondChunks([chunk], size);
    } else {
      const position = this.#call.reserve(size);
      writeDeleteAnswer(result, this.#header, this.#call.output, position);
    }
    this.#times.answered(this.#call, 'DeleteRange', this.#startMs, true, this.request);
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.answered(this.#call, 'DeleteRange', this.#startMs, false, this.request);
  }
}

/** A transaction that writes waits to be applied, one that only reads waits to be readable. */
class TxnCall implements Waiter, Reader {
  readonly request: TxnRequest;
  readonly #call: ServerCall;
  readonly #server: EtcdServer;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;
  readonly #type: RequestType;

  constructor(
    call: ServerCall,
    request: TxnRequest,
    server: EtcdServer,
    header: ResponseHeaderWriter,
    times: RequestTimes,
  ) {
    this.#call = call;
    this.request = request;
    this.#server = server;
    this.#header = header;
    this.#times = times;
    this.#startMs = times.begin();
    this.#type = isReadOnly(request) ? 'ReadonlyTxn' : 'Txn';
  }

  onApplied(result: TxnResult): void {
    const size = sizeTxnAnswer(result, this.#header);
    if (size > MAX_INLINE_BYTES) {
      const chunk = Buffer.allocUnsafeSlow(size);
      writeTxnAnswer(result, this.#header, chunk, 0);
      this.#call.respondChunks([chunk], size);
    } else {
      const position = this.#call.reserve(size);
      writeTxnAnswer(result, this.#header, this.#call.output, position);
    }
    this.#times.answered(this.#call, this.#type, this.#startMs, true, this.request);
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.answered(this.#call, this.#type, this.#startMs, false, this.request);
  }

  onReadable(): void {
    if (!this.#call.isAlive) return;
    const result = executeTxn(this.#server.store, this.request);
    if (result.error !== null) return this.onFailed(result.error);
    countTxn(this.#times.metrics, this.request, result);
    this.onApplied(result);
  }

  onUnreadable(error: InternalError): void {
    this.onFailed(error);
  }
}

/** A physical compaction is answered when the keys are gone, from the file too. */
class CompactCall implements Waiter {
  readonly request = null;
  readonly #call: ServerCall;
  readonly #isPhysical: boolean;
  readonly #server: EtcdServer;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;

  constructor(
    call: ServerCall,
    isPhysical: boolean,
    server: EtcdServer,
    header: ResponseHeaderWriter,
    times: RequestTimes,
  ) {
    this.#call = call;
    this.#isPhysical = isPhysical;
    this.#server = server;
    this.#header = header;
    this.#times = times;
    this.#startMs = times.begin();
  }

  onApplied(result: CompactionResult): void {
    if (!this.#isPhysical) return this.#finish(result);
    result.whenDone(() => {
      this.#server.backend.commitNowThen((error) => {
        if (error === null) this.#finish(result);
      });
    });
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.answered(this.#call, 'Compaction', this.#startMs, false, null);
  }

  #finish({ error }: CompactionResult): void {
    if (error !== null) return this.onFailed(error);
    const header = this.#header.header(this.#server.store.revision);
    answer(this.#call, CompactionResponseCodec, new CompactionResponse({ header }));
    this.#times.answered(this.#call, 'Compaction', this.#startMs, true, null);
  }
}
