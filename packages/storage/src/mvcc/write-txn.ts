/**
 * A write transaction of the store. Everything it changes gets one main revision; sub revisions count its changes. It runs
 * to its end within one synchronous stretch, so nobody sees the middle of it, and there is one at a time.
 */
import type { LeaseId, Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { Backend } from '../backend/index.ts';
import { Changes } from './changes.ts';
import { TreeCursor } from './key-index/key-tree.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import { isBehind, type KeyRange } from './key-range.ts';
import { KeyValueParts, sizeKeyValue, writeKeyValue } from './key-value.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

export class WriteTxn {
  readonly changes: Changes = new Changes();
  readonly #parts = new KeyValueParts();
  readonly #cursor = new TreeCursor();
  #index: TreeIndex;
  #backend: Backend;
  readonly #leases: LeaseKeeper;
  #baseRevision = 0;

  constructor(index: TreeIndex, backend: Backend, leases: LeaseKeeper) {
    this.#index = index;
    this.#backend = backend;
    this.#leases = leases;
  }

  /** The store's revision as this transaction sees it: one more once it has changed something. */
  get revision(): Revision {
    return this.changes.count > 0 ? this.#baseRevision + 1 : this.#baseRevision;
  }

  /** For the store: the transaction is used again. */
  begin(index: TreeIndex, backend: Backend, baseRevision: number): void {
    this.#index = index;
    this.#backend = backend;
    this.#baseRevision = baseRevision;
    this.changes.clear();
  }

  /** Sets the value of `key` to `value[valueStart, valueEnd)`, under `lease` (0n: none), which is known to exist. */
  put(key: Uint8Array, value: Uint8Array, valueStart: number, valueEnd: number, lease: LeaseId): void {
    const index = this.#index;
    const parts = this.#parts;
    const main = this.#baseRevision + 1;
    const sub = this.changes.count;
    let ref = index.find(key, 0, key.length);
    let prevMain = 0;
    let prevSub = 0;
    parts.createRevision = main;
    parts.version = 1;
    if (ref !== 0 && index.isLive(ref)) {
      prevMain = index.main(ref);
      prevSub = index.sub(ref);
      parts.createRevision = index.created(ref);
      parts.version = index.version(ref) + 1;
      if (prevMain === main) {
        // Changed a moment ago: what was before the transaction counts, unless the transaction created the key.
        const wasThere = parts.createRevision < main && index.getAt(ref, main - 1);
        prevMain = wasThere ? index.found.main : 0;
        prevSub = wasThere ? index.found.sub : 0;
      }
    }
    parts.key = key;
    parts.keyStart = 0;
    parts.keyEnd = key.length;
    parts.modRevision = main;
    parts.value = value;
    parts.valueStart = valueStart;
    parts.valueEnd = valueEnd;
    parts.lease = lease;
    const log = this.#backend.reserveRevision(main, sub, false, sizeKeyValue(parts));
    writeKeyValue(parts, log.buffer, log.start);
    ref = index.put(ref, key, 0, key.length, main, sub);
    this.changes.push(ref, false, prevMain, prevSub);
    if (lease !== 0n || index.attachment(ref) !== 0) this.#leases.setLease(ref, lease);
  }

  /** Deletes the keys of the range; returns how many there were. */
  deleteRange(range: KeyRange): number {
    const index = this.#index;
    const { key, end } = range;
    if (end === null) {
      const ref = index.find(key, 0, key.length);
      if (ref === 0 || !index.isLive(ref)) return 0;
      this.deleteKey(ref);
      return 1;
    }
    let deleted = 0;
    const cursor = this.#cursor;
    // Tombstones leave the index's order alone, so the cursor stays good.
    index.seek(cursor, key, 0, key.length);
    for (let ref = index.next(cursor); ref !== 0; ref = index.next(cursor)) {
      if (isBehind(index, ref, end)) break;
      if (!index.isLive(ref)) continue;
      this.deleteKey(ref);
      deleted++;
    }
    return deleted;
  }

  /** Deletes one key that exists. */
  deleteKey(ref: number): void {
    const index = this.#index;
    const parts = this.#parts;
    const main = this.#baseRevision + 1;
    const sub = this.changes.count;
    assert(index.isLive(ref), 'write txn: key to delete does not exist');
    // A tombstone's value is a KeyValue with nothing but the key.
    parts.key = index.keyBuffer(ref);
    parts.keyStart = index.keyStart(ref);
    parts.keyEnd = parts.keyStart + index.keyLength(ref);
    parts.createRevision = 0;
    parts.modRevision = 0;
    parts.version = 0;
    parts.valueStart = 0;
    parts.valueEnd = 0;
    parts.lease = 0n;
    const log = this.#backend.reserveRevision(main, sub, true, sizeKeyValue(parts));
    writeKeyValue(parts, log.buffer, log.start);
    if (index.main(ref) < main) this.changes.push(ref, true, index.main(ref), index.sub(ref));
    else if (index.getAt(ref, main - 1)) this.changes.push(ref, true, index.found.main, index.found.sub);
    else this.changes.push(ref, true, 0, 0);
    index.tombstone(ref, main, sub);
    if (index.attachment(ref) !== 0) this.#leases.setLease(ref, 0n);
  }
}
