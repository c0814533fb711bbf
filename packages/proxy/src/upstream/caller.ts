/**
 * Who makes a call, as far as the cluster cares: the token that comes with it. Whatever is shared between calls (watches, renewals, cached
 * answers) is shared only between callers of equal {@link Caller.key}, so that nobody sees anything with the rights of somebody else.
 *
 * A call is passed on with the caller's token, what else the cluster makes something of, and the list of the proxies that it has come
 * through. A proxy that finds itself in that list has been asked by itself.
 */
import type { Metadata, ServerCall } from '@etcd/transport';

export interface Caller {
  /** Equal for those who may share. */
  readonly key: string;
  /** What their calls are passed on with. One object, so that headers are encoded once. */
  readonly metadata: Metadata;
  readonly hasToken: boolean;
  /** Fails at once while the member has no leader, instead of waiting. */
  readonly requiresLeader: boolean;
  /** The call has been here before. */
  readonly isCircle: boolean;
}

/** A list of the proxies that a call has come through, by the names that they gave themselves. */
const VIA = 'x-etcd-proxy-via';
/** More proxies in a row than this are a mistake. */
const MAX_VIA = 16;
/** Callers that are remembered; beyond, the oldest are forgotten, which costs them no more than a new object. */
const MAX_CALLERS = 2_000;
/** Whoever sends more than this, counted in UTF-16 units, is not remembered. */
const MAX_REMEMBERED_LENGTH = 8 * 1024;

/** By which the cluster tells callers apart. */
const CREDENTIALS = ['token', 'authorization'] as const;
const LEADER = 'hasleader';
/** Passed on, but no reason not to share. */
const OTHERS = ['client-api-version', 'traceparent', 'tracestate'] as const;

export class Callers {
  readonly #ownName: string;
  readonly #byHead = new WeakMap<object, Caller>();
  readonly #byKey = new Map<string, Caller>();
  /** The proxy itself, when it asks on nobody's behalf. */
  readonly own: Caller;

  /** @param ownName what no other proxy is called. */
  constructor(ownName: string) {
    this.#ownName = ownName;
    this.own = this.#find([], '', []);
  }

  of(call: ServerCall): Caller {
    const known = this.#byHead.get(call.head);
    if (known !== undefined) return known;
    const read = (name: string): [string, string][] => {
      const value = call.metadata(name);
      return value === null ? [] : [[name, value]];
    };
    const caller = this.#find(
      [...CREDENTIALS, LEADER].flatMap(read),
      call.metadata(VIA) ?? '',
      OTHERS.flatMap(read),
    );
    this.#byHead.set(call.head, caller);
    return caller;
  }

  #find(pairs: readonly [string, string][], via: string, others: Metadata): Caller {
    const key = JSON.stringify([pairs, via]);
    const fullKey = JSON.stringify([pairs, via, others]);
    const known = this.#byKey.get(fullKey);
    if (known !== undefined) return known;
    const names = via === '' ? [] : via.split(',');
    const caller: Caller = {
      key,
      metadata: [...pairs, ...others, [VIA, [...names, this.#ownName].join(',')]],
      hasToken: pairs.some(([name]) => name !== LEADER),
      requiresLeader: pairs.some(([name, value]) => name === LEADER && value === 'true'),
      isCircle: names.includes(this.#ownName) || names.length >= MAX_VIA,
    };
    if (fullKey.length > MAX_REMEMBERED_LENGTH) return caller;
    if (this.#byKey.size >= MAX_CALLERS) this.#byKey.delete(this.#byKey.keys().next().value!);
    this.#byKey.set(fullKey, caller);
    return caller;
  }
}
