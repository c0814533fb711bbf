/**
 * What a service asks of its own member for a caller: requests such as the caller could send, with the same checks, and in the
 * caller's name as it is when each is made. Answers come in a turn of their own, when state may be changed again, and also when the
 * call is over by then.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision, RPC_ERRORS, type RpcError } from '@etcd/api';
import {
  DeleteRangeRequest,
  LeaseGrantRequest,
  type RangeRequest,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { decodeKeyValue, type KeyValue } from '@etcd/api/mvccpb';
import { EMPTY_BYTES } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { RANGE, RangeScan, type Slices, type TxnResult } from '@etcd/storage/mvcc';
import type { PartTrace, ServerCall } from '@etcd/transport';
import { LEASE_COST_BYTES, txnCost } from '../../apply/index.ts';
import type { Waiter } from '../../request/index.ts';
import { followDelete, followGrant, followRange, followTxn } from '../call-parts.ts';
import { checkDelete, checkRange, checkTxn } from '../kv-checks.ts';
import type { MemberFacts } from '../member.ts';
import type { RpcContext } from '../rpc-context.ts';
import { READS_RANGE } from '../verdicts.ts';

/** Of a lease that is made for a caller who has none, as etcd's sessions have it. */
const SESSION_TTL_SECONDS = 60;

const { ErrInvalidAuthToken } = INTERNAL_ERRORS.auth;

export interface TxnOutcome {
  readonly revision: Revision;
  readonly succeeded: boolean;
  /** For each operation the first pair that it has read. */
  readonly pairs: readonly (KeyValue | null)[];
}

export class Errand {
  readonly #context: RpcContext;
  readonly #call: ServerCall;
  readonly #onRefused: (error: RpcError) => void;
  /** Whose name the last request had. */
  #name = '';

  /** @param onRefused what was asked for last has been refused; nothing else is told of it. */
  constructor(context: RpcContext, call: ServerCall, onRefused: (error: RpcError) => void) {
    this.#context = context;
    this.#call = call;
    this.#onRefused = onRefused;
  }

  get member(): MemberFacts {
    return this.#context.member;
  }

  /** The lease `id`, which need not exist; where that is 0 a new one. */
  lease(id: bigint, then: (lease: bigint) => void): void {
    if (id !== 0n) return then(id);
    const { member, requests, access } = this.#context;
    this.#identify((identity) => {
      const refusal = access.isEnabled ? access.user(identity) : null;
      if (refusal !== null) return this.#refuse(refusal.rpc);
      if (!member.quota.hasRoomFor(LEASE_COST_BYTES)) return this.#refuseForSpace();
      const request = new LeaseGrantRequest({ id: requests.leases.newId(), ttl: SESSION_TTL_SECONDS });
      const waiter: Waiter<'leaseGrant'> = {
        kind: 'leaseGrant',
        request: null,
        onApplied: (granted) => member.clock.defer(() => then(granted.id)),
        onFailed: (error) => this.#refuse(error.rpc),
      };
      const { trace } = this.#call;
      const followed = trace === null ? null : followGrant(trace, request, waiter);
      requests.proposals.propose('leaseGrant', request, identity, followed ?? waiter);
      followed?.onProposed();
    });
  }

  txn(request: TxnRequest, then: (outcome: TxnOutcome) => void): void {
    const { member } = this.#context;
    this.#identify((identity) => {
      if (!member.quota.hasRoomFor(txnCost(request))) return this.#refuseForSpace();
      const error = checkTxn(request, member.config.maxTxnOps);
      if (error !== null) return this.#refuse(error);
      this.#proposeTxn(request, identity, then, (failure) => this.#refuse(failure.rpc));
    });
  }

  /**
   * Puts right what an earlier request has left, whatever has become of its caller: in the name that it was made in. `done` is called in any
   * case.
   */
  tidyUp(request: TxnRequest, done: () => void): void {
    const identity = { name: this.#name, revision: this.member.auth.revision };
    this.#proposeTxn(request, identity, done, () => this.member.clock.defer(done));
  }

  /** Gives the revision at which the key is gone. */
  delete(key: Uint8Array, then: (revision: Revision) => void): void {
    const { member, requests } = this.#context;
    this.#identify((identity) => {
      const request = new DeleteRangeRequest({ key });
      const error = checkDelete(request);
      if (error !== null) return this.#refuse(error);
      const waiter: Waiter<'deleteRange'> = {
        kind: 'deleteRange',
        request,
        onApplied: ({ revision }) => member.clock.defer(() => then(revision)),
        onFailed: (failure) => this.#refuse(failure.rpc),
      };
      const { trace } = this.#call;
      const followed = trace === null ? null : followDelete(trace, request, waiter);
      requests.proposals.propose('deleteRange', request, identity, followed ?? waiter);
      followed?.onProposed();
    });
  }

  /** The first pair of a range, and the revision at which it was read. */
  first(request: RangeRequest, then: (pair: KeyValue | null, revision: Revision) => void): void {
    const { requests } = this.#context;
    this.#identify((identity) => {
      const error = checkRange(request);
      if (error !== null) return this.#refuse(error);
      const { trace } = this.#call;
      const part = trace === null ? null : followRange(trace, 'range', request);
      requests.read({
        onReadable: () => {
          const refusal = this.#context.judgeRead(READS_RANGE, identity, request);
          if (refusal === null) return this.#scan(request, part, then);
          part?.end();
          this.#refuse(refusal.rpc);
        },
        onUnreadable: (failure) => {
          part?.end();
          this.#refuse(failure.rpc);
        },
      });
    });
  }

  /** Whether who asked last may read the key, or the range, as things are now. */
  mayRead(key: Uint8Array, rangeEnd: Uint8Array = EMPTY_BYTES): boolean {
    const { access, member } = this.#context;
    const identity = { name: this.#name, revision: member.auth.revision };
    return !access.isEnabled || access.range(identity, key, rangeEnd) === null;
  }

  #identify(then: (identity: Identity) => void): void {
    const { access, callers } = this.#context;
    const go = (identity: Identity): void => {
      this.#name = identity.name;
      then(identity);
    };
    if (!access.isEnabled) return go(NO_IDENTITY);
    const identity = callers.identify(this.#call);
    if (identity !== null) return go(identity);
    callers.resolveThen(this.#call, (resolved) => {
      if (!access.isEnabled) go(NO_IDENTITY);
      else if (resolved !== null) go(resolved);
      else {
        this.#context.refused.badToken(this.#call);
        this.#refuse(ErrInvalidAuthToken.rpc);
      }
    });
  }

  #proposeTxn(
    request: TxnRequest,
    identity: Identity,
    then: (outcome: TxnOutcome) => void,
    onFailed: (error: InternalError) => void,
  ): void {
    const { requests, member } = this.#context;
    const waiter: Waiter<'txn'> = {
      kind: 'txn',
      request,
      onApplied: (result) => {
        if (result.error !== null) return onFailed(result.error);
        const outcome = outcomeOf(result);
        member.clock.defer(() => then(outcome));
      },
      onFailed,
    };
    const { trace } = this.#call;
    const followed = trace === null ? null : followTxn(trace, request, waiter);
    requests.proposals.propose('txn', request, identity, followed ?? waiter);
    followed?.onProposed();
  }

  /** In steps, since a queue may be as long as its owner likes; who may not read it any more when it is done is not told (S01). */
  #scan(
    request: RangeRequest,
    part: PartTrace | null,
    then: (pair: KeyValue | null, revision: Revision) => void,
  ): void {
    const { store, clock } = this.member;
    const scan = new RangeScan(store, request);
    const step = (): void => {
      const isDone = scan.step(store.slices.rangeKeys);
      const { error, kvs, revision } = scan.result;
      if (error === null && !isDone) {
        scan.hold(store);
        return clock.defer(step);
      }
      part?.end();
      if (error !== null) return this.#refuse(error.rpc);
      const pair = firstPair(kvs);
      clock.defer(() => {
        if (this.mayRead(request.key, request.rangeEnd)) then(pair, revision);
        else this.#onRefused(RPC_ERRORS.ErrGRPCPermissionDenied);
      });
    };
    step();
  }

  #refuseForSpace(): void {
    this.#context.requests.onNoSpace(() => this.#refuse(RPC_ERRORS.ErrGRPCNoSpace));
  }

  #refuse(error: RpcError): void {
    this.member.clock.defer(() => this.#onRefused(error));
  }
}

function outcomeOf({ revision, succeeded, responses }: TxnResult): TxnOutcome {
  const pairs = responses.map((response) => (response.kind === RANGE ? firstPair(response.kvs) : null));
  return { revision, succeeded, pairs };
}

/** Copied: what a store answers lies in memory that others share. */
function firstPair(kvs: Slices): KeyValue | null {
  if (kvs.count === 0) return null;
  return decodeKeyValue(new Uint8Array(kvs.buffer(0).subarray(kvs.start(0), kvs.end(0))));
}
