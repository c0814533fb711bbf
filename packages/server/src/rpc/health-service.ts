/** `grpc.health.v1.Health`: whether the member serves, asked once, listed or watched. The only service that has a name is the whole. */
import { RPC_ERRORS } from '@etcd/api';
import {
  type HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponseCodec,
  HealthListResponse,
  HealthListResponseCodec,
  ServingStatus,
  StatusesEntry,
} from '@etcd/api/health';
import { GrpcCode } from '@etcd/base';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import type { Call } from './row.ts';
import { answer, type RpcContext, refuse, send } from './rpc-context.ts';

/** What stands for all services together. */
const ALL_SERVICES = '';

export class HealthService implements CallReceiver {
  readonly #context: RpcContext;
  readonly #stopsOnDefragment: boolean;
  readonly #watching = new Set<Call<HealthCheckResponse>>();
  /** Of services that are not known. */
  readonly #waiting = new Set<ServerCall>();
  #status: number = ServingStatus.SERVING;
  #isStopped = false;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#stopsOnDefragment = context.member.config.featureGates.StopGRPCServiceOnDefrag;
  }

  check(call: Call<HealthCheckResponse>, { service }: HealthCheckRequest): void {
    if (service !== ALL_SERVICES) return call.fail(GrpcCode.NotFound, 'unknown service');
    answer(call, HealthCheckResponseCodec, new HealthCheckResponse({ status: this.#status }));
  }

  list(call: Call<HealthListResponse>): void {
    const value = new HealthCheckResponse({ status: this.#status });
    const statuses = [new StatusesEntry({ key: ALL_SERVICES, value })];
    answer(call, HealthListResponseCodec, new HealthListResponse({ statuses }));
  }

  watch(call: Call<HealthCheckResponse>, { service }: HealthCheckRequest): void {
    // A service that is not known may come to be known: its watcher is told so, and kept.
    const isKnown = service === ALL_SERVICES;
    call.receiver = this;
    sendStatus(call, isKnown ? this.#status : ServingStatus.SERVICE_UNKNOWN);
    if (isKnown) this.#watching.add(call);
    else this.#waiting.add(call);
  }

  get streamCount(): number {
    return this.#watching.size + this.#waiting.size;
  }

  /** Whether a defragmentation is under way: by the feature gate, the member says meanwhile that it does not serve. */
  onDefragment(isActive: boolean): void {
    if (!this.#stopsOnDefragment || this.#context.member.isFenced) return;
    this.#setStatus(isActive ? ServingStatus.NOT_SERVING : ServingStatus.SERVING);
  }

  onFenced(): void {
    this.#setStatus(ServingStatus.NOT_SERVING);
  }

  onCancel(call: ServerCall): void {
    this.#watching.delete(call);
    this.#waiting.delete(call);
  }

  /** Ends all streams: the member is about to stop, and serves no more, whatever ends meanwhile. */
  stop(): void {
    this.#setStatus(ServingStatus.NOT_SERVING);
    this.#isStopped = true;
    for (const calls of [this.#watching, this.#waiting]) {
      for (const call of calls) refuse(call, RPC_ERRORS.ErrGRPCStopped);
      calls.clear();
    }
  }

  #setStatus(status: number): void {
    if (this.#isStopped || this.#status === status) return;
    this.#status = status;
    for (const call of this.#watching) sendStatus(call, status);
  }
}

function sendStatus(call: Call<HealthCheckResponse>, status: number): void {
  send(call, HealthCheckResponseCodec, new HealthCheckResponse({ status }));
}
