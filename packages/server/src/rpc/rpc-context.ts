/** What the services of a member share: the member, who it says it is in answers, and how calls are admitted and refused. */
import {
  type Codec,
  DecodeError,
  INTERNAL_ERRORS,
  type InternalError,
  RPC_ERRORS,
  type RpcError,
} from '@etcd/api';
import { GrpcCode, type Logger } from '@etcd/base';
import type { Counter } from '@etcd/host/metrics';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { MethodKind, type ServerCall } from '@etcd/transport';
import type { Access } from '../apply/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { Callers } from './callers.ts';
import type { MemberFacts, Requests } from './member.ts';
import { RefusedCallers } from './refused-callers.ts';
import { ResponseHeaderWriter } from './response-header.ts';
import type { Call, JudgedVerdict, RowRules } from './row.ts';

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
  readonly member: MemberFacts;
  readonly requests: Requests;
  readonly callers: Callers;
  readonly access: Access;
  /** Where requests are counted, and slow ones told of: the member's own, as a rule. */
  readonly metrics: MetricHandles;
  readonly logger: Logger;
  readonly header: ResponseHeaderWriter;
  readonly refused: RefusedCallers;

  constructor(
    member: MemberFacts,
    requests: Requests,
    callers: Callers,
    metrics: MetricHandles = member.metrics.handles,
    logger: Logger = member.logger,
  ) {
    this.member = member;
    this.requests = requests;
    this.callers = callers;
    this.metrics = metrics;
    this.logger = logger;
    this.access = member.access;
    this.refused = new RefusedCallers({ clock: member.clock, logger, metrics });
    this.header = new ResponseHeaderWriter(member.clusterId, member.memberId, () => member.term);
  }

  /** Whether a call may go on; if not it has been refused. A client may ask to be refused while there is no leader. */
  admit<Request>(call: ServerCall, { onLearner, whenFenced }: RowRules<Request>, request: Request): boolean {
    const { member } = this;
    if (member.isFenced && whenFenced === 'refused') return refuse(call, RPC_ERRORS.ErrGRPCCorrupt);
    if (member.isLearner && onLearner !== 'served') {
      const isServed = onLearner !== 'refused' && onLearner.if(request);
      if (!isServed) return refuse(call, RPC_ERRORS.ErrGRPCNotSupportedForLearner);
    }
    this.#count(call);
    if (member.leader === 0n && call.metadata('hasleader') === 'true') {
      return refuse(call, RPC_ERRORS.ErrGRPCNoLeader);
    }
    return true;
  }

  /**
   * Finds out who calls where that takes a while. `then` is called for a call that still waits, with who it is, or with nobody if
   * authentication has been disabled meanwhile; a token that is none ends the call.
   */
  resolveThen(call: ServerCall, then: (identity: Identity) => void): void {
    this.callers.resolveThen(call, (identity) => {
      if (!call.isAlive) return;
      if (!this.access.isEnabled) return then(NO_IDENTITY);
      if (identity !== null) return then(identity);
      this.refused.badToken(call);
      refuse(call, RPC_ERRORS.ErrGRPCInvalidAuthToken);
    });
  }

  /** {@link JudgedVerdict} for one message of a stream, whose caller may have another token by now; null: granted. */
  judgeMessage<Request>(
    call: ServerCall,
    verdict: JudgedVerdict<Request>,
    request: Request,
  ): InternalError | null {
    if (!this.access.isEnabled) return null;
    const identity = this.callers.identify(call);
    if (identity === null) {
      this.refused.badToken(call);
      return INTERNAL_ERRORS.auth.ErrInvalidAuthToken;
    }
    return verdict.judge(this.access, identity, request);
  }

  /** {@link JudgedVerdict} for what is about to be read; null: granted. */
  judgeRead<Request>(
    verdict: JudgedVerdict<Request>,
    identity: Identity,
    request: Request,
  ): InternalError | null {
    return this.access.isEnabled ? verdict.judge(this.access, identity, request) : null;
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

/** Sends a message on a stream. */
export function send<T>(call: Call<T>, codec: Codec<NoInfer<T>>, message: NoInfer<T>): void {
  const position = call.reserveMessage(codec.size(message));
  codec.write(message, call.output, position);
}

/** Answers with a message, encoded in place. */
export function answer<T>(call: Call<T>, codec: Codec<NoInfer<T>>, message: NoInfer<T>): void {
  const position = call.reserve(codec.size(message));
  codec.write(message, call.output, position);
}
