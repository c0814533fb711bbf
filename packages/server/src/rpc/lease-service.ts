/** The Lease service. Granting and revoking go through the log; keeping alive and asking are the leader's own business. */
import { INTERNAL_ERRORS, type InternalError, RPC_ERRORS, type RpcError } from '@etcd/api';
import {
  type LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseGrantResponseCodec,
  LeaseKeepAliveRequestCodec,
  LeaseKeepAliveResponse,
  LeaseKeepAliveResponseCodec,
  LeaseLeasesResponse,
  LeaseLeasesResponseCodec,
  type LeaseRevokeRequest,
  LeaseRevokeResponse,
  LeaseRevokeResponseCodec,
  LeaseStatus,
  type LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  LeaseTimeToLiveResponseCodec,
} from '@etcd/api/etcdserverpb';
import { RingBuffer } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import { LEASE_COST_BYTES } from '../apply/index.ts';
import type { Waiter } from '../request/index.ts';
import { followGrant, followRenewal, followRevocation } from './call-parts.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import type { MemberFacts, Requests } from './member.ts';
import type { Call } from './row.ts';
import { answer, decodeRequest, type RpcContext, refuse, refuseInternal, send } from './rpc-context.ts';
import { RENEWS_LEASE, TELLS_LEASE_KEYS } from './verdicts.ts';

const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;

export class LeaseService {
  readonly #context: RpcContext;
  readonly #member: MemberFacts;
  readonly #requests: Requests;
  readonly #monitor: LeaderMonitor;
  readonly #streams = new Set<ServerCall>();

  constructor(context: RpcContext) {
    this.#context = context;
    this.#requests = context.requests;
    const { member } = context;
    this.#member = member;
    const hasLeader = (): boolean => member.leader !== 0n;
    this.#monitor = new LeaderMonitor(member.clock, member.config.electionTimeoutMs, hasLeader);
  }

  grant(call: Call<LeaseGrantResponse>, request: LeaseGrantRequest, identity: Identity): void {
    if (!this.#member.quota.hasRoomFor(LEASE_COST_BYTES)) {
      this.#requests.onNoSpace(() => refuse(call, RPC_ERRORS.ErrGRPCNoSpace));
      return;
    }
    if (request.id === 0n) request.id = this.#requests.leases.newId();
    const waiter: Waiter<'leaseGrant'> = {
      kind: 'leaseGrant',
      request: null,
      onApplied: ({ id, ttl, revision }) => {
        const header = this.#context.header.header(revision);
        answer(call, LeaseGrantResponseCodec, new LeaseGrantResponse({ header, id, ttl }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    };
    const followed = call.trace === null ? null : followGrant(call.trace, request, waiter);
    this.#requests.proposals.propose('leaseGrant', request, identity, followed ?? waiter);
    followed?.onProposed();
  }

  revoke(call: Call<LeaseRevokeResponse>, request: LeaseRevokeRequest, identity: Identity): void {
    const waiter: Waiter<'leaseRevoke'> = {
      kind: 'leaseRevoke',
      request: null,
      onApplied: ({ revision }) => {
        const header = this.#context.header.header(revision);
        answer(call, LeaseRevokeResponseCodec, new LeaseRevokeResponse({ header }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    };
    const followed = call.trace === null ? null : followRevocation(call.trace, request, waiter);
    this.#requests.proposals.propose('leaseRevoke', request, identity, followed ?? waiter);
    followed?.onProposed();
  }

  timeToLive(call: Call<LeaseTimeToLiveResponse>, request: LeaseTimeToLiveRequest, identity: Identity): void {
    const { id, keys } = request;
    this.#requests.leases.lookup(id, keys, (error, lease) => {
      if (error !== null) return void refuseInternal(call, error);
      // The leader has answered from its state; meanwhile others may have been attached, or the caller's permissions changed (S05).
      const refusal = this.#context.judgeRead(TELLS_LEASE_KEYS, identity, lease?.keys ?? []);
      if (refusal !== null) return void refuseInternal(call, refusal);
      // A lease that does not exist is an answer, not an error.
      const response = lease ?? new LeaseTimeToLiveResponse({ id, ttl: -1 });
      response.header = this.#context.header.header(this.#member.store.revision);
      answer(call, LeaseTimeToLiveResponseCodec, response);
    });
  }

  list(call: Call<LeaseLeasesResponse>): void {
    const header = this.#context.header.header(this.#member.store.revision);
    const leases = this.#member.lessor.leases().map((id) => new LeaseStatus({ id }));
    answer(call, LeaseLeasesResponseCodec, new LeaseLeasesResponse({ header, leases }));
  }

  /** Streams of keepalives that are open. */
  get streamCount(): number {
    return this.#streams.size;
  }

  keepAlive(call: Call<LeaseKeepAliveResponse>): void {
    this.#streams.add(call);
    this.#monitor.add(call);
    call.receiver = new KeepAliveStream(this.#context, () => {
      this.#streams.delete(call);
      this.#monitor.remove(call);
    });
  }

  /** Ends all streams: the member is about to stop, or must not tell any more what it has. */
  stop(reason: RpcError = RPC_ERRORS.ErrGRPCStopped): void {
    this.#monitor.stop();
    for (const call of this.#streams) refuse(call, reason);
    this.#streams.clear();
  }
}

/** One stream of keepalives, answered in order. */
class KeepAliveStream implements CallReceiver {
  readonly #context: RpcContext;
  #isBusy = false;
  #isHalfClosed = false;
  readonly #waiting = new RingBuffer<bigint>(4);

  readonly #onClosed: () => void;

  constructor(context: RpcContext, onClosed: () => void) {
    this.#context = context;
    this.#onClosed = onClosed;
  }

  onCancel(): void {
    this.#onClosed();
  }

  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, LeaseKeepAliveRequestCodec, bytes, start, end);
    if (request === null) {
      const { serverStreamFailuresTotal } = this.#context.member.metrics.handles;
      serverStreamFailuresTotal.labels('receive', 'lease-keepalive').inc();
      return this.#onClosed();
    }
    const refusal = this.#context.judgeMessage(call, RENEWS_LEASE, request);
    if (refusal !== null) return this.#fail(call, refusal);
    if (this.#isBusy) {
      this.#waiting.push(request.id);
      call.pause();
    } else this.#renew(call, request.id);
  }

  onHalfClose(call: ServerCall): void {
    this.#isHalfClosed = true;
    this.#next(call);
  }

  #fail(call: ServerCall, error: InternalError): void {
    refuseInternal(call, error);
    this.#onClosed();
  }

  #next(call: Call<LeaseKeepAliveResponse>): void {
    if (this.#isBusy) return;
    const id = this.#waiting.take();
    if (id !== undefined) return this.#renew(call, id);
    call.resume();
    if (!this.#isHalfClosed) return;
    call.end();
    this.#onClosed();
  }

  #renew(call: Call<LeaseKeepAliveResponse>, id: bigint): void {
    const { member, requests, header: headers } = this.#context;
    this.#isBusy = true;
    // The header is older than the renewal: a client must not see a renewal at a later revision than its lease's end.
    const header = headers.header(member.store.revision);
    const part = call.trace === null ? null : followRenewal(call.trace, id);
    requests.leases.renew(id, (error, ttl) => {
      part?.end();
      this.#isBusy = false;
      if (!call.isAlive) return;
      if (error !== null && error !== ErrLeaseNotFound) return this.#fail(call, error);
      const response = new LeaseKeepAliveResponse({ header, id, ttl: error === null ? ttl : 0 });
      send(call, LeaseKeepAliveResponseCodec, response);
      this.#next(call);
    });
  }
}
