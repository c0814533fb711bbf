/**
 * Reads never go back in time (`--experimental-serializable-ordering`): an answer that is older than one that this proxy has given
 * before is asked for again, of another member, until one is as new.
 */
import { decodeResponseHeader } from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { Caller } from '../upstream/caller.ts';
import type { Answer, Cancelable, Upstream } from '../upstream/upstream.ts';
import type { KvBackend } from './kv-backend.ts';

/** Rounds over all members before it is given up. */
const ROUNDS = 5;
const ROUND_PAUSE_MS = 20;
const HEADER_TAG = 0x0a;
const NO_NEWER =
  'etcdclient: no cluster members have a revision higher than the previously received revision';
const ORDERED: ReadonlySet<string> = new Set([KvService.methods.range.path, KvService.methods.txn.path]);
const NOTHING = new Uint8Array(0);

export class OrderingBackend implements KvBackend {
  readonly #upstream: Upstream;
  /** The newest revision of an answer. */
  #revision = 0;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  unary(path: string, request: Uint8Array, caller: Caller, deadlineMs: number, answer: Answer): Cancelable {
    let current: Cancelable = { cancel: () => {} };
    let attempt = 0;
    const ask = (): void => {
      current = this.#upstream.unary(
        path,
        request,
        caller,
        deadlineMs,
        (code, message, bytes, start, end) => {
          if (code !== GrpcCode.OK) return answer(code, message, bytes, start, end);
          const revision = headerRevision(bytes, start, end);
          if (revision >= this.#revision || !ORDERED.has(path)) {
            this.#revision = Math.max(this.#revision, revision);
            return answer(code, message, bytes, start, end);
          }
          const { endpointCount } = this.#upstream.balancer;
          attempt++;
          if (attempt >= ROUNDS * endpointCount) return answer(GrpcCode.Unknown, NO_NEWER, NOTHING, 0, 0);
          const pauseMs = attempt % endpointCount === 0 ? ROUND_PAUSE_MS : 0;
          current = this.#upstream.clock.setTimer(pauseMs, ask);
        },
      );
    };
    ask();
    return { cancel: () => current.cancel() };
  }
}

/** The revision in the header that an answer of KV begins with; 0 without one. */
function headerRevision(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 2 || bytes[start] !== HEADER_TAG) return 0;
  const length = bytes[start + 1]!;
  const from = start + 2;
  // A header is never so long that its length takes a second byte.
  if (length >= 0x80 || from + length > end) return 0;
  return decodeResponseHeader(bytes, from, from + length).revision;
}
