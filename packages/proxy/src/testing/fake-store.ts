/**
 * For tests: a store behind the members of a fake cluster, with what the protocol of leased keys needs of etcd: reads and writes of keys, transactions
 * with conditions, leases that delete their keys, and a history that can be watched.
 */
import {
  type Compare,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeResponse,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseRevokeResponse,
  PutResponse,
  type RangeRequest,
  RangeResponse,
  type RequestOp,
  ResponseHeader,
  ResponseOp,
  type TxnRequest,
  TxnResponse,
} from '@etcd/api/etcdserverpb';
import { Event, EventType, KeyValue } from '@etcd/api/mvccpb';
import { KvService, LeaseService } from '@etcd/api/services';
import { latin1FromBytes } from '@etcd/base';
import type { FakeCluster, FakeHistory } from '@etcd/client/testing';

const { range, put, deleteRange, txn } = KvService.methods;
const { leaseGrant, leaseKeepAlive, leaseRevoke } = LeaseService.methods;

export class FakeStore {
  readonly pairs = new Map<string, KeyValue>();
  /** Reads that members were asked for. */
  readCount = 0;
  /** What members answer to everything but leases; null: they answer. */
  refusal: { readonly code: number; readonly message: string } | null = null;
  readonly #history: FakeHistory;
  readonly #leases = new Map<bigint, number>();
  #nextLease = 1n;

  constructor(cluster: FakeCluster, history: FakeHistory) {
    this.#history = history;
    for (const server of cluster.servers) {
      const guarded =
        <Request, Response>(work: (request: Request) => Response) =>
        (request: Request, call: { end(code: number, message: string): void }): Response | null => {
          if (this.refusal === null) return work(request);
          call.end(this.refusal.code, this.refusal.message);
          return null;
        };
      server.unary(
        range,
        guarded((request) => this.#range(request)),
      );
      server.unary(
        put,
        guarded((requestPut) => this.#single({ requestPut }).responsePut!),
      );
      server.unary(
        deleteRange,
        guarded((request) => this.#single({ requestDeleteRange: request }).responseDeleteRange!),
      );
      server.unary(
        txn,
        guarded((request) => this.#commit(request)),
      );
      server.unary(leaseGrant, ({ ttl }) => {
        this.#leases.set(this.#nextLease, ttl);
        return new LeaseGrantResponse({ id: this.#nextLease++, ttl, header: this.#header() });
      });
      server.unary(leaseRevoke, ({ id }) => this.expire(id));
      server.bidi(leaseKeepAlive, (_call, send) => ({
        onRequest: ({ id }) => send(new LeaseKeepAliveResponse({ id, ttl: this.#leases.get(id) ?? 0 })),
      }));
    }
  }

  /** Behind everybody's back. */
  set(key: string, value: string): void {
    this.#commit({
      compare: [],
      success: [{ requestPut: { key: Buffer.from(key), value: Buffer.from(value) } }],
    } as never);
  }

  /** Leases that have not ended. */
  get leaseCount(): number {
    return this.#leases.size;
  }

  value(key: string): string | null {
    const pair = this.pairs.get(key);
    return pair === undefined ? null : latin1FromBytes(pair.value);
  }

  /** Ends a lease, and its keys with it. */
  expire(id: bigint): LeaseRevokeResponse {
    this.#leases.delete(id);
    const keys = [...this.pairs.values()].filter(({ lease }) => lease === id).map(({ key }) => key);
    if (keys.length > 0) {
      this.#history.revision++;
      for (const key of keys) this.#delete(key);
    }
    return new LeaseRevokeResponse({ header: this.#header() });
  }

  #range({ key, rangeEnd, countOnly, keysOnly }: RangeRequest): RangeResponse {
    this.readCount++;
    const found = this.#inside(key, rangeEnd);
    const kvs = countOnly
      ? []
      : found.map((pair) => new KeyValue({ ...pair, ...(keysOnly ? { value: Buffer.of() } : {}) }));
    return new RangeResponse({ header: this.#header(), kvs, count: found.length });
  }

  #single(operation: Partial<RequestOp>): ResponseOp {
    const { responses } = this.#commit({
      compare: [],
      success: [operation],
      failure: [],
    } as unknown as TxnRequest);
    return responses[0]!;
  }

  /** All writes of a transaction are of one revision, those of the transactions in it too. */
  #commit(request: TxnRequest): TxnResponse {
    const before = this.#history.revision;
    this.#history.revision = before + 1;
    const seen = this.#history.events.length;
    const response = this.#apply(request);
    if (this.#history.events.length === seen) this.#history.revision = before;
    response.header = this.#header();
    return response;
  }

  #apply({ compare, success, failure }: TxnRequest): TxnResponse {
    const succeeded = compare.every((condition) => this.#holds(condition));
    const responses = (succeeded ? success : failure).map((operation) => this.#operate(operation));
    return new TxnResponse({ succeeded, responses });
  }

  #operate({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): ResponseOp {
    if (requestRange != null) return new ResponseOp({ responseRange: this.#range(requestRange) });
    if (requestTxn != null) return new ResponseOp({ responseTxn: this.#apply(requestTxn) });
    if (requestPut != null) {
      const name = latin1FromBytes(requestPut.key);
      const known = this.pairs.get(name);
      const { revision } = this.#history;
      const pair = new KeyValue({
        key: Buffer.from(requestPut.key),
        value: Buffer.from(requestPut.value),
        lease: requestPut.ignoreLease === true ? (known?.lease ?? 0n) : (requestPut.lease ?? 0n),
        createRevision: known?.createRevision ?? revision,
        modRevision: revision,
        version: (known?.version ?? 0) + 1,
      });
      this.pairs.set(name, pair);
      this.#history.events.push(new Event({ type: EventType.PUT, kv: pair }));
      return new ResponseOp({ responsePut: new PutResponse({ header: this.#header() }) });
    }
    const doomed = this.#inside(requestDeleteRange!.key, requestDeleteRange!.rangeEnd);
    for (const { key } of doomed) this.#delete(key);
    const responseDeleteRange = new DeleteRangeResponse({ header: this.#header(), deleted: doomed.length });
    return new ResponseOp({ responseDeleteRange });
  }

  #delete(key: Uint8Array): void {
    this.pairs.delete(latin1FromBytes(key));
    const kv = new KeyValue({ key, modRevision: this.#history.revision });
    this.#history.events.push(new Event({ type: EventType.DELETE, kv }));
  }

  #holds(condition: Compare): boolean {
    const single = condition.rangeEnd.length === 0;
    const found = this.#inside(condition.key, condition.rangeEnd);
    const pairs = found.length === 0 && single ? [new KeyValue()] : found;
    return pairs.every((pair) => isAs(condition, difference(condition, pair)));
  }

  #inside(key: Uint8Array, rangeEnd: Uint8Array): KeyValue[] {
    const first = latin1FromBytes(key);
    const end = latin1FromBytes(rangeEnd);
    if (end === '') return this.pairs.has(first) ? [this.pairs.get(first)!] : [];
    const names = [...this.pairs.keys()].filter((name) => name >= first && (end === '\0' || name < end));
    return names.toSorted().map((name) => this.pairs.get(name)!);
  }

  #header(): ResponseHeader {
    return new ResponseHeader({ clusterId: 1n, memberId: 2n, revision: this.#history.revision, raftTerm: 3 });
  }
}

function difference(condition: Compare, pair: KeyValue): number {
  const { target, targetUnion } = condition;
  const isSet = (union: number): boolean => targetUnion === union;
  if (target === CompareTarget.CREATE)
    return pair.createRevision - (isSet(CompareTargetUnion.createRevision) ? condition.createRevision : 0);
  if (target === CompareTarget.MOD)
    return pair.modRevision - (isSet(CompareTargetUnion.modRevision) ? condition.modRevision : 0);
  if (target === CompareTarget.LEASE) return Number(pair.lease - condition.lease);
  if (target === CompareTarget.VERSION) return pair.version - condition.version;
  return Buffer.compare(pair.value, condition.value);
}

/** As the result of the condition has it: equal, greater, less, not equal. */
function isAs({ result }: Compare, by: number): boolean {
  return [by === 0, by > 0, by < 0, by !== 0][result]!;
}
