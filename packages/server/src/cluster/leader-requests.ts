/**
 * What only the leader can answer, asked of it by another member: the rest of a lease's life, the promotion of a learner. The
 * question is repeated, to whoever leads by then, until it is answered or the request's time is over.
 */

import { DecodeError, INTERNAL_ERRORS, type InternalError, type LeaseId, type MemberId } from '@etcd/api';
import {
  decodeLeaseKeepAliveResponse,
  encodeLeaseKeepAliveRequest,
  LeaseKeepAliveRequest,
  LeaseTimeToLiveRequest,
  type LeaseTimeToLiveResponse,
} from '@etcd/api/etcdserverpb';
import {
  decodeLeaseInternalResponse,
  encodeLeaseInternalRequest,
  LeaseInternalRequest,
} from '@etcd/api/leasepb';
import { type Member, MembershipError, parseMembers } from '@etcd/storage/membership';
import type { MemberEnvironment } from '../consensus/index.ts';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';

const { ErrTimeout, ErrLearnerNotReady, ErrStopped } = INTERNAL_ERRORS.errors;
const { ErrIDNotFound, ErrMemberNotLearner } = INTERNAL_ERRORS.membership;
const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;

export interface LeaderRequestsOptions
  extends Pick<MemberEnvironment, 'clock' | 'network' | 'requestTimeoutMs'> {
  /** Peer URLs of the leader, none while it is not known; null when this member has come to lead itself. */
  readonly leaderUrls: () => readonly string[] | null;
}

/** An answer that ends the asking: a result, or the error that it stands for. */
type Outcome<T> =
  | { readonly error: InternalError; readonly value?: undefined }
  | { readonly error: null; readonly value: T };
type Done<T> = (error: InternalError | null, value: T | null) => void;

const RETRY_MS = 50;
const PROTOBUF = 'application/protobuf';

export class LeaderRequests {
  readonly #options: LeaderRequestsOptions;
  #isStopped = false;

  constructor(options: LeaderRequestsOptions) {
    this.#options = options;
  }

  /** Requests that are under way get {@link ErrStopped}. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Gives the lease's TTL in seconds. `null, null`: this member has become the leader, and can see for itself. */
  renewLease(id: LeaseId, done: Done<number>): void {
    const body = encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id }));
    this.#ask({ method: 'POST', path: '/leases', contentType: PROTOBUF, body }, done, (response) => {
      if (response.status === 404) return failed(ErrLeaseNotFound);
      if (response.status !== 200) return null;
      return found(decodeLeaseKeepAliveResponse(response.body).ttl);
    });
  }

  /** As {@link renewLease}. The answer's header is the leader's. */
  leaseTimeToLive(id: LeaseId, keys: boolean, done: Done<LeaseTimeToLiveResponse>): void {
    const leaseTimeToLiveRequest = new LeaseTimeToLiveRequest({ id, keys });
    const body = encodeLeaseInternalRequest(new LeaseInternalRequest({ leaseTimeToLiveRequest }));
    this.#ask({ method: 'POST', path: '/leases/internal', contentType: PROTOBUF, body }, done, (response) => {
      if (response.status === 404) return failed(ErrLeaseNotFound);
      if (response.status !== 200) return null;
      const answer = decodeLeaseInternalResponse(response.body).leaseTimeToLiveResponse;
      return answer === null ? null : found(answer);
    });
  }

  /** As {@link renewLease}; gives the members after the promotion. */
  promoteMember(id: MemberId, done: Done<readonly Member[]>): void {
    this.#ask({ method: 'POST', path: `/members/promote/${id}` }, done, (response) => {
      const text = Buffer.from(response.body).toString();
      if (response.status === 200) return found(parseMembers(text));
      if (response.status === 404) return failed(ErrIDNotFound);
      if (response.status !== 412) return null;
      return failed(text.includes(ErrMemberNotLearner.message) ? ErrMemberNotLearner : ErrLearnerNotReady);
    });
  }

  /** @param judge null: no answer to go by; whoever leads then is asked again. */
  #ask<T>(request: PeerRequest, done: Done<T>, judge: (response: PeerResponse) => Outcome<T> | null): void {
    const { clock, network, requestTimeoutMs, leaderUrls } = this.#options;
    const deadlineMs = clock.now() + requestTimeoutMs;
    const attempt = (tried: number): void => {
      if (this.#isStopped) return done(ErrStopped, null);
      const leftMs = deadlineMs - clock.now();
      if (leftMs <= 0) return done(ErrTimeout, null);
      const urls = leaderUrls();
      if (urls === null) return done(null, null);
      const again = (): void => void clock.setTimer(RETRY_MS, () => attempt(tried + 1));
      if (urls.length === 0) return again();
      network.request(urls[tried % urls.length]!, request, leftMs, (response) => {
        const outcome = response === null ? null : tryJudge(judge, response);
        if (outcome === null) again();
        else done(outcome.error, outcome.value ?? null);
      });
    };
    attempt(0);
  }
}

function tryJudge<T>(
  judge: (response: PeerResponse) => Outcome<T> | null,
  response: PeerResponse,
): Outcome<T> | null {
  try {
    return judge(response);
  } catch (error) {
    if (error instanceof DecodeError || error instanceof MembershipError) return null;
    throw error;
  }
}

function found<T>(value: T): Outcome<T> {
  return { error: null, value };
}

function failed<T>(error: InternalError): Outcome<T> {
  return { error };
}
