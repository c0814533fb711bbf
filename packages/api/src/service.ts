/**
 * A method of a service as a value: what a gRPC server or client needs to know to carry it. The tables are in
 * `@etcd/api/services`, one constant for each service: `KvService.methods.put`.
 */
import type { Codec } from './codec.ts';

/** How many messages travel: one each way, one and many, many and one, or many both ways. */
export type MethodKind = 'unary' | 'server-stream' | 'client-stream' | 'bidi-stream';

export interface Method<Kind extends MethodKind, Request, Response> {
  /** Full name of the service, as `etcdserverpb.KV`. */
  readonly service: string;
  readonly name: string;
  /** The `:path` of its requests, as `/etcdserverpb.KV/Put`. */
  readonly path: string;
  readonly kind: Kind;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
  /** Where the JSON gateway serves it (POST); empty where it does not. */
  readonly gatewayPaths: readonly string[];
}

export interface Service {
  readonly name: string;
  readonly methods: Readonly<Record<string, Method<MethodKind, object, object>>>;
}

export function method<Kind extends MethodKind, Request, Response>(
  service: string,
  name: string,
  kind: Kind,
  request: Codec<Request>,
  response: Codec<Response>,
  gatewayPaths: readonly string[],
): Method<Kind, Request, Response> {
  return { service, name, path: `/${service}/${name}`, kind, request, response, gatewayPaths };
}
