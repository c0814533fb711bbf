/**
 * The keys that this proxy owns, with their pairs: it may answer reads of them by itself, since whoever else wants to change one has to
 * take it away first. A key whose pair is being changed is not answered until it is known what came of it.
 */
import type { RangeRequest, ResponseHeader } from '@etcd/api/etcdserverpb';
import { RangeResponse } from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { EMPTY_BYTES } from '@etcd/base';

/** Keys that are owned at a time; others are read from the cluster. */
const MAX_KEYS = 10_000;
/** A key that was taken away is left alone for so long, as by etcd's own: two proxies would take it from each other without end. */
const REVOKE_BACKOFF_MS = 2_000;
/** Keys that are remembered as taken away, or as claimed. */
const MAX_REMEMBERED = 100_000;
const SLOTS = 1024;

export interface OwnedKey {
  readonly header: ResponseHeader;
  /** Null where there is no such key. */
  readonly pair: KeyValue | null;
}

interface WrittenRange {
  readonly key: string;
  readonly end: string;
}

export class OwnedKeys {
  readonly #keys = new Map<string, OwnedKey>();
  readonly #revoked = new Map<string, number>();
  /** Revisions at which the proxy last knew that it owns a key, whether its pair is known or not. */
  readonly #claims = new Map<string, number>();
  /** Writes that are under way. */
  readonly #writes = new Set<WrittenRange>();
  /** When, on the clock of changes, a key of each slot was last written or taken away. */
  readonly #slots = new Float64Array(SLOTS);
  #changes = 0;
  #rangeChanges = 0;

  get size(): number {
    return this.#keys.size;
  }

  get(key: string): OwnedKey | null {
    return this.#keys.get(key) ?? null;
  }

  mayAcquire(key: string, nowMs: number): boolean {
    if (this.#keys.size >= MAX_KEYS || this.#isWritten(key)) return false;
    return nowMs - (this.#revoked.get(key) ?? Number.NEGATIVE_INFINITY) > REVOKE_BACKOFF_MS;
  }

  /** The time on the clock of changes, to be given to {@link add} with what is asked for now. */
  get now(): number {
    return this.#changes;
  }

  /** Everything before this revision is known to be the proxy's own doing; 0 for nothing. */
  claimOf(key: string): number {
    return this.#claims.get(key) ?? 0;
  }

  /** The key is owned from `revision` on. */
  claim(key: string, revision: number): void {
    if (this.#claims.size >= MAX_REMEMBERED) this.#claims.clear();
    this.#claims.set(key, revision);
  }

  /** Remembers the pair, unless the key was written or taken away since `begun`. */
  add(key: string, owned: OwnedKey, begun: number): void {
    const isStale = this.#slots[slotOf(key)]! > begun || this.#rangeChanges > begun;
    if (!isStale && !this.#isWritten(key)) this.#keys.set(key, owned);
  }

  /** Somebody else wants it. */
  revoke(key: string, nowMs: number): void {
    this.#slots[slotOf(key)] = ++this.#changes;
    this.#keys.delete(key);
    this.#claims.delete(key);
    if (this.#revoked.size >= MAX_REMEMBERED) this.#revoked.clear();
    this.#revoked.set(key, nowMs);
  }

  /** Nothing is owned any more. */
  clear(): void {
    this.#rangeChanges = ++this.#changes;
    this.#keys.clear();
    this.#claims.clear();
  }

  /** Until the function that this returns is called, nothing of the range is answered or acquired here. */
  beginWrite(key: string, end: string): () => void {
    const range = { key, end };
    this.#writes.add(range);
    this.#forget(range);
    return () => {
      this.#writes.delete(range);
      this.#forget(range);
    };
  }

  #forget({ key, end }: WrittenRange): void {
    this.#changes++;
    if (end === '') {
      this.#slots[slotOf(key)] = this.#changes;
      this.#keys.delete(key);
      return;
    }
    this.#rangeChanges = this.#changes;
    for (const known of this.#keys.keys()) if (isInside(known, key, end)) this.#keys.delete(known);
  }

  #isWritten(one: string): boolean {
    for (const { key, end } of this.#writes) if (isInside(one, key, end)) return true;
    return false;
  }
}

/** As a member orders keys; the end `\0` is no end, the empty one that of a single key. */
export function isInside(one: string, key: string, end: string): boolean {
  if (end === '') return one === key;
  return one >= key && (end === '\0' || one < end);
}

/** Whether a range is of one key as it is now, which an owner can answer. */
export function isOwnable(request: RangeRequest): boolean {
  const { key, rangeEnd, revision, sortOrder, sortTarget } = request;
  const isSorted = sortOrder !== 0 || sortTarget !== 0;
  return key.length > 0 && rangeEnd.length === 0 && revision === 0 && !isSorted;
}

/** What a member would answer. */
export function answerOf({ header, pair }: OwnedKey, request: RangeRequest): RangeResponse {
  const count = pair === null ? 0 : 1;
  const isShown = pair !== null && !request.countOnly && isWithin(pair, request);
  if (!isShown) return new RangeResponse({ header, count });
  const shown = request.keysOnly ? new KeyValue({ ...pair, value: EMPTY_BYTES }) : pair;
  return new RangeResponse({ header, count, kvs: [shown] });
}

function isWithin({ modRevision, createRevision }: KeyValue, request: RangeRequest): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return (
    modRevision >= minModRevision &&
    createRevision >= minCreateRevision &&
    (maxModRevision === 0 || modRevision <= maxModRevision) &&
    (maxCreateRevision === 0 || createRevision <= maxCreateRevision)
  );
}

function slotOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return hash & (SLOTS - 1);
}
