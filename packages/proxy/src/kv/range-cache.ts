/**
 * Answers to ranges, for clients that take an answer which may be behind (serializable). A write that goes through this proxy drops what it
 * may have changed, before it is sent and again when it is answered; one that goes another way is noticed after {@link MAX_AGE_MS} at
 * the latest.
 *
 * A range that is under way while a write is answered may have been read before it: its answer is not kept. Which ranges those are is
 * known by a clock of writes: by the key's slot for single keys, by all writes for ranges of keys.
 */
import type { RangeRequest } from '@etcd/api/etcdserverpb';
import { latin1FromBytes } from '@etcd/base';

/** As many as etcd's. */
const MAX_ENTRIES = 2048;
const MAX_ENTRY_BYTES = 1024 * 1024;
/** An answer to a longer request, counted with who asks, is not kept. */
const MAX_ID_LENGTH = 8 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
/** Entries for ranges of keys, each of which every write is compared with. */
const MAX_RANGES = 256;
const MAX_AGE_MS = 2_000;
const SLOTS = 1024;

interface Entry {
  readonly id: string;
  readonly key: string;
  /** Exclusive; null for a single key, empty for no end. */
  readonly end: string | null;
  /** Of the past: no write changes it. */
  readonly isPast: boolean;
  readonly answer: Uint8Array;
  readonly addedMs: number;
}

export class RangeCache {
  readonly #entries = new Map<string, Entry>();
  readonly #points = new Map<string, Set<Entry>>();
  readonly #ranges = new Set<Entry>();
  readonly #slots = new Float64Array(SLOTS);
  #writes = 0;
  #rangeWrites = 0;
  /** When what is of the past was last forgotten. */
  #pastWrites = 0;
  #bytes = 0;
  /** Numbers for the metrics. */
  hits = 0;
  misses = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** What is remembered under `id`, which names caller and request; null for nothing. */
  get(id: string, nowMs: number): Uint8Array | null {
    const entry = this.#entries.get(id);
    if (entry === undefined || nowMs - entry.addedMs > MAX_AGE_MS) {
      if (entry !== undefined) this.#drop(entry);
      this.misses++;
      return null;
    }
    this.hits++;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.answer;
  }

  /** The time on the clock of writes, to be given to {@link add} with the answer to a range that begins now. */
  get now(): number {
    return this.#writes;
  }

  /** Keeps a copy of `answer[start, end)`, unless a write since `begun` may have changed it. */
  add(
    id: string,
    request: RangeRequest,
    begun: number,
    nowMs: number,
    answer: Uint8Array,
    start: number,
    end: number,
  ): void {
    const length = end - start;
    if (length > MAX_ENTRY_BYTES || id.length > MAX_ID_LENGTH) return;
    const key = latin1FromBytes(request.key);
    const rangeEnd = request.rangeEnd.length === 0 ? null : endOf(request.rangeEnd);
    const isPast = request.revision > 0;
    if (isPast ? this.#pastWrites > begun : this.#isStale(key, rangeEnd, begun)) return;
    const known = this.#entries.get(id);
    if (known !== undefined) this.#drop(known);
    if (rangeEnd !== null && !isPast && this.#ranges.size >= MAX_RANGES) {
      this.#drop(this.#ranges.values().next().value!);
    }
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(answer.subarray(start, end));
    const entry: Entry = { id, key, end: rangeEnd, isPast, answer: copy, addedMs: nowMs };
    this.#entries.set(id, entry);
    this.#bytes += sizeOf(entry);
    if (!isPast) this.#index(entry);
    while (this.#entries.size > MAX_ENTRIES || this.#bytes > MAX_BYTES) {
      this.#drop(this.#entries.values().next().value!);
    }
  }

  /** A write of a key, or of those from `key` to `rangeEnd`. */
  invalidate(key: Uint8Array, rangeEnd: Uint8Array): void {
    this.#writes++;
    const first = latin1FromBytes(key);
    if (rangeEnd.length === 0) {
      this.#slots[slotOf(first)] = this.#writes;
      for (const entry of [...(this.#points.get(first) ?? [])]) this.#drop(entry);
      for (const entry of this.#ranges) if (holds(entry, first)) this.#drop(entry);
      return;
    }
    this.#rangeWrites = this.#writes;
    const end = endOf(rangeEnd);
    const overlaps = ({ key: other, end: otherEnd }: Entry): boolean => {
      if (otherEnd === null) return other >= first && (end === '' || other < end);
      return (end === '' || other < end) && (otherEnd === '' || first < otherEnd);
    };
    for (const entry of this.#entries.values()) if (!entry.isPast && overlaps(entry)) this.#drop(entry);
  }

  /** What is of the past may be compacted by now. */
  dropPast(): void {
    this.#pastWrites = ++this.#writes;
    for (const entry of this.#entries.values()) if (entry.isPast) this.#drop(entry);
  }

  /** Users, roles or whether they count have changed. */
  clear(): void {
    this.#writes++;
    this.#rangeWrites = this.#writes;
    this.#pastWrites = this.#writes;
    this.#entries.clear();
    this.#points.clear();
    this.#ranges.clear();
    this.#bytes = 0;
  }

  #isStale(key: string, end: string | null, begun: number): boolean {
    if (end !== null) return this.#writes !== begun;
    return this.#rangeWrites > begun || this.#slots[slotOf(key)]! > begun;
  }

  #index(entry: Entry): void {
    if (entry.end !== null) {
      this.#ranges.add(entry);
      return;
    }
    const same = this.#points.get(entry.key);
    if (same === undefined) this.#points.set(entry.key, new Set([entry]));
    else same.add(entry);
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#bytes -= sizeOf(entry);
    this.#ranges.delete(entry);
    const same = this.#points.get(entry.key);
    if (same === undefined || entry.end !== null) return;
    same.delete(entry);
    if (same.size === 0) this.#points.delete(entry.key);
  }
}

/** Bytes, with those of what it is found by. */
function sizeOf({ id, answer }: Entry): number {
  return id.length + answer.length;
}

/** The byte 0 alone stands for no end. */
function endOf(rangeEnd: Uint8Array): string {
  return rangeEnd.length === 1 && rangeEnd[0] === 0 ? '' : latin1FromBytes(rangeEnd);
}

function holds({ key, end }: Entry, point: string): boolean {
  return point >= key && (end === '' || (end !== null && point < end));
}

function slotOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return hash & (SLOTS - 1);
}
