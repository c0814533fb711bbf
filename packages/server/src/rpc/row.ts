/**
 * What a row of the table of RPCs says about a method, typed by the generated service: the request is the method's
 * request, the answer can only be the method's answer, and a service's rows are exactly its methods.
 */
import type { InternalError, Method, MethodKind, RpcError, Service } from '@etcd/api';
import type { Identity } from '@etcd/storage/auth';
import type { ServerCall } from '@etcd/transport';
import type { Access } from '../apply/index.ts';
import type { Encoded } from '../request/index.ts';
import type { Services } from './services.ts';

/**
 * What a caller has to be, or to be permitted (S04).
 *
 *  - `nothing`: who calls is not even looked at.
 *  - `user`: any user.
 *  - `admin`: a user with the role root.
 *  - otherwise it depends on the request: see {@link Verdict}.
 *
 * While authentication is not enabled, everybody may do everything.
 */
export type Needs<Request> = 'nothing' | 'user' | 'admin' | Verdict<Request>;

export type Verdict<Request> = JudgedVerdict<Request> | AppliedVerdict | StepsVerdict;

export interface JudgedVerdict<Request> {
  /**
   * When it is judged: when the method is called, before it runs; by the service for each message of a stream; or by the service when
   * there is something to read, so that the state that is read is also that which judges.
   */
  readonly when: 'called' | 'message' | 'read';
  /** For the document of RPCs. */
  readonly words: string;
  readonly judge: (access: Access, identity: Identity, request: Request) => InternalError | null;
}

/** Judged by the applier, on every member alike, when the request comes out of the log (S08). */
export interface AppliedVerdict {
  readonly when: 'applied';
  readonly words: string;
}

/**
 * Judged step by step: the method is made of others, which it calls in its caller's name, and each is judged as if the caller had called
 * it. Who calls is found out for each of them, too.
 */
export interface StepsVerdict {
  readonly when: 'steps';
  readonly words: string;
}

declare const ANSWERS: unique symbol;
/** A call that can be answered with a `Response` only. */
export type Call<Response> = ServerCall & { readonly [ANSWERS]?: (response: Response) => void };

export interface RowRules<Request> {
  readonly needs: Needs<Request>;
  /** Whether a learner serves it; it serves little, since what it has may be old. */
  readonly onLearner:
    | 'served'
    | 'refused'
    | { readonly words: string; readonly if: (request: Request) => boolean };
  /** Whether a member serves it whose data are known to be wrong. */
  readonly whenFenced: 'served' | 'refused';
}

/** A method with one request. */
export interface MessageRow<Request, Response> extends RowRules<Request> {
  /** What a request gets that is nested deeper than messages may be, where that is an error of its own. */
  readonly tooDeep?: RpcError;
  /** The request is also at hand as it came: `bytes[start, end)`. */
  readonly run: (
    services: Services,
    call: Call<Response>,
    request: Request,
    identity: Identity,
    bytes: Request extends object ? Encoded<Request> : never,
    start: number,
    end: number,
  ) => void;
}

/** A method whose client sends as many requests as it likes: `run` takes the stream over, and judges each of them. */
export interface StreamRow<Request, Response> extends RowRules<Request> {
  readonly run: (services: Services, call: Call<Response>) => void;
}

/** The methods of a service that this program does not have: gRPC answers that they are unimplemented. */
export const NOT_SERVED = null;

type RowOf<M> =
  M extends Method<infer Kind, infer Request, infer Response>
    ? Kind extends 'unary' | 'server-stream'
      ? MessageRow<Request, Response>
      : StreamRow<Request, Response>
    : never;

/** One row for each method of the service, no more and no fewer. */
export type Rows<S extends Service> = {
  readonly [Name in keyof S['methods']]: RowOf<S['methods'][Name]> | typeof NOT_SERVED;
};

/** A method with its row, whatever it is: for who handles all of them. */
export type AnyRpc =
  | { readonly method: AnyMethod; readonly kind: 'message'; readonly row: MessageRow<object, object> }
  | { readonly method: AnyMethod; readonly kind: 'stream'; readonly row: StreamRow<object, object> }
  | { readonly method: AnyMethod; readonly kind: 'not-served' };

type AnyMethod = Method<MethodKind, object, object>;

/** The rows of a service, in the order of its methods. Here their types are let go of, which {@link Rows} has checked. */
export function rpcsOf<S extends Service>(service: S, rows: Rows<S>): AnyRpc[] {
  return Object.entries(service.methods).map(([name, method]): AnyRpc => {
    const row = rows[name as keyof Rows<S>] as MessageRow<object, object> | StreamRow<object, object> | null;
    if (row === NOT_SERVED) return { method, kind: 'not-served' };
    const isMessage = method.kind === 'unary' || method.kind === 'server-stream';
    return isMessage
      ? { method, kind: 'message', row }
      : { method, kind: 'stream', row: row as StreamRow<object, object> };
  });
}
