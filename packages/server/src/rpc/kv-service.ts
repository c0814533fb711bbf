/**
 * The KV service: the hot path. A request is judged, and either read from the store or put into the log as the bytes it
 * came in; results are written into the connection's output in place. One object per request waits for whatever has to be
 * waited for, and answers.
 */
import { type InternalError, RPC_ERRORS } from '@etcd/api';
import {
  type CompactionRequest,
  CompactionResponse,
  CompactionResponseCodec,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type RangeStreamResponse,
  type TxnRequest,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import type { Identity } from '@etcd/storage/auth';
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
import type { CompactionResult, Encoded, Reader, Waiter } from '../request/index.ts';
import {
  followCompaction,
  followDelete,
  followPut,
  followRange,
  followReadOnlyTxn,
  followTxn,
} from './call-parts.ts';
import {
  sizeDeleteAnswer,
  sizePutAnswer,
  sizeTxnAnswer,
  writeDeleteAnswer,
  writePutAnswer,
  writeTxnAnswer,
} from './kv-answers.ts';
import { checkDelete, checkPut, checkRange, checkRangeStream, checkTxn } from './kv-checks.ts';
import type { MemberFacts, Requests } from './member.ts';
import { answerRange, type RangeOwner, streamRange } from './range-answer.ts';
import { RequestTimes, type RequestType } from './request-times.ts';
import type { ResponseHeaderWriter } from './response-header.ts';
import type { Call } from './row.ts';
import { answer, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';
import { DOES_TXN, READS_RANGE } from './verdicts.ts';

/** Answers of more than this are not put into the connection's output, but queued as a chunk of their own. */
const MAX_INLINE_BYTES = 64 * 1024;

export class KvService {
  readonly #context: RpcContext;
  readonly #member: MemberFacts;
  readonly #requests: Requests;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#member = context.member;
    this.#requests = context.requests;
    this.#header = context.header;
    const { clock, config } = context.member;
    this.#times = new RequestTimes({
      clock,
      logger: context.logger,
      metrics: context.metrics,
      warningMs: config.warningUnaryRequestDurationMs,
      warningApplyMs: config.warningApplyDurationMs,
      // An answer is given while its entry is being applied: the one after the last.
      momentsOfApplying: () => context.member.phases.of(context.member.appliedIndex + 1),
    });
  }

  range(call: Call<RangeResponse>, request: RangeRequest, identity: Identity): void {
    const error = checkRange(request);
    if (error !== null) return void refuse(call, error);
    if (call.trace !== null) followRange(call.trace, 'range', request);
    this.#read(
      new RangeCall(call, request, identity, this.#context, this.#times, false),
      request.serializable,
    );
  }

  rangeStream(call: Call<RangeStreamResponse>, request: RangeRequest, identity: Identity): void {
    const error = checkRangeStream(request);
    if (error !== null) return void refuse(call, error);
    if (call.trace !== null) followRange(call.trace, 'range_streaming', request);
    this.#read(
      new RangeCall(call, request, identity, this.#context, this.#times, true),
      request.serializable,
    );
  }

  put(
    call: Call<PutResponse>,
    request: PutRequest,
    identity: Identity,
    bytes: Encoded<PutRequest>,
    start: number,
    end: number,
  ): void {
    if (!this.#hasRoom(call, putCost(request))) return;
    const error = checkPut(request);
    if (error !== null) return void refuse(call, error);
    const waiter = new PutCall(call, request, this.#header, this.#times);
    const followed = call.trace === null ? null : followPut(call.trace, request, waiter);
    this.#requests.proposals.proposeBytes('put', bytes, start, end, identity, followed ?? waiter);
    followed?.onProposed();
  }

  deleteRange(
    call: Call<DeleteRangeResponse>,
    request: DeleteRangeRequest,
    identity: Identity,
    bytes: Encoded<DeleteRangeRequest>,
    start: number,
    end: number,
  ): void {
    const error = checkDelete(request);
    if (error !== null) return void refuse(call, error);
    const waiter = new DeleteCall(call, request, this.#header, this.#times);
    const followed = call.trace === null ? null : followDelete(call.trace, request, waiter);
    this.#requests.proposals.proposeBytes('deleteRange', bytes, start, end, identity, followed ?? waiter);
    followed?.onProposed();
  }

  txn(
    call: Call<TxnResponse>,
    request: TxnRequest,
    identity: Identity,
    bytes: Encoded<TxnRequest>,
    start: number,
    end: number,
  ): void {
    if (!this.#hasRoom(call, txnCost(request))) return;
    const error = checkTxn(request, this.#member.config.maxTxnOps);
    if (error !== null) return void refuse(call, error);
    const txn = new TxnCall(call, request, identity, this.#context, this.#times);
    if (isReadOnly(request)) {
      if (call.trace !== null) followReadOnlyTxn(call.trace, request);
      return this.#read(txn, isSerializable(request));
    }
    const followed = call.trace === null ? null : followTxn(call.trace, request, txn);
    this.#requests.proposals.proposeBytes('txn', bytes, start, end, identity, followed ?? txn);
    followed?.onProposed();
  }

  compact(call: Call<CompactionResponse>, request: CompactionRequest, identity: Identity): void {
    const waiter = new CompactCall(call, request.physical, this.#member, this.#header, this.#times);
    const followed = call.trace === null ? null : followCompaction(call.trace, request, waiter);
    this.#requests.proposals.propose('compaction', request, identity, followed ?? waiter);
    followed?.onProposed();
  }

  #read(reader: Reader, isSerializable: boolean): void {
    if (isSerializable) this.#requests.readLocally(reader);
    else this.#requests.read(reader);
  }

  /** Refuses what the quota has no room for, once the alarm that tells of it is up. */
  #hasRoom(call: ServerCall, costBytes: number): boolean {
    if (this.#member.quota.hasRoomFor(costBytes)) return true;
    this.#requests.onNoSpace(() => refuse(call, RPC_ERRORS.ErrGRPCNoSpace));
    return false;
  }
}

class RangeCall implements Reader, RangeOwner {
  readonly #call: ServerCall;
  readonly #request: RangeRequest;
  readonly #identity: Identity;
  readonly #context: RpcContext;
  readonly #times: RequestTimes;
  readonly #isStream: boolean;
  readonly #startMs: number;
  #readMs = 0;

  constructor(
    call: ServerCall,
    request: RangeRequest,
    identity: Identity,
    context: RpcContext,
    times: RequestTimes,
    isStream: boolean,
  ) {
    this.#call = call;
    this.#request = request;
    this.#identity = identity;
    this.#context = context;
    this.#times = times;
    this.#isStream = isStream;
    this.#startMs = times.begin();
  }

  onReadable(): void {
    if (!this.#call.isAlive) return;
    const { member, header } = this.#context;
    const refusal = this.refusal();
    if (refusal !== null) return this.onUnreadable(refusal);
    const { store, config } = member;
    this.#times.metrics.rangeTotal.value++;
    this.#readMs = this.#times.begin();
    if (this.#isStream) {
      streamRange(this.#call, store, this.#request, header, config.maxRequestBytes, this);
    } else {
      answerRange(this.#call, store, this.#request, header, this);
    }
  }

  refusal(): InternalError | null {
    return this.#context.judgeRead(READS_RANGE, this.#identity, this.#request);
  }

  onRanged(success: boolean): void {
    this.#times.ranged(this.#call, this.#startMs, this.#readMs, success, this.#request);
  }

  onUnreadable(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.failed(this.#call, 'Range', this.#startMs, error, this.#request);
  }
}

class PutCall implements Waiter<'put'> {
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

  get kind(): 'put' {
    return 'put';
  }

  onApplied(result: PutResult): void {
    const call = this.#call;
    const position = call.reserve(sizePutAnswer(result, this.#header));
    writePutAnswer(result, this.#header, call.output, position);
    this.#times.answered(call, 'Put', this.#startMs, true, this.request);
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.failed(this.#call, 'Put', this.#startMs, error, this.request);
  }
}

class DeleteCall implements Waiter<'deleteRange'> {
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

  get kind(): 'deleteRange' {
    return 'deleteRange';
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
    this.#times.failed(this.#call, 'DeleteRange', this.#startMs, error, this.request);
  }
}

/** A transaction that writes waits to be applied, one that only reads waits to be readable. */
class TxnCall implements Waiter<'txn'>, Reader {
  readonly request: TxnRequest;
  readonly #call: ServerCall;
  readonly #identity: Identity;
  readonly #context: RpcContext;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;
  readonly #type: RequestType;

  constructor(
    call: ServerCall,
    request: TxnRequest,
    identity: Identity,
    context: RpcContext,
    times: RequestTimes,
  ) {
    this.#call = call;
    this.request = request;
    this.#identity = identity;
    this.#context = context;
    this.#header = context.header;
    this.#times = times;
    this.#startMs = times.begin();
    this.#type = isReadOnly(request) ? 'ReadonlyTxn' : 'Txn';
  }

  get kind(): 'txn' {
    return 'txn';
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
    this.#times.failed(this.#call, this.#type, this.#startMs, error, this.request);
  }

  onReadable(): void {
    if (!this.#call.isAlive) return;
    const refusal = this.#context.judgeRead(DOES_TXN, this.#identity, this.request);
    if (refusal !== null) return this.onFailed(refusal);
    const result = executeTxn(this.#context.member.store, this.request);
    if (result.error !== null) return this.onFailed(result.error);
    countTxn(this.#times.metrics, this.request, result);
    this.onApplied(result);
  }

  onUnreadable(error: InternalError): void {
    this.onFailed(error);
  }
}

/** A physical compaction is answered when the keys are gone, from the file too. */
class CompactCall implements Waiter<'compaction'> {
  readonly request = null;
  readonly #call: Call<CompactionResponse>;
  readonly #isPhysical: boolean;
  readonly #member: MemberFacts;
  readonly #header: ResponseHeaderWriter;
  readonly #times: RequestTimes;
  readonly #startMs: number;

  constructor(
    call: Call<CompactionResponse>,
    isPhysical: boolean,
    member: MemberFacts,
    header: ResponseHeaderWriter,
    times: RequestTimes,
  ) {
    this.#call = call;
    this.#isPhysical = isPhysical;
    this.#member = member;
    this.#header = header;
    this.#times = times;
    this.#startMs = times.begin();
  }

  get kind(): 'compaction' {
    return 'compaction';
  }

  onApplied(result: CompactionResult): void {
    if (!this.#isPhysical) return this.#finish(result);
    result.whenDone(() => {
      this.#member.backend.commitNowThen((error) => {
        if (error === null) this.#finish(result);
      });
    });
  }

  onFailed(error: InternalError): void {
    refuseInternal(this.#call, error);
    this.#times.failed(this.#call, 'Compaction', this.#startMs, error, null);
  }

  #finish({ error }: CompactionResult): void {
    if (error !== null) return this.onFailed(error);
    const header = this.#header.header(this.#member.store.revision);
    answer(this.#call, CompactionResponseCodec, new CompactionResponse({ header }));
    this.#times.answered(this.#call, 'Compaction', this.#startMs, true, null);
  }
}
