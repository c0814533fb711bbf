/** Leases: granted, kept alive, asked about, revoked. */
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import {
  LeaseGrantRequest,
  type LeaseGrantResponse,
  LeaseKeepAliveRequest,
  type LeaseKeepAliveResponse,
  LeaseLeasesRequest,
  type LeaseLeasesResponse,
  LeaseRevokeRequest,
  type LeaseRevokeResponse,
  LeaseTimeToLiveRequest,
  type LeaseTimeToLiveResponse,
} from '@etcd/api/etcdserverpb';
import { LeaseService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import type { CallOptions } from '../options.ts';
import type { Caller } from '../rpc/caller.ts';
import { pause } from '../rpc/connection.ts';
import { MAX_ATTEMPTS, RETRY_PAUSE_MS } from '../rpc/retry.ts';
import { copyMessage } from '../rpc/unary-call.ts';
import { HeldLease } from './held-lease.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

const { leaseGrant, leaseKeepAlive, leaseLeases, leaseRevoke, leaseTimeToLive } = LeaseService.methods;

export class Leases {
  readonly #caller: Caller;
  readonly #keeper: LeaseKeeper;
  readonly #prefixLength: number;

  constructor(caller: Caller, keeper: LeaseKeeper, prefixLength: number) {
    this.#caller = caller;
    this.#keeper = keeper;
    this.#prefixLength = prefixLength;
  }

  /** The server chooses the id unless one is given. */
  grant(
    ttlSeconds: number,
    options: { readonly id?: bigint | undefined } & CallOptions = {},
  ): Promise<LeaseGrantResponse> {
    const request = new LeaseGrantRequest({ ttl: ttlSeconds, id: options.id ?? 0n });
    return this.#caller.unary(leaseGrant, request, options);
  }

  /** Grants a lease and keeps it alive. */
  async hold(
    ttlSeconds: number,
    options: { readonly id?: bigint | undefined } & CallOptions = {},
  ): Promise<HeldLease> {
    const grantedMs = this.#caller.now;
    const { id, ttl } = await this.grant(ttlSeconds, options);
    return this.#held(id, ttl, grantedMs);
  }

  /** Keeps a lease alive that exists already. */
  keep(id: bigint): HeldLease {
    return this.#held(id, 0);
  }

  revoke(id: bigint, options: CallOptions = {}): Promise<LeaseRevokeResponse> {
    return this.#caller.unary(leaseRevoke, new LeaseRevokeRequest({ id }), options);
  }

  /** How long it has left: -1 when it is gone. `keys` asks for what is attached. */
  async timeToLive(
    id: bigint,
    options: { readonly keys?: boolean | undefined } & CallOptions = {},
  ): Promise<LeaseTimeToLiveResponse> {
    const request = new LeaseTimeToLiveRequest({ id, keys: options.keys ?? false });
    const response = await this.#caller.unary(leaseTimeToLive, request, options);
    if (this.#prefixLength > 0) response.keys = response.keys.map((key) => key.subarray(this.#prefixLength));
    return response;
  }

  list(options: CallOptions = {}): Promise<LeaseLeasesResponse> {
    return this.#caller.unary(leaseLeases, new LeaseLeasesRequest(), options);
  }

  /** One sign of life. Fails with "lease not found" where it is gone. */
  async keepAliveOnce(id: bigint, options: CallOptions = {}): Promise<LeaseKeepAliveResponse> {
    const deadlineMs = this.#caller.deadlineOf(options);
    for (let attempt = 1; ; attempt++) {
      const leftMs = deadlineMs - this.#caller.now;
      const timeoutMs = leftMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, leftMs);
      try {
        return await this.#keepAliveAttempt(id, { ...options, timeoutMs });
      } catch (error) {
        if (!(error instanceof EtcdError) || attempt >= MAX_ATTEMPTS) throw error;
        if (error.entry === RPC_ERRORS.ErrGRPCInvalidAuthToken && this.#caller.tokens.canRefresh) {
          this.#caller.tokens.reject(this.#caller.tokens.token);
        } else if (error.code !== GrpcCode.Unavailable) {
          throw error;
        }
        await pause(this.#caller.options.clock, RETRY_PAUSE_MS, options.signal);
      }
    }
  }

  async #keepAliveAttempt(id: bigint, options: CallOptions): Promise<LeaseKeepAliveResponse> {
    const answer = Promise.withResolvers<LeaseKeepAliveResponse>();
    const receiver: ClientReceiver = {
      onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
        const response = leaseKeepAlive.response.decode(copyMessage(bytes, start, end));
        if (response.ttl <= 0) answer.reject(new EtcdError(RPC_ERRORS.ErrGRPCLeaseNotFound));
        else answer.resolve(response);
        call.cancel();
      },
      onEnd: (_call, code, message) =>
        answer.reject(
          code === GrpcCode.OK
            ? EtcdError.fromStatus(GrpcCode.Unavailable, 'the server ended the call without an answer')
            : EtcdError.fromStatus(code, message),
        ),
    };
    const { call } = await this.#caller.open(leaseKeepAlive.path, receiver, options);
    const onAbort = (): void => {
      answer.reject(options.signal?.reason);
      call.cancel();
    };
    options.signal?.addEventListener('abort', onAbort);
    const request = new LeaseKeepAliveRequest({ id });
    const bytes = new Uint8Array(leaseKeepAlive.request.size(request));
    leaseKeepAlive.request.write(request, bytes, 0);
    call.write(bytes);
    call.halfClose();
    return answer.promise.finally(() => options.signal?.removeEventListener('abort', onAbort));
  }

  #held(id: bigint, ttlSeconds: number, grantedMs?: number): HeldLease {
    return new HeldLease(id, ttlSeconds, this.#keeper, (lease) => this.revoke(lease), grantedMs);
  }
}
