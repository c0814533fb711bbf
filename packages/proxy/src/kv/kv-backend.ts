/**
 * What answers the unary calls of the service KV: the cluster, through whatever the flags put in between. Each layer is one of these, and
 * passes on to the one below.
 */
import { DecodeError } from '@etcd/api';
import { GrpcCode } from '@etcd/base';
import type { Caller } from '../upstream/caller.ts';
import type { Answer, Cancelable } from '../upstream/upstream.ts';
import type { NamespaceRow } from './namespace.ts';

export interface KvBackend {
  unary(path: string, request: Uint8Array, caller: Caller, deadlineMs: number, answer: Answer): Cancelable;
}

const NOTHING_UNDER_WAY: Cancelable = { cancel: () => {} };
const NOTHING = new Uint8Array(0);

/** Keys get a prefix, and lose it. */
export class NamespaceBackend implements KvBackend {
  readonly #rows: ReadonlyMap<string, NamespaceRow>;
  readonly #below: KvBackend;

  constructor(rows: ReadonlyMap<string, NamespaceRow>, below: KvBackend) {
    this.#rows = rows;
    this.#below = below;
  }

  unary(path: string, request: Uint8Array, caller: Caller, deadlineMs: number, answer: Answer): Cancelable {
    const row = this.#rows.get(path);
    if (row === undefined) return this.#below.unary(path, request, caller, deadlineMs, answer);
    const mapped = row.request(request, 0, request.length);
    if (mapped === null) return NOTHING_UNDER_WAY;
    return this.#below.unary(path, mapped, caller, deadlineMs, (code, message, bytes, start, end) => {
      if (code !== GrpcCode.OK) return answer(code, message, bytes, start, end);
      const stripped = row.response(bytes, start, end) ?? NOTHING;
      answer(code, message, stripped, 0, stripped.length);
    });
  }
}

/** What a client that sends something else than its method's message is told, by every gRPC server. */
export function decodeProblem(error: unknown): { readonly code: number; readonly message: string } {
  if (!(error instanceof DecodeError)) throw error;
  return { code: GrpcCode.Internal, message: `grpc: error unmarshalling request: ${error.message}` };
}
