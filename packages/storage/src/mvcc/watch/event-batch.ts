/**
 * Events on their way to watchers. Each is matched once, encoded once (twice if some watchers want the previous pair and
 * others don't), and then shared by all who are sent it: what travels is a list of ranges, each an `events` field of a
 * WatchResponse with tag and length. Their memory is used again when the batch is cleared: whoever is sent events copies them.
 *
 *   0x5a length | [type DELETE] | kv | [prev_kv]
 */
import { sizeInt64, sizeUint32, writeInt64, writeUint32 } from '@etcd/api/wire';
import { copyInto } from '../key-value.ts';
import { OutputArena } from '../output-arena.ts';
import { Slices } from '../slices.ts';
import type { Watcher } from './watcher.ts';
import type { WatcherGroup, WatcherNode } from './watcher-group.ts';

const TAG_EVENTS = 0x5a;
const TAG_TYPE = 0x08;
const TYPE_DELETE = 1;
const TAG_KV = 0x12;
const TAG_PREV_KV = 0x1a;
const TAG_MOD_REVISION = 0x18;

/** Finds the pair that an event replaced: in `buffer[start, end)` after true. */
export interface PreviousPair {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly end: number;
  find(): boolean;
}

export class EventBatch {
  readonly #arena = new OutputArena();
  /** By event: without and with the previous pair; an empty range where nobody wants that form. */
  readonly #plain = new Slices();
  readonly #withPrev = new Slices();
  readonly #mains: number[] = [];
  readonly #deletes: boolean[] = [];
  /** Nodes whose watchers are to be sent something. */
  readonly #touched: WatcherNode[] = [];
  readonly #matched: WatcherNode[] = [];

  /** Events that somebody watches. */
  get count(): number {
    return this.#mains.length;
  }

  /** Encoded bytes. */
  get bytes(): number {
    return this.#plain.bytes + this.#withPrev.bytes;
  }

  get touched(): readonly WatcherNode[] {
    return this.#touched;
  }

  /**
   * Adds the change of `key` by revision `main`, whose stored value is `buffer[start, end)`, if somebody in the group
   * watches it.
   */
  add(
    group: WatcherGroup,
    key: string,
    main: number,
    isDelete: boolean,
    isCreate: boolean,
    buffer: Uint8Array,
    start: number,
    end: number,
    previous: PreviousPair,
  ): void {
    const matched = this.#matched;
    matched.length = 0;
    group.nodesOf(key, matched);
    if (matched.length === 0) return;
    const event = this.#mains.length;
    let wantsPlain = false;
    let wantsPrev = false;
    for (const node of matched) {
      if (node.prevKvCount > 0) wantsPrev = true;
      if (node.prevKvCount < node.watchers.length) wantsPlain = true;
      if (node.events.length === 0) this.#touched.push(node);
      node.events.push(event);
    }
    this.#mains.push(main);
    this.#deletes.push(isDelete);
    if (wantsPlain) this.#encode(this.#plain, main, isDelete, buffer, start, end, null);
    else this.#plain.push(buffer, 0, 0);
    if (!wantsPrev) this.#withPrev.push(buffer, 0, 0);
    else if (!isCreate && previous.find()) {
      this.#encode(this.#withPrev, main, isDelete, buffer, start, end, previous);
    } else if (wantsPlain) {
      this.#withPrev.push(this.#plain.buffer(event), this.#plain.start(event), this.#plain.end(event));
    } else {
      this.#encode(this.#withPrev, main, isDelete, buffer, start, end, null);
    }
  }

  /** All events of a node, as a watcher without filters that is not behind gets them. */
  eventsOf(node: WatcherNode, wantsPrevKv: boolean): Slices {
    const source = wantsPrevKv ? this.#withPrev : this.#plain;
    const events = new Slices();
    for (const event of node.events) {
      events.push(source.buffer(event), source.start(event), source.end(event));
    }
    return events;
  }

  /** Those events of the node that this watcher is to be sent. */
  eventsFor(node: WatcherNode, watcher: Watcher): Slices {
    const source = watcher.wantsPrevKv ? this.#withPrev : this.#plain;
    const events = new Slices();
    for (const event of node.events) {
      if (this.#mains[event]! < watcher.minRevision) continue;
      if (this.#deletes[event] ? watcher.dropsDeletes : watcher.dropsPuts) continue;
      events.push(source.buffer(event), source.start(event), source.end(event));
    }
    return events;
  }

  /** The revision of the node's first event. */
  firstMainOf(node: WatcherNode): number {
    return this.#mains[node.events[0]!]!;
  }

  clear(): void {
    for (const node of this.#touched) node.events.length = 0;
    this.#touched.length = 0;
    this.#plain.clear();
    this.#withPrev.clear();
    this.#mains.length = 0;
    this.#deletes.length = 0;
    this.#arena.clear();
  }

  #encode(
    target: Slices,
    main: number,
    isDelete: boolean,
    kv: Uint8Array,
    start: number,
    end: number,
    previous: PreviousPair | null,
  ): void {
    // The value of a tombstone is a pair with nothing but the key; the event's also says the revision.
    const kvBytes = end - start + (isDelete ? 1 + sizeInt64(main) : 0);
    const prevBytes = previous === null ? 0 : previous.end - previous.start;
    let body = (isDelete ? 2 : 0) + 1 + sizeUint32(kvBytes) + kvBytes;
    if (previous !== null) body += 1 + sizeUint32(prevBytes) + prevBytes;
    const length = 1 + sizeUint32(body) + body;
    this.#arena.reserve(length);
    const { buffer, start: begin } = this.#arena;
    buffer[begin] = TAG_EVENTS;
    let at = writeUint32(buffer, begin + 1, body);
    if (isDelete) {
      buffer[at++] = TAG_TYPE;
      buffer[at++] = TYPE_DELETE;
    }
    buffer[at++] = TAG_KV;
    at = writeUint32(buffer, at, kvBytes);
    at = copyInto(buffer, at, kv, start, end);
    if (isDelete) {
      buffer[at++] = TAG_MOD_REVISION;
      at = writeInt64(buffer, at, main);
    }
    if (previous !== null) {
      buffer[at++] = TAG_PREV_KV;
      at = writeUint32(buffer, at, prevBytes);
      copyInto(buffer, at, previous.buffer, previous.start, previous.end);
    }
    target.push(buffer, begin, begin + length);
  }
}
