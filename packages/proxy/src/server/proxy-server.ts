/**
 * The gRPC server of a proxy: what each method does. Whatever is not named here is passed on as the bytes that it is, so that a
 * proxy offers what the members behind it do.
 */
import { DecodeError, type Method, type MethodKind } from '@etcd/api';
import { encodeMemberListResponse, Member, MemberListResponse } from '@etcd/api/etcdserverpb';
import {
  AuthService,
  ClusterService,
  KvService as KvMethods,
  LeaseService,
  SERVICES,
  WatchService,
} from '@etcd/api/services';
import { GrpcCode, type Logger } from '@etcd/base';
import type { GrpcServer, ServerCall } from '@etcd/transport';
import type { RegisteredProxy } from '../cluster/registration.ts';
import { decodeProblem, type KvBackend, NamespaceBackend } from '../kv/kv-backend.ts';
import type { KvService } from '../kv/kv-service.ts';
import type { NamespaceRow } from '../kv/namespace.ts';
import type { RangeCache } from '../kv/range-cache.ts';
import type { KeepAliveHub } from '../lease/keep-alive-hub.ts';
import type { Caller, Callers } from '../upstream/caller.ts';
import { forwardUnary, StreamForward } from '../upstream/forward.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { WatchHub } from '../watch/watch-hub.ts';
import { tapAnswers, tapRequests } from './tap.ts';

export interface ProxyParts {
  readonly upstream: Upstream;
  readonly callers: Callers;
  readonly kv: KvService;
  readonly cache: RangeCache;
  readonly watches: WatchHub;
  readonly keepAlives: KeepAliveHub;
  readonly namespaceRows: ReadonlyMap<string, NamespaceRow>;
  readonly logger: Logger;
  /** The proxies that clients are told instead of the members; null: the members are. */
  readonly advertised: (() => readonly RegisteredProxy[]) | null;
  /** Hears of every message, if anybody wants to. */
  readonly onMessage: MessageListener | null;
}

/** One message of a call, as it came or as it goes. */
export type MessageListener = (
  method: Method<MethodKind, object, object>,
  call: ServerCall,
  kind: 'request' | 'response',
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

type UnaryHandler = (call: ServerCall, bytes: Uint8Array, start: number, end: number, caller: Caller) => void;

const CIRCLE = 'etcd grpc-proxy: an endpoint leads back to this proxy';

export class ProxyServer {
  readonly #parts: ProxyParts;
  readonly #backend: KvBackend;
  readonly #unary: ReadonlyMap<string, UnaryHandler>;
  #hasToldOfCircle = false;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
    this.#backend =
      parts.namespaceRows.size === 0
        ? parts.upstream
        : new NamespaceBackend(parts.namespaceRows, parts.upstream);
    this.#unary = this.#handlers();
  }

  /** Registers all methods. */
  register(server: GrpcServer): void {
    for (const { methods } of SERVICES) {
      for (const method of Object.values(methods)) this.#registerMethod(server, method);
    }
  }

  #handlers(): ReadonlyMap<string, UnaryHandler> {
    const { kv, cache, keepAlives, advertised } = this.#parts;
    const handlers = new Map<string, UnaryHandler>([
      [KvMethods.methods.range.path, (...call) => kv.range(...call)],
      [KvMethods.methods.put.path, (...call) => kv.put(...call)],
      [KvMethods.methods.deleteRange.path, (...call) => kv.deleteRange(...call)],
      [KvMethods.methods.txn.path, (...call) => kv.txn(...call)],
      [KvMethods.methods.compact.path, (...call) => kv.compact(...call)],
      [
        LeaseService.methods.leaseRevoke.path,
        this.#clearing(LeaseService.methods.leaseRevoke.path, () => {
          keepAlives.forget();
          // Its keys are gone, and nobody has said which.
          cache.clear();
        }),
      ],
    ]);
    for (const { path, name } of Object.values(AuthService.methods)) {
      if (name !== 'Authenticate')
        handlers.set(
          path,
          this.#clearing(path, () => cache.clear()),
        );
    }
    if (advertised !== null) {
      handlers.set(ClusterService.methods.memberList.path, (call) => call.respond(memberList(advertised())));
    }
    return handlers;
  }

  /** Passes on, and forgets what may not be true any more, before and after. */
  #clearing(path: string, clear: () => void): UnaryHandler {
    return (call, bytes, start, end, caller) => {
      clear();
      forwardUnary(this.#backend, path, call, bytes.subarray(start, end), caller, clear);
    };
  }

  #registerMethod(server: GrpcServer, method: Method<MethodKind, object, object>): void {
    const { path, kind } = method;
    if (kind === 'unary') {
      const handler = this.#unary.get(path) ?? this.#passOn(path);
      server.unary(path, (call, bytes, start, end) => this.#handle(method, handler, call, bytes, start, end));
    } else if (kind === 'server-stream') {
      const handler = this.#passOnStream(path);
      server.serverStream(path, (call, bytes, start, end) =>
        this.#handle(method, handler, call, bytes, start, end),
      );
    } else {
      const open = path === WatchService.methods.watch.path ? this.#parts.watches : this.#parts.keepAlives;
      server.bidi(path, (call) => {
        const caller = this.#admit(call);
        if (caller === null) return;
        const { onMessage } = this.#parts;
        if (onMessage !== null) tapAnswers(call, method, onMessage);
        open.open(call, caller);
        if (onMessage !== null) tapRequests(call, method, onMessage);
      });
    }
  }

  #handle(
    method: Method<MethodKind, object, object>,
    handler: UnaryHandler,
    call: ServerCall,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const caller = this.#admit(call);
    if (caller === null) return;
    const { onMessage } = this.#parts;
    if (onMessage !== null) {
      onMessage(method, call, 'request', bytes, start, end);
      tapAnswers(call, method, onMessage);
    }
    try {
      handler(call, bytes, start, end, caller);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const { code, message } = decodeProblem(error);
      call.end(code, message);
    }
  }

  #passOn(path: string): UnaryHandler {
    return (call, bytes, start, end, caller) =>
      forwardUnary(this.#backend, path, call, bytes.subarray(start, end), caller);
  }

  #passOnStream(path: string): UnaryHandler {
    const row = this.#parts.namespaceRows.get(path);
    return (call, bytes, start, end, caller) => {
      const request = row?.request(bytes, start, end) ?? bytes.subarray(start, end);
      new StreamForward(this.#parts.upstream, path, call, request, caller, row?.response ?? null).start();
    };
  }

  /** Who calls; null for a call that is refused. */
  #admit(call: ServerCall): Caller | null {
    const caller = this.#parts.callers.of(call);
    if (!caller.isCircle) return caller;
    if (!this.#hasToldOfCircle)
      this.#parts.logger.error(CIRCLE, { endpoints: this.#parts.upstream.balancer.endpoints });
    this.#hasToldOfCircle = true;
    call.end(GrpcCode.FailedPrecondition, CIRCLE);
    return null;
  }
}

function memberList(proxies: readonly RegisteredProxy[]): Uint8Array {
  const members = proxies.map(({ name, address }) => new Member({ name, clientUrls: [address] }));
  return encodeMemberListResponse(new MemberListResponse({ members }));
}
