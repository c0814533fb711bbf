/** Turns a {@link Work} into requests, one after another, and learns from the answers what the next must say. */
import {
  AuthenticateRequest,
  CompactionRequest,
  Compare,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  encodeAuthenticateRequest,
  encodeCompactionRequest,
  encodeLeaseGrantRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { CallOptions } from '@etcd/transport';
import { answerRevision, hasSucceeded, streamedRevision } from './answers.ts';
import type { KeySpace, Work } from './job.ts';
import { endOf, keyOf, placeholderKey, Template } from './template.ts';

export const PUT = '/etcdserverpb.KV/Put';
export const RANGE = '/etcdserverpb.KV/Range';
export const TXN = '/etcdserverpb.KV/Txn';
const RANGE_STREAM = '/etcdserverpb.KV/RangeStream';
const COMPACT = '/etcdserverpb.KV/Compact';
export const AUTHENTICATE = '/etcdserverpb.Auth/Authenticate';
const LEASE_GRANT = '/etcdserverpb.Lease/LeaseGrant';

/**
 * Requests for a number of slots. A slot has one request in flight: `next` is called for it again only after its
 * `answered`. The bytes that `next` returns are good until it is called again.
 */
export interface RequestSource {
  /** What goes with every call. */
  callOptions?: CallOptions;
  path(slot: number): string;
  next(slot: number): Uint8Array;
  answered?(slot: number, bytes: Uint8Array, start: number, end: number): void;
}

export function requestSource(work: Work, slots: number): RequestSource {
  switch (work.kind) {
    case 'put':
      return new PutSource(work.space, work.valueBytes);
    case 'fill':
      return new FillSource(work.space, work.valueBytes, work.perTxn);
    case 'get':
      return getSource(work.space, work.isSerializable);
    case 'range-all':
      return rangeAllSource(work.space, work.isStreamed);
    case 'compare-and-put':
      return new CompareAndPutSource(work.space, work.valueBytes, slots);
    case 'create-and-delete':
      return new CreateAndDeleteSource(work.space, work.valueBytes, slots);
    case 'conflict':
      return conflictSource(work.space, work.valueBytes);
    case 'list':
      return new ListSource(work.space, work.pageKeys, slots, work.isStreamed === true);
    case 'count':
      return countSource(work.space);
    case 'grant':
      return fixedSource(LEASE_GRANT, () =>
        encodeLeaseGrantRequest(new LeaseGrantRequest({ ttl: work.ttlSeconds })),
      );
    case 'login':
      return fixedSource(AUTHENTICATE, () =>
        encodeAuthenticateRequest(new AuthenticateRequest({ name: work.user, password: work.password })),
      );
    case 'kubernetes':
      return new KubernetesSource(work.space, work.valueBytes, slots);
  }
}

function fixedSource(path: string, encode: () => Uint8Array): RequestSource {
  const bytes = encode();
  return { path: () => path, next: () => bytes };
}

/** A prime that divides no number of keys in use: steps of it reach every key, far from the one before. */
const STRIDE = 7919;

class PutSource implements RequestSource {
  readonly #template: Template;
  readonly #keys: number;
  #key = 0;

  constructor(space: KeySpace, valueBytes: number) {
    this.#keys = space.count;
    this.#template = new Template(
      encodePutRequest(new PutRequest({ key: placeholderKey(space), value: filler(valueBytes) })),
    );
  }

  path(): string {
    return PUT;
  }

  next(): Uint8Array {
    this.#key = (this.#key + STRIDE) % this.#keys;
    return this.#template.with(this.#key);
  }
}

class FillSource implements RequestSource {
  readonly #space: KeySpace;
  readonly #value: Uint8Array;
  readonly #perTxn: number;
  #key = 0;

  constructor(space: KeySpace, valueBytes: number, perTxn: number) {
    this.#space = space;
    this.#value = filler(valueBytes);
    this.#perTxn = perTxn;
  }

  path(): string {
    return TXN;
  }

  next(): Uint8Array {
    const success: RequestOp[] = [];
    while (success.length < this.#perTxn && this.#key < this.#space.count) {
      const key = keyOf(this.#space, this.#key++);
      success.push(new RequestOp({ requestPut: new PutRequest({ key, value: this.#value }) }));
    }
    return encodeTxnRequest(new TxnRequest({ success }));
  }
}

function getSource(space: KeySpace, serializable: boolean): RequestSource {
  return fixedSource(RANGE, () =>
    encodeRangeRequest(new RangeRequest({ key: keyOf(space, 0), serializable })),
  );
}

function rangeAllSource(space: KeySpace, isStreamed: boolean): RequestSource {
  return fixedSource(isStreamed ? RANGE_STREAM : RANGE, () =>
    encodeRangeRequest(new RangeRequest({ key: keyOf(space, 0), rangeEnd: endOf(space) })),
  );
}

function countSource(space: KeySpace): RequestSource {
  return fixedSource(RANGE, () =>
    encodeRangeRequest(new RangeRequest({ key: keyOf(space, 0), rangeEnd: endOf(space), countOnly: true })),
  );
}

/** An API server's transactions: if the key's revision is the known one, change it, else tell what it is. */
class GuardedTxn {
  readonly #compare = new Compare({
    target: CompareTarget.MOD,
    targetUnion: CompareTargetUnion.modRevision,
  });
  readonly #put: PutRequest;
  readonly #get = new RangeRequest({ limit: 1 });
  readonly #delete = new DeleteRangeRequest();
  readonly #putTxn: TxnRequest;
  readonly #deleteTxn: TxnRequest;

  constructor(valueBytes: number) {
    this.#put = new PutRequest({ value: filler(valueBytes) });
    const compare = [this.#compare];
    const failure = [new RequestOp({ requestRange: this.#get })];
    this.#putTxn = new TxnRequest({ compare, success: [new RequestOp({ requestPut: this.#put })], failure });
    this.#deleteTxn = new TxnRequest({
      compare,
      success: [new RequestOp({ requestDeleteRange: this.#delete })],
      failure,
    });
  }

  put(key: Uint8Array, modRevision: number): Uint8Array {
    this.#guard(key, modRevision);
    return encodeTxnRequest(this.#putTxn);
  }

  delete(key: Uint8Array, modRevision: number): Uint8Array {
    this.#guard(key, modRevision);
    return encodeTxnRequest(this.#deleteTxn);
  }

  #guard(key: Uint8Array, modRevision: number): void {
    this.#compare.key = key;
    this.#compare.modRevision = modRevision;
    this.#put.key = key;
    this.#get.key = key;
    this.#delete.key = key;
  }
}

/**
 * The revisions of keys that are divided among the slots, so that no two slots change the same key. Keys are expected
 * not to be there, or to be as `kept` from an earlier job in the same process.
 */
class OwnedKeys {
  readonly #keys: Buffer[] = [];
  readonly #revisions: Float64Array;
  readonly #current: Int32Array;
  readonly #slots: number;

  constructor(space: KeySpace, slots: number) {
    if (space.count < slots)
      throw new Error(`${space.count} keys are too few for ${slots} requests in flight`);
    this.#slots = slots;
    this.#current = Int32Array.from({ length: slots }, (_, slot) => slot);
    this.#revisions = revisionsOf(space);
    for (let i = 0; i < space.count; i++) this.#keys.push(keyOf(space, i));
  }

  /** Goes on to the slot's next key. */
  advance(slot: number): void {
    const next = this.#current[slot]! + this.#slots;
    this.#current[slot] = next < this.#keys.length ? next : slot;
  }

  key(slot: number): Buffer {
    return this.#keys[this.#current[slot]!]!;
  }

  /** When the slot's key was last changed; 0 if it is not there. */
  revision(slot: number): number {
    return this.#revisions[this.#current[slot]!]!;
  }

  setRevision(slot: number, revision: number): void {
    this.#revisions[this.#current[slot]!] = revision;
  }
}

const knownRevisions = new Map<string, Float64Array>();

/** What is known of a key space from this process's earlier jobs. The prefix names the server's keys uniquely. */
function revisionsOf(space: KeySpace): Float64Array {
  let revisions = knownRevisions.get(space.prefix);
  if (revisions === undefined) {
    revisions = new Float64Array(space.count);
    knownRevisions.set(space.prefix, revisions);
  }
  return revisions;
}

class CompareAndPutSource implements RequestSource {
  readonly #owned: OwnedKeys;
  readonly #txn: GuardedTxn;

  constructor(space: KeySpace, valueBytes: number, slots: number) {
    this.#owned = new OwnedKeys(space, slots);
    this.#txn = new GuardedTxn(valueBytes);
  }

  path(): string {
    return TXN;
  }

  next(slot: number): Uint8Array {
    this.#owned.advance(slot);
    return this.#txn.put(this.#owned.key(slot), this.#owned.revision(slot));
  }

  answered(slot: number, bytes: Uint8Array, start: number, end: number): void {
    if (!hasSucceeded(bytes, start, end)) throw new Error('a transaction found another revision');
    this.#owned.setRevision(slot, answerRevision(bytes, start));
  }
}

class CreateAndDeleteSource implements RequestSource {
  readonly #owned: OwnedKeys;
  readonly #txn: GuardedTxn;

  constructor(space: KeySpace, valueBytes: number, slots: number) {
    this.#owned = new OwnedKeys(space, slots);
    this.#txn = new GuardedTxn(valueBytes);
  }

  path(): string {
    return TXN;
  }

  next(slot: number): Uint8Array {
    const revision = this.#owned.revision(slot);
    const key = this.#owned.key(slot);
    return revision === 0 ? this.#txn.put(key, 0) : this.#txn.delete(key, revision);
  }

  answered(slot: number, bytes: Uint8Array, start: number, end: number): void {
    if (!hasSucceeded(bytes, start, end)) throw new Error('a transaction found another revision');
    const wasThere = this.#owned.revision(slot) !== 0;
    this.#owned.setRevision(slot, wasThere ? 0 : answerRevision(bytes, start));
    if (wasThere) this.#owned.advance(slot);
  }
}

/** The revision before a store's first change: no key was ever changed there. */
const PASSED_REVISION = 1;

function conflictSource(space: KeySpace, valueBytes: number): RequestSource {
  const template = new Template(new GuardedTxn(valueBytes).put(placeholderKey(space), PASSED_REVISION));
  let key = 0;
  return {
    path: () => TXN,
    next: () => {
      key = (key + STRIDE) % space.count;
      return template.with(key);
    },
  };
}

class ListSource implements RequestSource {
  readonly #request: RangeRequest;
  readonly #space: KeySpace;
  readonly #pageKeys: number;
  readonly #isStreamed: boolean;
  /** By slot: the first key of the page that is asked for next. */
  readonly #firstKeys: Int32Array;
  /** That of the list's first page; 0 while it is not known. */
  readonly #revisions: Float64Array;

  constructor(space: KeySpace, pageKeys: number, slots: number, isStreamed: boolean) {
    this.#space = space;
    this.#pageKeys = pageKeys;
    this.#isStreamed = isStreamed;
    this.#request = new RangeRequest({ rangeEnd: endOf(space), limit: pageKeys });
    this.#firstKeys = new Int32Array(slots);
    this.#revisions = new Float64Array(slots);
  }

  path(): string {
    return this.#isStreamed ? RANGE_STREAM : RANGE;
  }

  next(slot: number): Uint8Array {
    const firstKey = this.#firstKeys[slot]!;
    if (firstKey === 0) this.#revisions[slot] = 0;
    // A list goes on behind the last key that it got, where a key could still be.
    this.#request.key =
      firstKey === 0
        ? keyOf(this.#space, 0)
        : Buffer.concat([keyOf(this.#space, firstKey - 1), Buffer.alloc(1)]);
    this.#request.revision = this.#revisions[slot]!;
    const next = firstKey + this.#pageKeys;
    this.#firstKeys[slot] = next < this.#space.count ? next : 0;
    return encodeRangeRequest(this.#request);
  }

  /** Once for each message of a stream: the header is in the last one at the latest. */
  answered(slot: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#revisions[slot] !== 0) return;
    this.#revisions[slot] = this.#isStreamed
      ? streamedRevision(bytes, start, end)
      : answerRevision(bytes, start);
  }
}

/** Of so many requests each … */
const GETS_EVERY = 5;
const LISTS_EVERY = 100;
const COUNTS_EVERY = 250;
const GRANTS_EVERY = 200;
const COMPACTIONS_EVERY = 5_000;
const LIST_PAGE_KEYS = 500;
const EVENT_TTL_SECONDS = 3_600;

/**
 * Updates of objects for the most part (nodes renew their leases, kubelets report), some reads, and now and then a page
 * of a list, a count, a lease and a compaction.
 */
class KubernetesSource implements RequestSource {
  readonly #sources: Readonly<Record<'update' | 'get' | 'list' | 'count' | 'grant', RequestSource>>;
  readonly #current: RequestSource[];
  #requests = 0;
  #revision = 0;

  constructor(space: KeySpace, valueBytes: number, slots: number) {
    this.#sources = {
      update: new CompareAndPutSource(space, valueBytes, slots),
      get: getSource(space, false),
      // First pages only: the compactions do not wait for a list to end.
      list: new ListSource({ ...space, count: LIST_PAGE_KEYS }, LIST_PAGE_KEYS, slots, false),
      count: countSource(space),
      grant: requestSource({ kind: 'grant', ttlSeconds: EVENT_TTL_SECONDS }, slots),
    };
    this.#current = new Array(slots).fill(this.#sources.update);
  }

  path(slot: number): string {
    return this.#current[slot]!.path(slot);
  }

  next(slot: number): Uint8Array {
    const source = this.#choose(++this.#requests);
    this.#current[slot] = source;
    return source.next(slot);
  }

  answered(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const source = this.#current[slot]!;
    source.answered?.(slot, bytes, start, end);
    if (source === this.#sources.update) this.#revision = answerRevision(bytes, start);
  }

  #choose(request: number): RequestSource {
    if (request % COMPACTIONS_EVERY === 0) return this.#compaction();
    if (request % COUNTS_EVERY === 0) return this.#sources.count;
    if (request % GRANTS_EVERY === 0) return this.#sources.grant;
    if (request % LISTS_EVERY === 0) return this.#sources.list;
    if (request % GETS_EVERY === 0) return this.#sources.get;
    return this.#sources.update;
  }

  /** Well behind the newest revision, as an API server does it. */
  #compaction(): RequestSource {
    const revision = Math.max(1, this.#revision - COMPACTIONS_EVERY / 2);
    return fixedSource(COMPACT, () => encodeCompactionRequest(new CompactionRequest({ revision })));
  }
}

function filler(bytes: number): Uint8Array {
  return Buffer.alloc(bytes, 'v');
}
