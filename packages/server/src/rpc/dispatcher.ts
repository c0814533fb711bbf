/**
 * Carries out what the table of RPCs says, for every call alike: the request is decoded, the call is admitted, the caller is
 * judged, the method runs. Everything that the table knows of a method is looked up once, when it is registered.
 */
import type { RpcError } from '@etcd/api';
import { assert } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { CallReceiver, GrpcServer, MessageHandler, ServerCall, StreamHandler } from '@etcd/transport';
import type { AnyRpc, JudgedVerdict, RowRules } from './row.ts';
import { decodeRequest, type RpcContext, refuseInternal } from './rpc-context.ts';
import type { Services } from './services.ts';

type MessageRpc = Extract<AnyRpc, { kind: 'message' }>;
type StreamRpc = Extract<AnyRpc, { kind: 'stream' }>;

/** Gives every method of the table that is served its place in the gRPC server. */
export function registerRpcs(
  table: readonly AnyRpc[],
  grpc: GrpcServer,
  context: RpcContext,
  services: Services,
): void {
  for (const rpc of table) {
    const { path, kind } = rpc.method;
    if (rpc.kind === 'not-served') continue;
    if (rpc.kind === 'stream') {
      assert(kind === 'bidi-stream', () => `rpc: ${path} is of a kind that nobody serves`);
      grpc.bidi(path, streamHandler(rpc, context, services));
    } else if (kind === 'unary') {
      grpc.unary(path, messageHandler(rpc, context, services));
    } else {
      grpc.serverStream(path, messageHandler(rpc, context, services));
    }
  }
}

function messageHandler(
  { method, row }: MessageRpc,
  context: RpcContext,
  services: Services,
): MessageHandler {
  const codec = method.request;
  const { needs, run } = row;
  const isNamed = needs !== 'nothing' && (typeof needs === 'string' || needs.when !== 'steps');
  const { access, callers } = context;
  const tooDeep: RpcError | null = row.tooDeep ?? null;
  const judge = judgeOf(row);
  const runFor: RunFor = (call, request, identity, bytes, start, end) => {
    const refusal = judge(access, identity, request);
    if (refusal !== null) return void refuseInternal(call, refusal);
    run(services, call, request, identity, bytes, start, end);
  };
  return (call, bytes, start, end) => {
    const request = decodeRequest(call, codec, bytes, start, end, tooDeep);
    if (request === null || !context.admit(call, row, request)) return;
    if (!isNamed || !access.isEnabled) {
      return run(services, call, request, NO_IDENTITY, bytes, start, end);
    }
    const identity = callers.identify(call);
    if (identity === null) {
      return context.resolveThen(call, (resolved) => runFor(call, request, resolved, bytes, start, end));
    }
    runFor(call, request, identity, bytes, start, end);
  };
}

function streamHandler({ row }: StreamRpc, context: RpcContext, services: Services): StreamHandler {
  const { needs, run } = row;
  const { access, callers } = context;
  const judge = judgeOf(row);
  const runFor = (call: ServerCall, identity: Identity): void => {
    const refusal = judge(access, identity, NO_REQUEST);
    if (refusal !== null) return void refuseInternal(call, refusal);
    run(services, call);
  };
  return (call) => {
    if (!context.admit(call, row, NO_REQUEST)) return;
    if (needs === 'nothing' || !access.isEnabled) return run(services, call);
    const identity = callers.identify(call);
    if (identity !== null) return runFor(call, identity);
    const waiting = new WaitingStream(call);
    callers.resolveThen(call, (resolved) => {
      if (!call.isAlive) return;
      // Whoever has a token that is none is told so with each message, as in etcd: the stream may be used with another.
      if (resolved === null) run(services, call);
      else runFor(call, resolved);
      waiting.handOver();
    });
  };
}

/** Holds a stream while it is found out who calls: what its client sends meanwhile stays with the transport, as much as its window allows. */
class WaitingStream implements CallReceiver {
  readonly #call: ServerCall;
  #isHalfClosed = false;

  constructor(call: ServerCall) {
    this.#call = call;
    call.receiver = this;
    call.pause();
  }

  /** The client has nothing to say at all: messages would have held this back. */
  onHalfClose(): void {
    this.#isHalfClosed = true;
  }

  /** To whoever has taken the call over, all of it and in order. */
  handOver(): void {
    const call = this.#call;
    call.resume();
    if (this.#isHalfClosed && call.receiver !== this) call.receiver?.onHalfClose?.(call);
  }
}

type RunFor = (
  call: ServerCall,
  request: object,
  identity: Identity,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

/** Of a stream that has just begun. */
const NO_REQUEST = {};

/** What has to be judged before the method runs; the rest is up to it, or to the applier. */
function judgeOf({ needs }: RowRules<object>): JudgedVerdict<object>['judge'] {
  if (needs === 'user') return (access, identity) => access.user(identity);
  if (needs === 'admin') return (access, identity) => access.admin(identity);
  return needs === 'nothing' || needs.when !== 'called' ? () => null : needs.judge;
}
