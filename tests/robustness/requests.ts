/** The requests of ordinary clients, drawn, each with the judge of its answer. */
import {
  CompactionRequest,
  Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  decodeDeleteRangeResponse,
  decodePutResponse,
  decodeRangeResponse,
  decodeTxnResponse,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import type { SeededRandom } from '@etcd/base';
import type { Bounds, Verdict } from '@etcd/sim/judges';
import type { History, Judges } from './history.ts';

/** What came back, taken apart. */
export interface Answer {
  readonly revision: number;
  readonly judge: (judges: Judges, bounds: Bounds) => Verdict;
}

export interface Asked {
  readonly kind: string;
  readonly text: string;
  readonly path: string;
  readonly request: Uint8Array;
  /** No other user may. */
  readonly isForRoot?: boolean;
  /** What it would write. */
  readonly value: string | null;
  readonly read: (answer: Uint8Array) => Answer;
}

const KEY_COUNT = 24;
/** How far back reads of the past, and compactions, go. */
const MAX_AGE = 60;
const BIG_VALUE_BYTES = 20_000;

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Draws for one client, and remembers what it was told, so that its comparisons hold now and then. */
export class RequestSource {
  readonly #name: string;
  readonly #random: SeededRandom;
  readonly #history: History;
  /** The last that any client was told of each key; null: that it is not there. */
  readonly #known: Map<string, KeyValue | null>;
  #sequence = 0;

  constructor(name: string, random: SeededRandom, history: History, known: Map<string, KeyValue | null>) {
    this.#name = name;
    this.#random = random;
    this.#history = history;
    this.#known = known;
  }

  draw(): Asked {
    const draw = this.#random.below(100);
    if (draw < 35) return this.put(this.#key());
    if (draw < 60) return this.#range();
    if (draw < 85) return this.#txn();
    if (draw < 98) return this.#deleteRange();
    return this.#compact();
  }

  /** @param lease 0: none. */
  put(key: string, lease = 0n): Asked {
    const value = this.#value();
    const prevKv = this.#random.chance(0.3);
    return {
      kind: 'put',
      text: `put ${key}=${value.slice(0, 20)}`,
      path: '/etcdserverpb.KV/Put',
      request: encodePutRequest(new PutRequest({ key: bytesOf(key), value: bytesOf(value), lease, prevKv })),
      value,
      read: (bytes) => {
        const answer = decodePutResponse(bytes);
        return {
          revision: answer.header!.revision,
          judge: ({ checks }, bounds) => checks.put(value, key, answer, bounds),
        };
      },
    };
  }

  #key(): string {
    return `k${this.#random.below(KEY_COUNT).toString().padStart(2, '0')}`;
  }

  /** No two requests write the same. */
  #value(): string {
    const value = `${this.#name}.${this.#sequence++}`;
    return this.#random.chance(0.03) ? value.padEnd(BIG_VALUE_BYTES, '.') : value;
  }

  #range(): Asked {
    const random = this.#random;
    const key = this.#key();
    const end = random.pick(['', '', '', 'k~', '\0', `${key.slice(0, 2)}~`]);
    const past = Math.max(1, this.#history.seenRevision - random.below(MAX_AGE));
    const serializable = random.chance(0.3);
    const request = new RangeRequest({
      key: bytesOf(key),
      rangeEnd: bytesOf(end),
      revision: random.chance(0.2) ? past : 0,
      serializable,
      limit: random.chance(0.2) ? 1 + random.below(3) : 0,
    });
    return {
      kind: serializable ? 'serializable range' : 'range',
      text: `range [${key}, ${end})@${request.revision} limit ${request.limit}${serializable ? ' serializable' : ''}`,
      path: '/etcdserverpb.KV/Range',
      request: encodeRangeRequest(request),
      value: null,
      read: (bytes) => {
        const answer = decodeRangeResponse(bytes);
        if (end === '' && request.revision === 0) this.#known.set(key, answer.kvs[0] ?? null);
        return {
          revision: answer.header!.revision,
          judge: ({ checks }, bounds) => checks.range(request, answer, bounds),
        };
      },
    };
  }

  #txn(): Asked {
    const key = this.#key();
    const value = this.#value();
    const compare = [this.#compare(key)];
    const put = new PutRequest({ key: bytesOf(key), value: bytesOf(value) });
    const success = [new RequestOp({ requestPut: put })];
    if (this.#random.chance(0.3)) {
      // Some other key: one may not be changed twice.
      const requestDeleteRange = new DeleteRangeRequest({ key: bytesOf(`${key}x`) });
      success.push(new RequestOp({ requestDeleteRange }));
    }
    const requestRange = new RangeRequest({ key: bytesOf(key) });
    const request = new TxnRequest({ compare, success, failure: [new RequestOp({ requestRange })] });
    return {
      kind: 'txn',
      text: `txn ${key}=${value.slice(0, 20)}`,
      path: '/etcdserverpb.KV/Txn',
      request: encodeTxnRequest(request),
      value,
      read: (bytes) => {
        const answer = decodeTxnResponse(bytes);
        const read = answer.responses[0]?.responseRange;
        if (read !== undefined && read !== null) this.#known.set(key, read.kvs[0] ?? null);
        return {
          revision: answer.header!.revision,
          judge: ({ checks }, bounds) => checks.txn(request, value, answer, bounds),
        };
      },
    };
  }

  #compare(key: string): Compare {
    const known = this.#known.get(key) ?? null;
    const common = { key: bytesOf(key), result: CompareResult.EQUAL };
    const draw = this.#random.below(3);
    if (draw === 0 || known === null) {
      const modRevision = known?.modRevision ?? 0;
      const targetUnion = CompareTargetUnion.modRevision;
      return new Compare({ ...common, target: CompareTarget.MOD, targetUnion, modRevision });
    }
    if (draw === 1) {
      const targetUnion = CompareTargetUnion.value;
      const { value } = known;
      return new Compare({ ...common, target: CompareTarget.VALUE, targetUnion, value });
    }
    const targetUnion = CompareTargetUnion.version;
    return new Compare({ ...common, target: CompareTarget.VERSION, targetUnion, version: known.version });
  }

  #deleteRange(): Asked {
    const key = this.#random.chance(0.3) ? `${this.#key()}x` : this.#key();
    const end = this.#random.chance(0.1) ? `${key.slice(0, 2)}~` : '';
    const prevKv = this.#random.chance(0.5);
    const request = new DeleteRangeRequest({ key: bytesOf(key), rangeEnd: bytesOf(end), prevKv });
    return {
      kind: 'delete',
      text: `delete [${key}, ${end})`,
      path: '/etcdserverpb.KV/DeleteRange',
      request: encodeDeleteRangeRequest(request),
      value: null,
      read: (bytes) => {
        const answer = decodeDeleteRangeResponse(bytes);
        return {
          revision: answer.header!.revision,
          judge: ({ checks }, bounds) => checks.deleteRange(key, end, answer, bounds, prevKv),
        };
      },
    };
  }

  #compact(): Asked {
    const revision = Math.max(1, this.#history.seenRevision - this.#random.below(MAX_AGE));
    const request = new CompactionRequest({ revision, physical: this.#random.chance(0.3) });
    return {
      kind: 'compaction',
      text: `compact ${revision}`,
      path: '/etcdserverpb.KV/Compact',
      isForRoot: true,
      request: encodeCompactionRequest(request),
      value: null,
      read: () => ({
        revision: 0,
        judge: ({ model }) =>
          model.compactRevision < revision ? `compaction at ${revision} is not in the log` : null,
      }),
    };
  }
}
