/** The Lease service. Granting and revoking go through the log; keeping alive and asking are the leader's own business. */
import { INTERNAL_ERRORS, RPC_ERRORS, type RpcError } from '@etcd/api';
import {
  encodeLeaseGrantRequest,
  LeaseGrantRequestCodec,
  LeaseGrantResponse,
  LeaseGrantResponseCodec,
  LeaseKeepAliveRequestCodec,
  LeaseKeepAliveResponse,
  LeaseKeepAliveResponseCodec,
  LeaseLeasesResponse,
  LeaseLeasesResponseCodec,
  LeaseRevokeRequestCodec,
  LeaseRevokeResponse,
  LeaseRevokeResponseCodec,
  LeaseStatus,
  LeaseTimeToLiveRequestCodec,
  LeaseTimeToLiveResponse,
  LeaseTimeToLiveResponseCodec,
} from '@etcd/api/etcdserverpb';
import { RingBuffer } from '@etcd/base';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import { LEASE_COST_BYTES } from '../apply/index.ts';
import type { EtcdServer } from '../member/index.ts';
import type { DoneResult, LeaseGrantResult } from '../request/index.ts';
import { RequestField } from '../request/index.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import { answer, decodeRequest, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';

const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;

export function registerLeaseService(context: RpcContext): { stop(reason?: RpcError): void } {
  const service = new LeaseService(context);
  const { grpc } = context;
  grpc.unary('/etcdserverpb.Lease/LeaseGrant', (...call) => service.grant(...call));
  grpc.unary('/etcdserverpb.Lease/LeaseRevoke', (...call) => service.revoke(...call));
  grpc.unary('/etcdserverpb.Lease/LeaseTimeToLive', (...call) => service.timeToLive(...call));
  grpc.unary('/etcdserverpb.Lease/LeaseLeases', (...call) => service.list(...call));
  grpc.bidi('/etcdserverpb.Lease/LeaseKeepAlive', (call) => service.keepAlive(call));
  return service;
}

class LeaseService {
  readonly #context: RpcContext;
  readonly #server: EtcdServer;
  readonly #monitor: LeaderMonitor;
  readonly #streams = new Set<ServerCall>();

  constructor(context: RpcContext) {
    this.#context = context;
    const { server } = context;
    this.#server = server;
    this.#monitor = new LeaderMonitor(
      server.clock,
      server.config.electionTimeoutMs,
      () => server.leader !== 0n,
    );
  }

  grant(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, LeaseGrantRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    if (!this.#server.quota.hasRoomFor(LEASE_COST_BYTES)) {
      this.#server.onNoSpace(() => refuse(call, RPC_ERRORS.ErrGRPCNoSpace));
      return;
    }
    if (request.id === 0n) {
      request.id = this.#server.ids.nextLeaseId((id) => this.#server.lessor.has(id));
    }
    const encoded = encodeLeaseGrantRequest(request);
    this.#server.propose(RequestField.LEASE_GRANT, encoded, 0, encoded.length, {
      request: null,
      onApplied: (result) => {
        const { id, ttl, revision } = result as LeaseGrantResult;
        const header = this.#context.header.header(revision);
        answer(call, LeaseGrantResponseCodec, new LeaseGrantResponse({ header, id, ttl }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  revoke(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, LeaseRevokeRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    this.#server.propose(RequestField.LEASE_REVOKE, bytes, start, end, {
      request: null,
      onApplied: (result) => {
        const header = this.#context.header.header((result as DoneResult).revision);
        answer(call, LeaseRevokeResponseCodec, new LeaseRevokeResponse({ header }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  timeToLive(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, LeaseTimeToLiveRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const { id, keys } = request;
    this.#server.leases.lookup(id, keys, (error, lease) => {
      if (error !== null) return void refuseInternal(call, error);
      // A lease that does not exist is an answer, not an error.
      const response = lease ?? new LeaseTimeToLiveResponse({ id, ttl: -1 });
      response.header = this.#context.header.header(this.#server.store.revision);
      answer(call, LeaseTimeToLiveResponseCodec, response);
    });
  }

  list(call: ServerCall, _bytes: Uint8Array, _start: number, _end: number): void {
    if (!this.#context.admit(call)) return;
    const header = this.#context.header.header(this.#server.store.revision);
    const leases = this.#server.lessor.leases().map((id) => new LeaseStatus({ id }));
    answer(call, LeaseLeasesResponseCodec, new LeaseLeasesResponse({ header, leases }));
  }

  keepAlive(call: ServerCall): void {
    if (!this.#context.admit(call)) return;
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
      const { serverStreamFailuresTotal } = this.#context.server.metrics.handles;
      serverStreamFailuresTotal.labels('receive', 'lease-keepalive').inc();
      return;
    }
    if (this.#isBusy) {
      this.#waiting.push(request.id);
      call.pause();
    } else this.#renew(call, request.id);
  }

  onHalfClose(call: ServerCall): void {
    this.#isHalfClosed = true;
    this.#next(call);
  }

  #next(call: ServerCall): void {
    if (this.#isBusy) return;
    const id = this.#waiting.take();
    if (id !== undefined) return this.#renew(call, id);
    call.resume();
    if (!this.#isHalfClosed) return;
    call.end();
    this.#onClosed();
  }

  #renew(call: ServerCall, id: bigint): void {
    const { server, header: headers } = this.#context;
    this.#isBusy = true;
    // The header is older than the renewal: a client must not see a renewal at a later revision than its lease's end.
    const header = headers.header(server.store.revision);
    server.leases.renew(id, (error, ttl) => {
      this.#isBusy = false;
      if (!call.isAlive) return;
      if (error !== null && error !== ErrLeaseNotFound) return void refuseInternal(call, error);
      const response = new LeaseKeepAliveResponse({ header, id, ttl: error === null ? ttl : 0 });
      const position = call.reserveMessage(LeaseKeepAliveResponseCodec.size(response));
      LeaseKeepAliveResponseCodec.write(response, call.output, position);
      this.#next(call);
    });
  }
}
