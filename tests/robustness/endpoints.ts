/** Connections to members, and what an error of a call means for whoever made it. */
import { EtcdRpc, RpcError } from '../support/etcd-rpc.ts';

/** gRPC codes. */
const CANCELLED = 1;
const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const RESOURCE_EXHAUSTED = 8;
const FAILED_PRECONDITION = 9;
const OUT_OF_RANGE = 11;
const UNAVAILABLE = 14;

/** After these a request was certainly not carried out. */
const REFUSALS: ReadonlySet<number> = new Set([
  INVALID_ARGUMENT,
  NOT_FOUND,
  FAILED_PRECONDITION,
  OUT_OF_RANGE,
]);
const OF_THE_MOMENT: ReadonlySet<number> = new Set([
  CANCELLED,
  DEADLINE_EXCEEDED,
  RESOURCE_EXHAUSTED,
  UNAVAILABLE,
]);
/** What etcd says of the moment without a code of its own. */
const UNKNOWN_OF_THE_MOMENT =
  /raft proposal dropped|server stopped|no leader|leader changed|lost|context|closed|^$/;

export type Failure = 'refused' | 'moment' | 'odd';

export function kindOfFailure({ code, details }: RpcError): Failure {
  if (REFUSALS.has(code)) return 'refused';
  if (OF_THE_MOMENT.has(code)) return 'moment';
  return code === UNKNOWN && UNKNOWN_OF_THE_MOMENT.test(details) ? 'moment' : 'odd';
}

/** A member as clients see it. */
export interface Endpoint {
  readonly name: string;
  readonly address: string;
}

/** The connections of one client: one to each member. */
export class Endpoints {
  readonly #all: () => readonly Endpoint[];
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #clients = new Map<string, EtcdRpc>();

  /** @param metadata sent with each call. */
  constructor(all: () => readonly Endpoint[], metadata: Readonly<Record<string, string>> = {}) {
    this.#all = all;
    this.#metadata = metadata;
  }

  pick(choose: (count: number) => number): { readonly name: string; readonly rpc: EtcdRpc } {
    const all = this.#all();
    const { name, address } = all[choose(all.length)]!;
    let rpc = this.#clients.get(address);
    if (rpc === undefined) this.#clients.set(address, (rpc = new EtcdRpc(address, this.#metadata)));
    return { name, rpc };
  }

  close(): void {
    for (const rpc of this.#clients.values()) rpc.close();
    this.#clients.clear();
  }
}

/** What a failed request is counted as: without what differs from case to case. */
export function failureText(kind: string, { code, details }: RpcError): string {
  const text = /ECONN|No connection|connect|Connection dropped|Deadline/i.exec(details)?.[0] ?? details;
  return `${kind}: ${code} ${text.slice(0, 80)}`;
}

export function asRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  throw error;
}
