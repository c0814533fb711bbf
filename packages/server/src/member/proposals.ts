/**
 * The one place where this member's proposals leave for the log. Each gets its id here, and is looked up in the table of what the
 * releases in the cluster read: an entry that a member can't read would end that member for good, so it is refused instead.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { type ConfChange, encodeConfChange } from '@etcd/api/raftpb';
import { assert, type Clock, GrpcCode } from '@etcd/base';
import { compareVersions, formatClusterVersion, type Membership } from '@etcd/storage/membership';
import type { Releases } from '../cluster/index.ts';
import type { RaftLoop } from '../consensus/index.ts';
import {
  ENTRY_KINDS,
  isReadByAll,
  type PendingRequests,
  RequestEncoder,
  RequestField,
  type RequestIds,
  type Waiter,
} from '../request/index.ts';

const { ErrStopped, ErrTooManyRequests, ErrRequestTooLarge } = INTERNAL_ERRORS.errors;

export interface ProposalsOptions {
  readonly ids: RequestIds;
  readonly pending: PendingRequests;
  readonly clock: Clock;
  readonly loop: Pick<RaftLoop, 'propose' | 'proposeAsLeader' | 'proposeConfChange' | 'hasRoom'>;
  readonly membership: Membership;
  readonly releases: Releases;
  readonly maxRequestBytes: number;
  readonly isStopped: () => boolean;
  /** More is committed and not applied yet than may be. */
  readonly isBehind: () => boolean;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  readonly #encoder: RequestEncoder;

  constructor(options: ProposalsOptions) {
    this.#options = options;
    this.#encoder = new RequestEncoder(options.ids);
  }

  /**
   * Proposes a request: `bytes[start, end)` is what stands in `field` of the envelope. The waiter is told the outcome, at once
   * if the request is refused.
   */
  propose(field: number, bytes: Uint8Array, start: number, end: number, waiter: Waiter): void {
    const { ids, loop, maxRequestBytes } = this.#options;
    const refusal = this.#admit() ?? (isReadByAll(field) ? null : this.#unreadable(field));
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = ids.next();
    const data = this.#encoder.encode(field, bytes, start, end, idSuffix);
    if (data.length > maxRequestBytes) return waiter.onFailed(ErrRequestTooLarge);
    this.#await(idSuffix, waiter, data);
    loop.propose(data, idSuffix);
  }

  /** {@link propose} for what the leader decides: void when another member leads by then. */
  proposeAsLeader(field: number, bytes: Uint8Array, waiter: Waiter): void {
    const { ids, loop, isStopped } = this.#options;
    if (isStopped()) return waiter.onFailed(ErrStopped);
    assert(isReadByAll(field), 'proposals: a leader decides about leases only');
    const idSuffix = ids.next();
    const data = this.#encoder.encode(field, bytes, 0, bytes.length, idSuffix);
    this.#await(idSuffix, waiter, data);
    loop.proposeAsLeader(data, idSuffix);
  }

  /** Proposes a bare request of the v2 API, with the id that `encode` is given. */
  proposeV2(encode: (id: bigint) => Uint8Array, waiter: Waiter): void {
    const { ids, loop } = this.#options;
    const refusal = this.#unreadable(RequestField.V2);
    if (refusal !== null) return waiter.onFailed(refusal);
    const idSuffix = ids.next();
    const data = encode(ids.full(idSuffix));
    this.#await(idSuffix, waiter, data);
    loop.propose(data, idSuffix);
  }

  /** Every release reads simple changes, which are all that is ever proposed. */
  proposeConfChange(change: ConfChange, waiter: Waiter): void {
    const { ids, loop, isStopped } = this.#options;
    if (isStopped()) return waiter.onFailed(ErrStopped);
    const idSuffix = ids.next();
    change.id = ids.full(idSuffix);
    this.#await(idSuffix, waiter, encodeConfChange(change));
    loop.proposeConfChange(change, idSuffix);
  }

  #await(idSuffix: number, waiter: Waiter, data: Uint8Array): void {
    this.#options.pending.add(idSuffix, waiter, data, this.#options.clock.now());
  }

  #admit(): InternalError | null {
    const { isStopped, isBehind, loop } = this.#options;
    if (isStopped()) return ErrStopped;
    return isBehind() || !loop.hasRoom ? ErrTooManyRequests : null;
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
    const closes = field === RequestField.CLUSTER_VERSION_SET || downgrade.enabled;
    const isClosed = closes || releases.whoCanNotRead(ENTRY_KINDS.get(RequestField.V2)!) !== null;
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
