/**
 * Range requests: which keys, at which revision, filtered, sorted, cut. A {@link RangeScan} works through one in steps, so
 * that a large range neither stops the event loop nor has to be in memory as a whole. Whoever lets others have a turn between two
 * steps calls `hold` first: the store goes on, is compacted, even replaced, and the scan keeps reading the revision that it began at
 * (see `views.ts`); and whoever gives a scan up that is not done closes it.
 *
 * With the default order, the pairs found so far may be taken from the result after each step. A sorted answer is there
 * after the last.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { type RangeRequest, SortOrder, SortTarget } from '@etcd/api/etcdserverpb';
import { assert, compareRange, copyBytes } from '@etcd/base';
import { TreeCursor } from './key-index/key-tree.ts';
import { endOfRange, isBehind } from './key-range.ts';
import { KeyValueParts, KeyValueView, sizeKeyValue, writeKeyValue } from './key-value.ts';
import { OutputArena } from './output-arena.ts';
import type { ReadView } from './read-view.ts';
import { RangeResult } from './results.ts';
import type { Store } from './store.ts';
import type { StoreView } from './views.ts';

/** A step ends early when it has found this much: copying it takes a few milliseconds. */
const MAX_STEP_BYTES = 4 * 1024 * 1024;

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;

/** Answers `request` on the spot. */
export function executeRange(view: ReadView, request: RangeRequest): RangeResult {
  const isPlain = !request.countOnly && !request.keysOnly && !hasRevisionFilters(request);
  if (request.rangeEnd.length === 0 && isPlain) return readOne(view, request);
  const scan = new RangeScan(view, request);
  scan.finish();
  return scan.result;
}

/** One key as it is: the hot path. */
function readOne(view: ReadView, request: RangeRequest): RangeResult {
  const result = new RangeResult();
  const { index, backend, revision } = view;
  const rev = request.revision <= 0 ? revision : request.revision;
  result.revision = revision;
  result.error = checkRevision(rev, revision, view.compactRevision);
  if (result.error !== null) return result;
  const ref = index.find(request.key, 0, request.key.length);
  if (ref === 0 || !index.getAt(ref, rev)) return result;
  const found = backend.readRevision(index.found.main, index.found.sub);
  assert(found, 'range: a revision is in the index but not in the backend');
  result.kvs.push(backend.value.buffer, backend.value.start, backend.value.end);
  result.count = 1;
  return result;
}

/** Whether the answer comes in the order of the index. */
function isDefaultOrder(request: RangeRequest): boolean {
  const { sortOrder, sortTarget } = request;
  return sortOrder === SortOrder.NONE || (sortTarget === SortTarget.KEY && sortOrder === SortOrder.ASCEND);
}

function hasRevisionFilters(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  );
}

/** What the revision of a request gets when the store can't answer at it. */
export function checkRevision(rev: Revision, current: number, compacted: number): InternalError | null {
  if (rev > current) return ErrFutureRev;
  return rev < compacted ? ErrCompacted : null;
}

export class RangeScan {
  readonly result: RangeResult = new RangeResult();
  #view: ReadView;
  #held: StoreView | null = null;
  readonly #request: RangeRequest;
  readonly #end: Uint8Array | null;
  readonly #rev: Revision;
  readonly #hasFilters: boolean;
  /** Infinity for none. */
  readonly #limit: number;
  /** How many pairs to look for: one more than the limit, to know whether there are more. Infinity: all. */
  readonly #wanted: number;
  /** Pairs in the order of the index stop the scan at the limit; sorted ones don't. */
  readonly #sortKeys: number[] | null;
  readonly #cursor = new TreeCursor();
  #arena: OutputArena | null = null;
  /** What {@link #lend} was told last. */
  #lent: Uint8Array | null = null;
  /** Where to go on: the key itself, or with `#isAfter` behind it. */
  #position: Uint8Array;
  #isAfter = false;
  #hasSought = false;
  /** Pairs found, those that the caller has taken included. */
  #found = 0;
  /** Keys that exist, those that filters left out included. */
  #seen = 0;
  #hasStepped = false;
  #isDone = false;

  constructor(view: ReadView, request: RangeRequest) {
    this.#view = view;
    this.#request = request;
    this.#end = endOfRange(request.rangeEnd);
    this.#hasFilters = hasRevisionFilters(request);
    this.#position = request.key;
    const current = view.revision;
    this.#rev = request.revision <= 0 ? current : request.revision;
    this.result.revision = current;
    this.#sortKeys = isSorted(request) ? [] : null;
    this.#limit = request.limit > 0 ? request.limit : Number.POSITIVE_INFINITY;
    const isCut = isDefaultOrder(request) && !this.#hasFilters;
    this.#wanted = isCut ? this.#limit + 1 : Number.POSITIVE_INFINITY;
    this.#fail(checkRevision(this.#rev, current, view.compactRevision));
    if (!this.#isDone && request.countOnly) this.#countOnly();
  }

  /** Whether pairs may be taken from the result (and cleared there) before the scan is done. */
  get isInOrder(): boolean {
    return this.#sortKeys === null;
  }

  /** The revision that is read. */
  get readRevision(): Revision {
    return this.#rev;
  }

  /** Others get a turn before the next step: from now on the scan reads `store` as it is now, whatever becomes of it. */
  hold(store: Store): void {
    if (this.#isDone || this.#held !== null) return;
    assert(this.#view === store, 'range: held in another store');
    this.#held = store.views.open(store, this.#rev);
    this.#view = this.#held;
    const { kvs } = this.result;
    for (let i = 0; i < kvs.count; i++) this.#lend(kvs.buffer(i));
  }

  /** Gives up, or has got all: nothing is held any more. The pairs that were found stay. */
  close(): void {
    this.#isDone = true;
    this.#held?.close();
  }

  /** Sees to it that `buffer`, in which pairs of the result lie, is never written over while somebody refers to it: true. */
  readonly lend = (buffer: Uint8Array): boolean => {
    if (this.#held === null) this.#lend(buffer);
    return true;
  };

  /** Looks at up to `maxKeys` more keys, fewer when their values are large; true when the result is complete. */
  step(maxKeys: number): boolean {
    assert(!this.#hasStepped || this.#isDone || this.#held !== null, 'range: goes on without a view');
    this.#hasStepped = true;
    return this.#step(maxKeys);
  }

  /** Looks at all that is left, in this turn. */
  finish(): void {
    while (!this.#step(Number.MAX_SAFE_INTEGER));
  }

  #step(maxKeys: number): boolean {
    if (this.#isDone) return true;
    const error = this.#held?.error ?? null;
    if (error !== null) {
      this.#fail(error);
      return true;
    }
    if (this.#end === null) this.#single();
    else if (!this.#scan(maxKeys)) return false;
    this.#complete();
    this.close();
    return true;
  }

  #fail(error: InternalError | null): void {
    if (error === null) return;
    this.result.error = error;
    this.result.kvs.clear();
    this.close();
  }

  #countOnly(): void {
    const { index } = this.#view;
    const { key } = this.#request;
    if (this.#end === null) {
      const ref = index.find(key, 0, key.length);
      this.result.count = ref !== 0 && index.getAt(ref, this.#rev) ? 1 : 0;
    } else {
      this.result.count = index.countAt(key, this.#end.length === 0 ? null : this.#end, this.#rev);
    }
    this.#isDone = true;
  }

  #single(): void {
    const { index } = this.#view;
    const { key } = this.#request;
    const ref = index.find(key, 0, key.length);
    if (ref !== 0) this.#take(ref);
  }

  /** True at the end of the range. */
  #scan(maxKeys: number): boolean {
    const { index } = this.#view;
    const { kvs } = this.result;
    this.#seek();
    const maxBytes = kvs.bytes + MAX_STEP_BYTES;
    let ref = 0;
    for (let left = maxKeys; left > 0 && kvs.bytes < maxBytes; left--) {
      ref = index.next(this.#cursor);
      if (ref === 0 || isBehind(index, ref, this.#end!)) return true;
      this.#take(ref);
      if (this.#found === this.#wanted) return true;
    }
    this.#rememberPosition(ref);
    return false;
  }

  #seek(): void {
    const { index } = this.#view;
    if (this.#hasSought && !index.isStale(this.#cursor)) return;
    this.#hasSought = true;
    index.seek(this.#cursor, this.#position, 0, this.#position.length);
    if (!this.#isAfter) return;
    // The key that was looked at last may be gone; if not, it is the first one found.
    const ref = index.next(this.#cursor);
    const isSame = ref !== 0 && index.find(this.#position, 0, this.#position.length) === ref;
    if (!isSame) index.seek(this.#cursor, this.#position, 0, this.#position.length);
  }

  #rememberPosition(ref: number): void {
    const { index } = this.#view;
    const start = index.keyStart(ref);
    this.#position = copyBytes(index.keyBuffer(ref).subarray(start, start + index.keyLength(ref)));
    this.#isAfter = true;
  }

  /** Adds the pair of a key, if the key exists at the revision and passes the filters. */
  #take(ref: number): void {
    const { index } = this.#view;
    if (!index.getAt(ref, this.#rev)) return;
    this.#seen++;
    const { main, sub, created, version } = index.found;
    if (this.#hasFilters && this.#isFiltered(main, created)) return;
    this.#found++;
    if (this.isInOrder && this.#found > this.#limit) return;
    const { keysOnly, sortTarget } = this.#request;
    if (this.#sortKeys !== null) this.#sortKeys.push(sortKeyOf(sortTarget, main, created, version));
    if (keysOnly && sortTarget !== SortTarget.VALUE) this.#pushKeyOnly(ref, main, created, version);
    else this.#pushPair(main, sub);
  }

  #isFiltered(main: number, created: number): boolean {
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = this.#request;
    if (maxModRevision !== 0 && main > maxModRevision) return true;
    if (minModRevision !== 0 && main < minModRevision) return true;
    if (maxCreateRevision !== 0 && created > maxCreateRevision) return true;
    return minCreateRevision !== 0 && created < minCreateRevision;
  }

  #pushPair(main: number, sub: number): void {
    const { backend } = this.#view;
    const found = backend.readRevision(main, sub);
    assert(found, () => `range: revision ${main}.${sub} is in the index but not in the backend`);
    const { value } = backend;
    if (this.#held !== null) this.#lend(value.buffer);
    this.result.kvs.push(value.buffer, value.start, value.end);
  }

  /** The result may be kept beyond this turn, and so is what it lies in. */
  #lend(buffer: Uint8Array): void {
    if (buffer === this.#lent) return;
    this.#lent = buffer;
    this.#view.backend.revisionLog.lend(buffer);
  }

  /** Without values, the index alone answers; it knows no leases, so they are missing too, as in etcd 3.7. */
  #pushKeyOnly(ref: number, main: number, created: number, version: number): void {
    const { index } = this.#view;
    const parts = new KeyValueParts();
    parts.key = index.keyBuffer(ref);
    parts.keyStart = index.keyStart(ref);
    parts.keyEnd = parts.keyStart + index.keyLength(ref);
    parts.createRevision = created;
    parts.modRevision = main;
    parts.version = version;
    this.#pushEncoded(parts);
  }

  #pushEncoded(parts: KeyValueParts): void {
    this.#arena ??= new OutputArena();
    const length = sizeKeyValue(parts);
    this.#arena.reserve(length);
    const { buffer, start } = this.#arena;
    writeKeyValue(parts, buffer, start);
    this.result.kvs.push(buffer, start, start + length);
  }

  #complete(): void {
    const { result } = this;
    const { key, keysOnly, sortTarget } = this.#request;
    const isCutShort = this.#found === this.#wanted;
    result.count = isCutShort
      ? this.#view.index.countAt(key, this.#end!.length === 0 ? null : this.#end, this.#rev)
      : this.#seen;
    if (this.#sortKeys !== null) this.#sort();
    if (this.#found > this.#limit) {
      result.more = true;
      if (!this.isInOrder) result.kvs.truncate(this.#limit);
    }
    if (keysOnly && sortTarget === SortTarget.VALUE) this.#dropValues();
  }

  #sort(): void {
    const { kvs } = this.result;
    const { sortOrder, sortTarget } = this.#request;
    const order = Array.from({ length: kvs.count }, (_, i) => i);
    // Pairs come in the order of keys, and where the target is the same they stay in it, in both directions: etcd reverses
    // the comparison and not the list.
    const sign = sortOrder === SortOrder.DESCEND ? -1 : 1;
    if (sortTarget === SortTarget.KEY) order.reverse();
    else if (sortTarget === SortTarget.VALUE) order.sort(this.#valueOrder(sign));
    else {
      const keys = this.#sortKeys!;
      order.sort((a, b) => sign * (keys[a]! - keys[b]!));
    }
    kvs.reorder(order);
  }

  #valueOrder(sign: number): (a: number, b: number) => number {
    const { kvs } = this.result;
    const view = new KeyValueView();
    const bounds: number[] = [];
    for (let i = 0; i < kvs.count; i++) {
      const isValid = view.parse(kvs.buffer(i), kvs.start(i), kvs.end(i));
      assert(isValid, 'range: stored value is not a KeyValue');
      bounds.push(view.valueStart, view.valueEnd);
    }
    return (a, b) =>
      sign *
      compareRange(
        kvs.buffer(a),
        bounds[a * 2]!,
        bounds[a * 2 + 1]!,
        kvs.buffer(b),
        bounds[b * 2]!,
        bounds[b * 2 + 1]!,
      );
  }

  /** Sorted by value but asked for keys only: the values have been read, and are taken off. Leases stay. */
  #dropValues(): void {
    const pairs = this.result.kvs;
    const count = pairs.count;
    const view = new KeyValueView();
    for (let i = 0; i < count; i++) {
      const buffer = pairs.buffer(i);
      view.parse(buffer, pairs.start(i), pairs.end(i));
      const parts = new KeyValueParts();
      parts.key = buffer;
      parts.keyStart = view.keyStart;
      parts.keyEnd = view.keyEnd;
      parts.createRevision = view.createRevision;
      parts.modRevision = view.modRevision;
      parts.version = view.version;
      parts.lease = view.lease;
      this.#pushEncoded(parts);
    }
    pairs.reorder(Array.from({ length: count }, (_, i) => count + i));
  }
}

/** Whether the answer must be sorted: etcd sorts by another target than the key even if no order is asked for. */
function isSorted({ sortOrder, sortTarget }: RangeRequest): boolean {
  return sortTarget === SortTarget.KEY ? sortOrder === SortOrder.DESCEND : true;
}

function sortKeyOf(sortTarget: number, main: number, created: number, version: number): number {
  if (sortTarget === SortTarget.VERSION) return version;
  if (sortTarget === SortTarget.CREATE) return created;
  return main;
}
