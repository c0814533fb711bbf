/** `grpc.health.v1.Health`: whether the member serves, asked once or watched. The only service that has a name is the whole. */

import { RPC_ERRORS } from '@etcd/api';
import {
  HealthCheckRequestCodec,
  HealthCheckResponse,
  HealthCheckResponseCodec,
  ServingStatus,
} from '@etcd/api/health';
import { GrpcCode } from '@etcd/base';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import { answer, decodeRequest, type RpcContext, refuse } from './rpc-context.ts';

/** What stands for all services together. */
const ALL_SERVICES = '';

export class HealthService implements CallReceiver {
  readonly #context: RpcContext;
  readonly #stopsOnDefragment: boolean;
  readonly #watching = new Set<ServerCall>();
  #status: number = ServingStatus.SERVING;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#stopsOnDefragment = context.server.config.featureGates.StopGRPCServiceOnDefrag;
  }

  register(): void {
    const { grpc } = this.#context;
    grpc.unary('/grpc.health.v1.Health/Check', (...call) => this.#check(...call));
    grpc.serverStream('/grpc.health.v1.Health/Watch', (...call) => this.#watch(...call));
  }

  /** Whether a defragmentation is under way: by the feature gate, the member says meanwhile that it does not serve. */
  onDefragment(isActive: boolean): void {
    if (!this.#stopsOnDefragment || this.#context.server.isFenced) return;
    this.#setStatus(isActive ? ServingStatus.NOT_SERVING : ServingStatus.SERVING);
  }

  onFenced(): void {
    this.#setStatus(ServingStatus.NOT_SERVING);
  }

  onCancel(call: ServerCall): void {
    this.#watching.delete(call);
  }

  /** Ends all streams: the member is about to stop. */
  stop(): void {
    this.#setStatus(ServingStatus.NOT_SERVING);
    for (const call of this.#watching) refuse(call, RPC_ERRORS.ErrGRPCStopped);
    this.#watching.clear();
  }

  #setStatus(status: number): void {
    if (this.#status === status) return;
    this.#status = status;
    for (const call of this.#watching) this.#send(call, status);
  }

  #check(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, HealthCheckRequestCodec, bytes, start, end);
    if (request === null) return;
    if (request.service !== ALL_SERVICES) return call.fail(GrpcCode.NotFound, 'unknown service');
    answer(call, HealthCheckResponseCodec, new HealthCheckResponse({ status: this.#status }));
  }

  #watch(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, HealthCheckRequestCodec, bytes, start, end);
    if (request === null) return;
    // A service that is not known may come to be known: its watcher is told so, and kept.
    const isKnown = request.service === ALL_SERVICES;
    call.receiver = this;
    this.#send(call, isKnown ? this.#status : ServingStatus.SERVICE_UNKNOWN);
    if (isKnown) this.#watching.add(call);
  }

  #send(call: ServerCall, status: number): void {
    const response = new HealthCheckResponse({ status });
    const position = call.reserveMessage(HealthCheckResponseCodec.size(response));
    HealthCheckResponseCodec.write(response, call.output, position);
  }
}
