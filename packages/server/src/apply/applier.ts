/**
 * The state machine behind the log: committed entries go in, in order, and change the store, the leases, the alarms and
 * the membership. The same entries on the same state do the same on every member, now or when they are replayed.
 *
 * Every entry's effects and the index that says "applied up to here" reach the backend in the same synchronous stretch, so
 * they are committed together (S23). Entries that the backend has already are skipped.
 *
 * Invariants: the applied index grows by one, and its term never goes down; what the backend says is applied is never less than what was
 * applied here; raft's configuration has a member in the place in which the membership has it.
 */
import { DecodeError, INTERNAL_ERRORS, type InternalError, type LogIndex, type Term } from '@etcd/api';
import {
  type DeleteRangeRequest,
  decodeDeleteRangeRequest,
  decodeInternalRaftRequest,
  decodePutRequest,
  decodeRequest,
  decodeTxnRequest,
  type InternalRaftRequest,
  type PutRequest,
  type Request,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { ConfChange } from '@etcd/api/raftpb';
import { type ConfState, type Entry, EntryType } from '@etcd/api/raftpb';
import { assert, type Clock, InvariantError, type Logger } from '@etcd/base';
import { decodeConfChangeEntry } from '@etcd/raft';
import { type AuthStore, type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { Backend } from '@etcd/storage/backend';
import { membershipWriter } from '@etcd/storage/data';
import type { Lessor } from '@etcd/storage/lease';
import type { ConfChangeEffect, Membership, SemanticVersion } from '@etcd/storage/membership';
import { deleteRange, executeTxn, put, type Store } from '@etcd/storage/mvcc';
import type { ConsistentIndex } from '@etcd/storage/schema';
import type { TokenProvider } from '../auth/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import {
  type AnyKind,
  KINDS,
  type PendingRequests,
  type PendingWaiter,
  RequestEnvelope,
  type RequestIds,
  type ResultOf,
  type Waiter,
  waiterOf,
} from '../request/index.ts';
import type { Access } from './access.ts';
import type { Alarms } from './alarms.ts';
import { ApplyTimes } from './apply-times.ts';
import { applyColdRequest, type ColdRequestContext } from './cold-requests.ts';
import { countPut, countTxn } from './kv-counts.ts';
import { putCost, type Quota, txnCost } from './quota.ts';

const { ErrCorrupt, ErrNoSpace } = INTERNAL_ERRORS.errors;

/** What applying asks of the member around it. */
export interface ApplierHost {
  /** Passes a configuration change to raft; gives the configuration after it. */
  applyConfChange(change: ConfChange): ConfState;
  /** A member was added, updated or removed. */
  onMemberChange(effect: ConfChangeEffect): void;
  /** A leader has taken over: everything of former terms is applied. */
  onFirstCommitInTerm(): void;
  onClusterVersion(): void;
  /** The entry at `index` is a request of the v2 API. */
  onV2Request(index: LogIndex): void;
  /** An entry went over the quota: the alarm has to be raised, and then `then` called. */
  onNoSpace(then: () => void): void;
  /** Everything up to `index` is applied. */
  onApplied(index: LogIndex): void;
}

export interface ApplierOptions {
  readonly backend: Backend;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly alarms: Alarms;
  readonly quota: Quota;
  /** Judges every request that a client has proposed. */
  readonly access: Access;
  readonly auth: AuthStore;
  readonly tokens: TokenProvider;
  readonly membership: Membership;
  readonly consistentIndex: ConsistentIndex;
  readonly pending: PendingRequests;
  readonly ids: RequestIds;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly warningApplyDurationMs: number;
  readonly host: ApplierHost;
  /** Where the log stands that the members of the cluster agree on at start. */
  readonly appliedIndex: LogIndex;
  readonly appliedTerm: Term;
}

export class Applier {
  readonly #options: ApplierOptions;
  readonly #envelope = new RequestEnvelope();
  readonly #times: ApplyTimes;
  readonly #cold: ColdRequestContext;
  #appliedIndex: LogIndex;
  #appliedTerm: Term;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#appliedIndex = options.appliedIndex;
    this.#appliedTerm = options.appliedTerm;
    this.#times = new ApplyTimes(options);
    this.#cold = {
      ...options,
      membershipWriter: membershipWriter(options.backend),
      hasOldMembers: () => isBefore35(options.membership.version),
    };
  }

  /** Index of the entry applied last. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /** Its term: what answers carry as the raft term. */
  get appliedTerm(): Term {
    return this.#appliedTerm;
  }

  apply(entries: readonly Entry[]): void {
    this.#times.begin();
    for (const entry of entries) {
      if (entry.index <= this.#appliedIndex) continue;
      if (entry.index !== this.#appliedIndex + 1) {
        throw new InvariantError(`apply: entry ${entry.index} after ${this.#appliedIndex}`);
      }
      assert(entry.term >= this.#appliedTerm, 'apply: an entry of a former term');
      this.#applyEntry(entry);
      this.#appliedIndex = entry.index;
      this.#appliedTerm = entry.term;
    }
    const { metrics, consistentIndex } = this.#options;
    assert(consistentIndex.index >= this.#appliedIndex, 'apply: the backend is behind what was applied');
    metrics.proposalsAppliedTotal.set(this.#appliedIndex);
    this.#options.host.onApplied(this.#appliedIndex);
  }

  #applyEntry(entry: Entry): void {
    const { consistentIndex, host } = this.#options;
    // The backend was written by a run that had come further than its last snapshot.
    const isKnown = entry.index <= consistentIndex.index;
    if (entry.type !== EntryType.EntryNormal) {
      if (!isKnown) this.#applyConfChange(entry);
    } else if (entry.data.length === 0) {
      host.onFirstCommitInTerm();
    } else if (!isKnown) {
      this.#applyRequest(entry);
    }
    // A database of etcd 3.4 does not say of which term its last entry is.
    if (entry.index >= consistentIndex.index) consistentIndex.set(entry.index, entry.term);
  }

  #applyRequest(entry: Entry): void {
    const envelope = this.#envelope;
    const { data } = entry;
    if (!envelope.parse(data)) return this.#applyUnusual(entry);
    const { pending, ids, access } = this.#options;
    const { field, idSuffix, start, end } = envelope;
    const pendingWaiter = envelope.idPrefix === ids.prefix ? pending.take(idSuffix, data) : null;
    const identity = access.isEnabled ? envelope.identity(data) : NO_IDENTITY;
    switch (field) {
      case KINDS.put.field: {
        const waiter = waiterOf(pendingWaiter, 'put');
        return this.#put(waiter?.request ?? decodePutRequest(data, start, end), identity, waiter);
      }
      case KINDS.txn.field: {
        const waiter = waiterOf(pendingWaiter, 'txn');
        return this.#txn(waiter?.request ?? decodeTxnRequest(data, start, end), identity, waiter);
      }
      case KINDS.deleteRange.field: {
        const waiter = waiterOf(pendingWaiter, 'deleteRange');
        return this.#deleteRange(
          waiter?.request ?? decodeDeleteRangeRequest(data, start, end),
          identity,
          waiter,
        );
      }
      default:
        return this.#applyDecoded(entry.index, decodeInternalRaftRequest(data), pendingWaiter);
    }
  }

  /** An envelope of another form than ours, or a bare request of the v2 API, as etcd up to 3.5 writes them. */
  #applyUnusual(entry: Entry): void {
    let request: InternalRaftRequest;
    try {
      request = decodeInternalRaftRequest(entry.data);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const v2 = this.#decodeV2(entry);
      return this.#applyV2(entry.index, v2, this.#takeWaiter(v2.id, entry));
    }
    const waiter = this.#takeWaiter(request.header?.id ?? request.id, entry);
    this.#applyDecoded(entry.index, request, waiter);
  }

  #applyDecoded(index: LogIndex, request: InternalRaftRequest, waiter: PendingWaiter | null): void {
    if (request.v2 !== null) return this.#applyV2(index, request.v2, waiter);
    const { header } = request;
    const identity = header === null ? NO_IDENTITY : { name: header.username, revision: header.authRevision };
    if (request.put !== null) return this.#put(request.put, identity, waiterOf(waiter, 'put'));
    if (request.txn !== null) return this.#txn(request.txn, identity, waiterOf(waiter, 'txn'));
    if (request.deleteRange !== null) {
      return this.#deleteRange(request.deleteRange, identity, waiterOf(waiter, 'deleteRange'));
    }
    this.#applyCold(request, identity, waiter);
  }

  /** Who waits for `entry` in this process, if it has proposed it. */
  #takeWaiter(id: bigint, entry: Entry): PendingWaiter | null {
    const { pending, ids } = this.#options;
    return id >> 48n === BigInt(ids.prefix) ? pending.take(Number(id & 0xffff_ffff_ffffn), entry.data) : null;
  }

  #decodeV2(entry: Entry): Request {
    try {
      return decodeRequest(entry.data);
    } catch (error) {
      // The other members applied something that we can't read: going on would make our data differ from theirs.
      throw new InvariantError(`apply: entry ${entry.index} is no request that is known`, { cause: error });
    }
  }

  #applyV2(index: LogIndex, request: Request, waiter: PendingWaiter | null): void {
    const { membership, host, store } = this.#options;
    host.onV2Request(index);
    const before = membership.version;
    membership.applyV2Request(request, this.#cold.membershipWriter);
    if (membership.version !== before) host.onClusterVersion();
    this.#times.took('V2', true);
    waiterOf(waiter, 'v2')?.onApplied({ revision: store.revision });
  }

  #put(request: PutRequest, identity: Identity, waiter: Waiter<'put'> | null): void {
    const { store, quota, metrics, access } = this.#options;
    const refusal = this.#refusal(true) ?? (access.isEnabled ? access.put(identity, request) : null);
    if (refusal !== null) return this.#refuse('Put', refusal, waiter);
    const hasRoom = quota.hasRoomFor(putCost(request));
    const result = put(store, request);
    if (result.error === null) countPut(metrics, request);
    this.#times.took('Put', result.error === null, request);
    this.#finish(result, result.error, hasRoom, waiter);
  }

  #txn(request: TxnRequest, identity: Identity, waiter: Waiter<'txn'> | null): void {
    const { store, quota, metrics, access } = this.#options;
    const cost = txnCost(request);
    const refusal = this.#refusal(cost > 0) ?? (access.isEnabled ? access.txn(identity, request) : null);
    if (refusal !== null) return this.#refuse('Txn', refusal, waiter);
    const hasRoom = quota.hasRoomFor(cost);
    // Whoever proposed it reads the ranges; on the other members they would be work for nobody.
    const result = executeTxn(store, request, { skipRanges: waiter === null });
    if (result.error === null) countTxn(metrics, request, result);
    this.#times.took('Txn', result.error === null, request);
    this.#finish(result, result.error, hasRoom, waiter);
  }

  #deleteRange(request: DeleteRangeRequest, identity: Identity, waiter: Waiter<'deleteRange'> | null): void {
    const { store, metrics, access } = this.#options;
    const refusal = this.#refusal(false) ?? (access.isEnabled ? access.deleteRange(identity, request) : null);
    if (refusal !== null) return this.#refuse('DeleteRange', refusal, waiter);
    const result = deleteRange(store, request);
    metrics.deleteTotal.value++;
    this.#times.took('DeleteRange', true, request);
    this.#finish(result, null, true, waiter);
  }

  #applyCold(request: InternalRaftRequest, identity: Identity, waiter: PendingWaiter | null): void {
    const { operation, error, hasRoom, answer } = applyColdRequest(this.#cold, request, identity, waiter);
    if (error !== null) return this.#refuse(operation, error, waiter);
    this.#times.took(operation, true);
    if (hasRoom) answer();
    else this.#refuseForSpace(waiter);
  }

  /** What alarms make of a request. */
  #refusal(grows: boolean): InternalError | null {
    const { alarms } = this.#options;
    if (alarms.hasCorrupt) return ErrCorrupt;
    return grows && alarms.hasNoSpace ? ErrNoSpace : null;
  }

  #refuse(operation: string, error: InternalError, waiter: PendingWaiter | null): void {
    this.#times.took(operation, false);
    waiter?.onFailed(error);
  }

  #finish<K extends AnyKind>(
    result: ResultOf<K>,
    error: InternalError | null,
    hasRoom: boolean,
    waiter: Waiter<K> | null,
  ): void {
    if (error !== null) waiter?.onFailed(error);
    else if (hasRoom) waiter?.onApplied(result);
    else this.#refuseForSpace(waiter);
  }

  /** What was applied beyond the quota stays applied; its proposer is told, once the alarm is up. */
  #refuseForSpace(waiter: PendingWaiter | null): void {
    if (this.#options.alarms.hasNoSpace) waiter?.onFailed(ErrNoSpace);
    else this.#options.host.onNoSpace(() => waiter?.onFailed(ErrNoSpace));
  }

  #applyConfChange(entry: Entry): void {
    const { membership, host, consistentIndex, logger } = this.#options;
    const change = decodeConfChangeEntry(entry) as ConfChange;
    const waiter = this.#takeWaiter(change.id, entry);
    const error = membership.validateConfChange(change);
    if (error !== null) {
      logger.error('Validation on configuration change failed', { error: error.message });
      // Raft has to hear of every change, even of one that is nothing.
      change.nodeId = 0n;
      host.applyConfChange(change);
      waiter?.onFailed(error);
      return;
    }
    const confState = host.applyConfChange(change);
    consistentIndex.setConfState(confState);
    const effect = membership.applyConfChange(change, this.#cold.membershipWriter);
    this.#comparePlace(confState, change.nodeId);
    host.onMemberChange(effect);
    waiterOf(waiter, 'confChange')?.onApplied({ members: membership.members() });
  }

  /**
   * Raft and the membership agree on what a member is whose place has just changed; they come to differ only by an entry that no sound
   * leader proposes. It is committed all the same: to end here would be to end at every start.
   */
  #comparePlace({ voters, learners }: ConfState, id: bigint): void {
    const { membership, logger } = this.#options;
    const member = membership.member(id);
    const isVoter = member?.isLearner === false;
    const isLearner = member?.isLearner === true;
    if (voters.includes(id) === isVoter && learners.includes(id) === isLearner) return;
    logger.error('raft and the membership disagree on a member', {
      'member-id': id.toString(16),
      isVoter,
      isLearner,
    });
  }
}

/** Of a cluster whose version is not known yet, too. */
function isBefore35(version: SemanticVersion | null): boolean {
  return version === null || (version.major === 3 && version.minor < 5);
}
