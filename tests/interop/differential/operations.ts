/**
 * Random requests as a hostile, careless or unlucky client would send them: small key space, so that they meet; all
 * options and their combinations; revisions around the interesting ones; and a good share of nonsense. The same
 * seed gives the same sequence as long as the answers are the same.
 */
import type { SeededRandom } from '@etcd/base';
import type { MethodName } from '../../support/messages.ts';

/** A lease id chosen by the server: the placeholder stands for whatever each server picked. */
const PLACEHOLDER_BASE = 0x7000_0000_0000_0000n;

export type Operation =
  | { readonly kind: 'call'; readonly method: MethodName; readonly request: Request }
  | { readonly kind: 'grant'; readonly request: Request; readonly placeholder: bigint | null }
  | { readonly kind: 'keep-alive'; readonly id: bigint }
  | { readonly kind: 'watch'; readonly stream: number; readonly request: Request }
  | { readonly kind: 'unwatch'; readonly stream: number; readonly watchId: bigint }
  | { readonly kind: 'range-stream'; readonly request: Request }
  | { readonly kind: 'compact'; readonly request: Request };

export type Request = Readonly<Record<string, unknown>>;

const STREAMS = 3;
const MAX_WATCHES = 40;
const MAX_LEASES = 30;
const MAX_TXN_DEPTH = 3;
/** What the server accepts by default. */
const MAX_TXN_OPS = 128;
const MAX_REQUEST_BYTES = 1_572_864;

export interface SourceOptions {
  /** Unknown sort orders and targets are refused since 3.6; etcd 3.5 dies of them. */
  readonly unknownSorts: boolean;
  /** There since 3.7. */
  readonly rangeStreams: boolean;
}

export class OperationSource {
  /** The store's revision, as the last answer told it. */
  revision = 1n;
  compactRevision = 0n;
  readonly #random: SeededRandom;
  readonly #options: SourceOptions;
  readonly #leases: bigint[] = [];
  #nextLease = 1000n;
  #nextPlaceholder = PLACEHOLDER_BASE;
  #watches = 0;

  constructor(random: SeededRandom, options: SourceOptions) {
    this.#options = options;
    this.#random = random;
  }

  next(): Operation {
    const dice = this.#random.below(1000);
    if (dice < 50 && this.#options.rangeStreams)
      return { kind: 'range-stream', request: this.#rangeStream() };
    if (dice < 260) return { kind: 'call', method: 'KV.Range', request: this.#range() };
    if (dice < 530) return { kind: 'call', method: 'KV.Put', request: this.#put() };
    if (dice < 610) return { kind: 'call', method: 'KV.DeleteRange', request: this.#delete(false) };
    if (dice < 830) return { kind: 'call', method: 'KV.Txn', request: this.#txn(0) };
    if (dice < 838) {
      return {
        kind: 'compact',
        request: { revision: this.#someRevision(), physical: this.#random.chance(0.5) },
      };
    }
    if (dice < 920) return this.#lease();
    if (dice < 965) return this.#watch();
    return this.#maintenance();
  }

  #key(): string {
    const { chance, pick } = this.#dice();
    if (chance(0.02)) return '';
    if (chance(0.02)) return pick(['\0', '\xff', '\xff\xff', 'a\0', 'a\xff', '\xc3\x28']);
    return pick(['a', 'b', 'c', 'd']) + pick(['', '', 'a', 'b', 'c', '/x', '/y']) + pick(['', '', '1', '2']);
  }

  /** Every form of a range end: none, prefix, next key, open, empty range, anything. */
  #rangeEnd(key: string): string {
    const { below } = this.#dice();
    switch (below(8)) {
      case 0:
      case 1:
        return '';
      case 2:
        return '\0';
      case 3:
      case 4:
        return prefixEnd(key);
      case 5:
        return `${key}\0`;
      case 6:
        return key;
      default:
        return this.#key();
    }
  }

  #value(): string {
    const { chance, below, pick } = this.#dice();
    if (chance(0.05)) return '';
    if (chance(0.003)) return 'x'.repeat(MAX_REQUEST_BYTES + below(2000) - 1000);
    if (chance(0.002)) return 'x'.repeat(MAX_REQUEST_BYTES + 512 * 1024 + below(1000));
    if (chance(0.05)) return pick(['\0', '\xff\xfe', 'ä'.repeat(5), 'x'.repeat(5000)]);
    return `value ${below(50)}`;
  }

  /** Mostly none; else near the present, near the compaction, or out of bounds. */
  #someRevision(): bigint {
    const { chance, below } = this.#dice();
    const offset = BigInt(below(7) - 3);
    if (chance(0.4)) return this.revision + offset;
    if (chance(0.3)) return this.compactRevision + offset;
    if (chance(0.1)) return -BigInt(below(5));
    if (chance(0.1)) return this.revision + 100_000n;
    return BigInt(below(Number(this.revision) + 1));
  }

  #range(): Request {
    const { chance, pick } = this.#dice();
    const key = this.#key();
    const request: Record<string, unknown> = { key };
    if (chance(0.7)) request['range_end'] = this.#rangeEnd(key);
    if (chance(0.3)) request['limit'] = pick([1, 2, 3, 5, 10, 1000, -1, -7]);
    if (chance(0.3)) request['revision'] = this.#someRevision();
    if (chance(0.3)) this.#sort(request);
    if (this.#options.unknownSorts && chance(0.01)) request['sort_order'] = pick([3, 17, -1]);
    if (this.#options.unknownSorts && chance(0.01)) request['sort_target'] = pick([5, 17, -1]);
    if (chance(0.3)) request['serializable'] = true;
    if (chance(0.15)) request['keys_only'] = true;
    if (chance(0.1)) request['count_only'] = true;
    for (const filter of [
      'min_mod_revision',
      'max_mod_revision',
      'min_create_revision',
      'max_create_revision',
    ]) {
      if (chance(0.06)) request[filter] = this.#someRevision();
    }
    return request;
  }

  /**
   * Never by a target but in no order: real etcd takes that for the order of keys, yet sorts every piece, goes on behind what comes
   * last in it, and so leaves keys out and sends others twice.
   */
  #rangeStream(): Request {
    const request = this.#range();
    return (request['sort_order'] ?? 0) === 0 ? { ...request, sort_target: 0 } : request;
  }

  /** By anything in any direction; half of the time by what many keys have in common, and cut in the middle of those. */
  #sort(request: Record<string, unknown>): void {
    const { chance, below, pick } = this.#dice();
    request['sort_order'] = below(3);
    request['sort_target'] = below(5);
    if (chance(0.5)) return;
    request['sort_order'] = pick([1, 2, 2]);
    request['sort_target'] = pick([1, 1, 2, 3, 4]);
    if (chance(0.6)) request['limit'] = 1 + below(6);
  }

  #put(): Request {
    const { chance } = this.#dice();
    const request: Record<string, unknown> = { key: this.#key(), value: this.#value() };
    if (chance(0.3)) request['prev_kv'] = true;
    if (chance(0.15)) {
      const lease = this.#someLease();
      // A lease id is part of what HashKV hashes: one that each server chose for itself must not be in the store.
      request['lease'] = lease >= PLACEHOLDER_BASE ? 0n : lease;
    }
    if (chance(0.06)) {
      request['ignore_value'] = true;
      if (chance(0.8)) request['value'] = '';
    }
    if (chance(0.06)) request['ignore_lease'] = true;
    return request;
  }

  #delete(isInTxn: boolean): Request {
    const { chance } = this.#dice();
    const key = this.#key();
    const request: Record<string, unknown> = { key };
    // Rarely everything, or there would be little to ask for. Never in a transaction: etcd does not see that such a
    // range overlaps a put of the same transaction, and one that keeps the deleted key's value or lease kills it.
    if (chance(0.3)) request['range_end'] = chance(0.1) ? '\0' : prefixEnd(key);
    if (isInTxn && request['range_end'] === '\0') request['range_end'] = `${key}\xff`;
    if (chance(0.1)) request['range_end'] = `${key}\0`;
    if (chance(0.4)) request['prev_kv'] = true;
    return request;
  }

  #txn(depth: number): Request {
    const { chance, below } = this.#dice();
    if (depth === 0 && chance(0.01)) return this.#largeTxn();
    if (depth === 0 && chance(0.2)) return this.#churn();
    return {
      compare: Array.from({ length: below(3) }, () => this.#compare()),
      success: Array.from({ length: below(5) }, () => this.#requestOp(depth)),
      failure: Array.from({ length: below(4) }, () => this.#requestOp(depth)),
    };
  }

  /** At the limit of operations, or one beyond it. */
  #largeTxn(): Request {
    const { below, chance } = this.#dice();
    const count = MAX_TXN_OPS + below(2);
    const ops = Array.from({ length: count }, (_, i) => ({ request_put: { key: `txn/${i}`, value: 'x' } }));
    if (!chance(0.3)) return { success: ops };
    return { success: [{ request_txn: { success: ops } }], failure: ops };
  }

  /**
   * Changes few keys again and again, in the ways that the check for duplicates lets through: a later nested transaction
   * deletes what an earlier one has put, and a deletion without an end is not seen by the check.
   */
  #churn(): Request {
    const { chance, below, pick } = this.#dice();
    const keys = [...new Set(Array.from({ length: 2 + below(3) }, () => `d${this.#key()}`))];
    const unput = [...keys];
    const nested = (...ops: Request[]): Request => ({ request_txn: { success: ops } });
    const put = (): Request[] => {
      const key = unput.pop();
      if (key === undefined) return [];
      const request = { ...this.#put(), key };
      // What was deleted has no value and no lease to keep: etcd ends over it.
      return [{ request_put: { ...request, ignore_value: false, ignore_lease: false } }];
    };
    const deletion = (rest: Request): Request => ({
      request_delete_range: { key: pick(keys), prev_kv: chance(0.5), ...rest },
    });
    const look = (): Request => ({ request_range: this.#range() });
    const success = [nested(...put()), nested(...put(), look())];
    if (chance(0.5)) success.push(deletion({ range_end: '\0' }));
    success.push(nested(...put()), look());
    if (chance(0.3)) success.push(nested(deletion({ range_end: '\0' })));
    success.push(nested(deletion({})), nested(deletion({ range_end: chance(0.2) ? 'e' : '' }), look()));
    return { success };
  }

  #requestOp(depth: number): Request {
    const { below, chance } = this.#dice();
    if (chance(0.01)) return {};
    switch (below(depth < MAX_TXN_DEPTH ? 8 : 7)) {
      case 0:
      case 1:
        return { request_range: this.#range() };
      case 2:
      case 3:
      case 4:
        return { request_put: this.#put() };
      case 5:
      case 6:
        return { request_delete_range: this.#delete(true) };
      default:
        return { request_txn: this.#txn(depth + 1) };
    }
  }

  #compare(): Request {
    const { below, chance, pick } = this.#dice();
    const key = this.#key();
    const request: Record<string, unknown> = { key, result: below(4) };
    if (chance(0.2)) request['range_end'] = this.#rangeEnd(key);
    if (chance(0.01)) request['result'] = 9;
    switch (below(5)) {
      case 0:
        return { ...request, target: 'VERSION', version: below(4) };
      case 1:
        return { ...request, target: 'CREATE', create_revision: pick([0n, this.#someRevision()]) };
      case 2:
        return { ...request, target: 'MOD', mod_revision: pick([0n, this.#someRevision()]) };
      case 3:
        return { ...request, target: 'VALUE', value: this.#value() };
      default:
        return { ...request, target: 'LEASE', lease: this.#someLease() };
    }
  }

  #someLease(): bigint {
    const { chance, pick } = this.#dice();
    if (this.#leases.length > 0 && chance(0.85)) return pick(this.#leases);
    return pick([0n, 4242n, -1n]);
  }

  #lease(): Operation {
    const { below, chance, pick } = this.#dice();
    const dice = below(10);
    if (dice < 4 && this.#leases.length < MAX_LEASES) return this.#grant();
    if (dice < 5) {
      const id = this.#someLease();
      const at = this.#leases.indexOf(id);
      // A revoked lease is still asked for now and then.
      if (at >= 0 && chance(0.7)) this.#leases.splice(at, 1);
      return { kind: 'call', method: 'Lease.LeaseRevoke', request: { ID: id } };
    }
    if (dice < 8) {
      return {
        kind: 'call',
        method: 'Lease.LeaseTimeToLive',
        request: { ID: this.#someLease(), keys: pick([true, false]) },
      };
    }
    if (dice < 9) return { kind: 'keep-alive', id: this.#someLease() };
    return { kind: 'call', method: 'Lease.LeaseLeases', request: {} };
  }

  #grant(): Operation {
    const { chance, below, pick } = this.#dice();
    // Never so short that a lease expires while the two servers are compared; the replica revokes those at once.
    const TTL = chance(0.15)
      ? pick([0n, -1n, 1n, 9_000_000_000n, 9_000_000_001n, 9_223_372_036_854_775_807n])
      : BigInt(5000 + below(100_000));
    const taken = this.#someLease();
    if (chance(0.1) && taken !== 0n) return { kind: 'grant', request: { ID: taken, TTL }, placeholder: null };
    const isServersChoice = chance(0.3);
    const id = isServersChoice ? this.#nextPlaceholder++ : this.#nextLease++;
    if (TTL >= 5000n && TTL <= 9_000_000_000n) this.#leases.push(id);
    return isServersChoice
      ? { kind: 'grant', request: { ID: 0n, TTL }, placeholder: id }
      : { kind: 'grant', request: { ID: id, TTL }, placeholder: null };
  }

  #watch(): Operation {
    const { chance, below, pick } = this.#dice();
    const stream = below(STREAMS);
    if (this.#watches >= MAX_WATCHES || chance(0.3)) {
      return { kind: 'unwatch', stream, watchId: BigInt(below(MAX_WATCHES / STREAMS)) };
    }
    this.#watches++;
    const key = this.#key();
    const request: Record<string, unknown> = { key };
    if (chance(0.6)) request['range_end'] = this.#rangeEnd(key);
    if (chance(0.5)) request['start_revision'] = this.#someRevision();
    if (chance(0.5)) request['prev_kv'] = true;
    if (chance(0.2)) request['filters'] = pick([['NOPUT'], ['NODELETE'], ['NOPUT', 'NODELETE']]);
    if (chance(0.1)) request['watch_id'] = BigInt(below(20));
    if (chance(0.2)) request['fragment'] = true;
    return { kind: 'watch', stream, request };
  }

  #maintenance(): Operation {
    const { below } = this.#dice();
    switch (below(6)) {
      case 0:
        return { kind: 'call', method: 'Maintenance.Status', request: {} };
      case 1:
        return { kind: 'call', method: 'Cluster.MemberList', request: { linearizable: true } };
      case 2:
        return { kind: 'call', method: 'Maintenance.Alarm', request: {} };
      default:
        return { kind: 'call', method: 'Maintenance.HashKV', request: { revision: this.#someRevision() } };
    }
  }

  #dice(): Dice {
    const random = this.#random;
    return {
      chance: (p) => random.chance(p),
      below: (limit) => random.below(limit),
      pick: (items) => random.pick(items),
    };
  }
}

interface Dice {
  readonly chance: (p: number) => boolean;
  readonly below: (limit: number) => number;
  readonly pick: <T>(items: readonly T[]) => T;
}

/** The end of the range of all keys that begin with `key`. */
export function prefixEnd(key: string): string {
  const last = key.length - 1;
  if (last < 0 || key.charCodeAt(last) === 0xff) return '\0';
  return key.slice(0, last) + String.fromCharCode(key.charCodeAt(last) + 1);
}
