/**
 * What Prometheus knows of a gRPC server, in the names and labels of Go's interceptor. A method's numbers are fields of one
 * object that the RPC layer gets when it registers the method; counting is an increment of a field.
 */
import { GRPC_CODE_NAMES } from '@etcd/base';
import { Histogram } from './metric.ts';

export type GrpcCallType = 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream';

const HANDLING_BOUNDS = new Float64Array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);

/** Hot: one shape, numbers only. */
export class GrpcMethodMetrics {
  readonly service: string;
  readonly method: string;
  readonly type: GrpcCallType;
  /** Calls begun. */
  started = 0;
  /** Messages of clients. */
  received = 0;
  /** Messages to clients. */
  sent = 0;
  /** Calls ended, by the number of their status. */
  readonly handled: Float64Array = new Float64Array(GRPC_CODE_NAMES.length);
  /** Seconds per call; null unless `--metrics=extensive`. */
  readonly handlingSeconds: Histogram | null;

  constructor(service: string, method: string, type: GrpcCallType, isExtensive: boolean) {
    this.service = service;
    this.method = method;
    this.type = type;
    this.handlingSeconds = isExtensive ? new Histogram(HANDLING_BOUNDS) : null;
  }
}

export class GrpcServerMetrics {
  readonly #isExtensive: boolean;
  readonly #methods = new Map<string, GrpcMethodMetrics>();

  constructor(isExtensive: boolean) {
    this.#isExtensive = isExtensive;
  }

  /** Once per method, when it is registered: all its series then exist, at zero. */
  register(service: string, method: string, type: GrpcCallType): GrpcMethodMetrics {
    const key = `${service}/${method}`;
    const known = this.#methods.get(key);
    if (known !== undefined) return known;
    const metrics = new GrpcMethodMetrics(service, method, type, this.#isExtensive);
    this.#methods.set(key, metrics);
    return metrics;
  }

  methods(): Iterable<GrpcMethodMetrics> {
    return this.#methods.values();
  }

  get isExtensive(): boolean {
    return this.#isExtensive;
  }
}
