/**
 * The one place where this member's proposals leave for the log. Each gets its id here, and is looked up in the table of what the
 * releases in the cluster read: an entry that a member can't read would end that member for good, so it is refused instead.
 */

import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { type ConfChange, type Entry, encodeConfChange } from '@etcd/api/raftpb';
import { assert, GrpcCode } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { compareVersions, formatClusterVersion } from '@etcd/storage/membership';
import type { MemberEnvironment } from '../consensus/index.ts';
import {
  type AnyKind,
  ENTRY_KINDS,
  type Encoded,
  isReadByAll,
  KINDS,
  type Kind,
  type PendingRequests,
  type Propose,
  RequestEncoder,
  type RequestOf,
  V2_FIELD,
  type Waiter,
} from '../request/index.ts';
import { ProposalTimes } from './proposal-times.ts';
import type { Releases } from './releases.ts';

const { ErrStopped, ErrTooManyRequests, ErrRequestTooLarge } = INTERNAL_ERRORS.errors;

/** Where proposals go: the raft loop. */
export interface ProposalQueue {
  readonly hasRoom: boolean;
  propose(data: Uint8Array, idSuffix: number): void;
  proposeAsLeader(data: Uint8Array, idSuffix: number): void;
  proposeConfChange(change: ConfChange, idSuffix: number): void;
}

export interface ProposalsOptions
  extends Pick<MemberEnvironment, 'clock' | 'ids' | 'membership' | 'metrics'> {
  readonly pending: PendingRequests;
  readonly queue: ProposalQueue;
  readonly releases: Pick<Releases, 'whoCanNotRead'>;
  readonly maxRequestBytes: number;
  /** In whose name the leader decides. */
  readonly leaderIdentity: () => Identity;
  readonly isStopped: () => boolean;
  /** More is committed and not applied yet than may be. */
  readonly isBehind: () => boolean;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  readonly #encoder: RequestEncoder;
  readonly #times: ProposalTimes;

  constructor(options: ProposalsOptions) {
    this.#options = options;
    this.#encoder = new RequestEncoder(options.ids);
    this.#times = new ProposalTimes(options);
  }

  /**
   * Puts a request into the log, in the name of whoever asks. The waiter is told the outcome, at once if the request is
   * refused.
   */
  propose<K extends Kind>(
    kind: K,
    request: RequestOf<K>,
    identity: Identity,
    waiter: Waiter<NoInfer<K>>,
  ): void {
    const refusal = this.#refusal(kind);
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = this.#options.ids.next();
    const data = this.#encoder.encode(kind, request, identity, idSuffix);
    this.#leave(idSuffix, data, this.#times.measured(kind, waiter));
  }

  /** {@link propose} for a request that is at hand as its client has encoded it: `bytes[start, end)`. */
  proposeBytes<K extends Kind>(
    kind: K,
    bytes: Encoded<RequestOf<NoInfer<K>>>,
    start: number,
    end: number,
    identity: Identity,
    waiter: Waiter<NoInfer<K>>,
  ): void {
    const refusal = this.#refusal(kind);
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = this.#options.ids.next();
    this.#leave(idSuffix, this.#encoder.encodeBytes(kind, bytes, start, end, identity, idSuffix), waiter);
  }

  /** {@link propose} for what this member asks for itself. */
  readonly proposeOwn: Propose = (kind, request, waiter) => this.propose(kind, request, NO_IDENTITY, waiter);

  /** For what the leader decides: void when another member leads by then. */
  readonly proposeAsLeader: Propose = (kind, request, waiter) => {
    const { ids, queue, isStopped, leaderIdentity } = this.#options;
    if (isStopped()) return waiter.onFailed(ErrStopped);
    assert(isReadByAll(KINDS[kind].field), 'proposals: a leader decides about leases only');
    const idSuffix = ids.next();
    const data = this.#encoder.encode(kind, request, leaderIdentity(), idSuffix);
    this.#await(idSuffix, this.#times.measured(kind, waiter), data);
    queue.proposeAsLeader(data, idSuffix);
  };

  /** These entries have left the log in memory, which nobody reads behind: what this member has proposed gives its memory back. */
  forget(entries: readonly Entry[]): void {
    for (const { data } of entries) this.#encoder.release(data);
  }

  /** Proposes a bare request of the v2 API, with the id that `encode` is given. */
  proposeV2(encode: (id: bigint) => Uint8Array, waiter: Waiter<'v2'>): void {
    const { ids, queue } = this.#options;
    const refusal = this.#unreadable(V2_FIELD);
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = ids.next();
    const data = encode(ids.full(idSuffix));
    this.#await(idSuffix, waiter, data);
    queue.propose(data, idSuffix);
  }

  /** Every release reads simple changes, which are all that is ever proposed. */
  proposeConfChange(change: ConfChange, waiter: Waiter<'confChange'>): void {
    const { ids, queue, isStopped } = this.#options;
    if (isStopped()) return waiter.onFailed(ErrStopped);
    if (!queue.hasRoom) return waiter.onFailed(ErrTooManyRequests);
    const idSuffix = ids.next();
    change.id = ids.full(idSuffix);
    this.#await(idSuffix, waiter, encodeConfChange(change));
    queue.proposeConfChange(change, idSuffix);
  }

  #leave<K extends AnyKind>(idSuffix: number, data: Uint8Array, waiter: Waiter<K>): void {
    if (data.length > this.#options.maxRequestBytes) return waiter.onFailed(ErrRequestTooLarge);
    this.#await(idSuffix, waiter, data);
    this.#options.queue.propose(data, idSuffix);
  }

  #await<K extends AnyKind>(idSuffix: number, waiter: Waiter<K>, data: Uint8Array): void {
    this.#options.pending.add(idSuffix, waiter, data, this.#options.clock.now());
  }

  #refusal(kind: Kind): InternalError | null {
    const { isStopped, isBehind, queue } = this.#options;
    if (isStopped()) return ErrStopped;
    if (isBehind() || !queue.hasRoom) return ErrTooManyRequests;
    const { field } = KINDS[kind];
    return isReadByAll(field) ? null : this.#unreadable(field);
  }

  /** Why a request must not be proposed: a member, or the release that the data are kept open for, could not read it. */
  #unreadable(field: number): InternalError | null {
    const { membership, releases } = this.#options;
    const kind = ENTRY_KINDS.get(field);
    assert(kind !== undefined, () => `proposals: no kind of request has field ${field}`);
    const release = releases.whoCanNotRead(kind);
    if (release !== null) return unreadableError(kind.name, `a member runs ${formatClusterVersion(release)}`);
    const { version, downgrade } = membership;
    if (version === null || version.minor < FIRST_DECIDED_MINOR || compareVersions(version, kind.lowest) >= 0)
      return null;
    // What raises the version, or gives a downgrade up, closes the way back to the older release, as it should; a member that
    // the older release could not have been with has closed it before. While it is open nothing else may close it.
    const closes = field === KINDS.clusterVersionSet.field || downgrade.enabled;
    const isClosed = closes || releases.whoCanNotRead(ENTRY_KINDS.get(V2_FIELD)!) !== null;
    return isClosed ? null : unreadableError(kind.name, `the cluster is at ${formatClusterVersion(version)}`);
  }
}

/** A cluster below 3.4 has not decided yet: not all of its members had said what they are. */
const FIRST_DECIDED_MINOR = 4;

function unreadableError(kind: string, reason: string): InternalError {
  const message = `etcdserver: ${reason} and could not read the request (${kind})`;
  const rpc = { name: 'ErrUnreadableRequest', code: GrpcCode.FailedPrecondition, message };
  return { name: 'server.ErrUnreadableRequest', message, rpc };
}
