/** A transaction that sees one durable state for as long as it is open. */
import { assert } from '@etcd/base';
import type { Bucket, ReadTransaction, Snapshot } from './api.ts';
import type { Freelist } from './freelist.ts';
import type { Meta } from './meta.ts';
import type { Pager } from './pager.ts';
import { ReadBucket } from './read-bucket.ts';
import { StateSnapshot } from './snapshot.ts';
import { TreeRoot } from './tree-root.ts';

export class StateTransaction implements ReadTransaction {
  readonly txid: number;
  readonly root: ReadBucket;
  readonly meta: Meta;
  readonly pager: Pager;
  readonly freelist: Freelist;
  #open = true;

  constructor(pager: Pager, freelist: Freelist, meta: Meta) {
    this.pager = pager;
    this.freelist = freelist;
    this.meta = meta;
    this.txid = meta.txid;
    freelist.addReader(meta.txid);
    this.root = new ReadBucket(new TreeRoot(pager, null, meta.rootPgid, null, 0), meta.rootSequence);
  }

  get sizeBytes(): number {
    return this.meta.highWaterPgid * this.meta.pageSizeBytes;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  bucket(name: Uint8Array): Bucket | null {
    assert(this.#open, 'transaction: it is closed');
    return this.root.bucket(name);
  }

  snapshot(): Snapshot {
    assert(this.#open, 'transaction: it is closed');
    return new StateSnapshot(this);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.freelist.removeReader(this.txid);
  }
}
