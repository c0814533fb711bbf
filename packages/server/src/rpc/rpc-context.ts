/** What the services of a member share: the member, who it says it is in answers, and how calls are admitted and refused. */

import { type Codec, DecodeError, type InternalError, RPC_ERRORS, type RpcError } from '@etcd/api';
import { GrpcCode } from '@etcd/base';
import type { Counter } from '@etcd/host/metrics';
import { type GrpcServer, MethodKind, type ServerCall } from '@etcd/transport';
import type { EtcdServer } from '../member/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { ResponseHeaderWriter } from './response-header.ts';

/** A client that doesn't say which version of the API it speaks. */
const UNKNOWN_VERSION = 'unknown';

/** Where requests of the version seen last are counted. */
interface VersionCounts {
  readonly type: 'unary' | 'stream';
  version: string;
  counter: Counter | null;
}

export class RpcContext {
  readonly #unary: VersionCounts = { type: 'unary', version: '', counter: null };
  readonly #streams: VersionCounts = { type: 'stream', version: '', counter: null };
  readonly server: EtcdServer;
  readonly grpc: GrpcServer;
  readonly metrics: MetricHandles;
  readonly header: ResponseHeaderWriter;

  /** @param metrics where requests are counted: the member's own, as a rule. */
  constructor(server: EtcdServer, grpc: GrpcServer, metrics: MetricHandles = server.metrics.handles) {
    this.server = server;
    this.grpc = grpc;
    this.metrics = metrics;
    this.header = new ResponseHeaderWriter(server.clusterId, server.memberId, () => server.term);
  }

  /**
   * Whether a call may go on; if not it has been refused. A learner serves few calls, and a client may ask to be refused
   * while there is no leader.
   * @param forLearner whether a learner serves this call.
   */
  admit(call: ServerCall, forLearner = false): boolean {
    const { server } = this;
    if (server.isFenced && !isForFenced(call)) return refuse(call, RPC_ERRORS.ErrGRPCCorrupt);
    if (server.isLearner && !forLearner) return refuse(call, RPC_ERRORS.ErrGRPCNotSupportedForLearner);
    this.#count(call);
    if (server.leader === 0n && call.metadata('hasleader') === 'true') {
      return refuse(call, RPC_ERRORS.ErrGRPCNoLeader);
    }
    return true;
  }

  /** Most clients have the version of the one before, so its counter is at hand. */
  #count(call: ServerCall): void {
    const counts = call.method?.kind === MethodKind.UNARY ? this.#unary : this.#streams;
    const version = call.metadata('client-api-version') ?? UNKNOWN_VERSION;
    if (version !== counts.version || counts.counter === null) {
      counts.version = version;
      counts.counter = this.metrics.clientRequestsTotal.labels(counts.type, version);
    }
    counts.counter.value++;
  }
}

/** A member whose data are wrong still says how it is, and lets members be removed; a copy of its data is of no use. */
function isForFenced({ method }: ServerCall): boolean {
  if (method === null) return false;
  const { service, name } = method;
  return (
    service === 'etcdserverpb.Cluster' || (service === 'etcdserverpb.Maintenance' && name !== 'Snapshot')
  );
}

/** Ends a call with an error of the table. */
export function refuse(call: ServerCall, error: RpcError): false {
  call.fail(error.code, error.message);
  return false;
}

/** Ends a call with what a client is told of an internal error. */
export function refuseInternal(call: ServerCall, error: InternalError): false {
  return refuse(call, error.rpc);
}

/**
 * The request, or null: then the call has been refused, in the words of Go's gRPC and protobuf, which don't say where the
 * mistake is.
 * @param tooDeep what a message gets that is nested deeper than we decode, if that is an error of its own.
 */
export function decodeRequest<T>(
  call: ServerCall,
  codec: Codec<T>,
  bytes: Uint8Array,
  start: number,
  end: number,
  tooDeep: RpcError | null = null,
): T | null {
  try {
    return codec.decode(bytes, start, end);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    if (tooDeep !== null && error.code === 'depth') {
      refuse(call, tooDeep);
      return null;
    }
    const isUnary = call.method?.kind === MethodKind.UNARY;
    const what = isUnary ? 'error unmarshalling request' : 'failed to unmarshal the received message';
    const why =
      error.code === 'utf8' ? 'string field contains invalid UTF-8' : 'cannot parse invalid wire-format data';
    call.fail(GrpcCode.Internal, `grpc: ${what}: proto: ${why}`);
    return null;
  }
}

/** Answers with a message, encoded in place. */
export function answer<T>(call: ServerCall, codec: Codec<T>, message: T): void {
  const position = call.reserve(codec.size(message));
  codec.write(message, call.output, position);
}
