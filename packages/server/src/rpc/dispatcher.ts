/**
 * Carries out what the table of RPCs says, for every call alike: the request is decoded, the call is admitted, the caller is
 * judged, the method runs. Everything that the table knows of a method is looked up once, when it is registered.
 */
import type { RpcError } from '@etcd/api';
import { RPC_ERRORS } from '@etcd/api';
import { assert } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { GrpcServer, MessageHandler, StreamHandler } from '@etcd/transport';
import type { AnyRpc, JudgedVerdict, RowRules } from './row.ts';
import { decodeRequest, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';
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
  const { access, callers } = context;
  const tooDeep: RpcError | null = row.tooDeep ?? null;
  const judge = judgeOf(row);
  return (call, bytes, start, end) => {
    const request = decodeRequest(call, codec, bytes, start, end, tooDeep);
    if (request === null || !context.admit(call, row, request)) return;
    let identity: Identity | null = NO_IDENTITY;
    if (access.isEnabled && needs !== 'nothing') {
      identity = callers.identify(call);
      if (identity === null) return void refuse(call, RPC_ERRORS.ErrGRPCInvalidAuthToken);
      const refusal = judge(access, identity, request);
      if (refusal !== null) return void refuseInternal(call, refusal);
    }
    run(services, call, request, identity, bytes, start, end);
  };
}

function streamHandler({ row }: StreamRpc, context: RpcContext, services: Services): StreamHandler {
  const { needs, run } = row;
  const { access, callers } = context;
  const judge = judgeOf(row);
  return (call) => {
    if (!context.admit(call, row, NO_REQUEST)) return;
    if (access.isEnabled && (needs === 'user' || needs === 'admin')) {
      const identity = callers.identify(call);
      if (identity === null) return void refuse(call, RPC_ERRORS.ErrGRPCInvalidAuthToken);
      const refusal = judge(access, identity, NO_REQUEST);
      if (refusal !== null) return void refuseInternal(call, refusal);
    }
    run(services, call);
  };
}

/** Of a stream that has just begun. */
const NO_REQUEST = {};

/** What has to be judged before the method runs; the rest is up to it, or to the applier. */
function judgeOf({ needs }: RowRules<object>): JudgedVerdict<object>['judge'] {
  if (needs === 'user') return (access, identity) => access.user(identity);
  if (needs === 'admin') return (access, identity) => access.admin(identity);
  return needs === 'nothing' || needs.when !== 'called' ? () => null : needs.judge;
}
