/** A bucket as a read transaction sees it. */
import { latin1FromBytes } from '@etcd/base';
import type { Bucket, Cursor } from './api.ts';
import { bucketValueFault, readBucketValue } from './bucket-value.ts';
import { TreeCursor } from './cursor.ts';
import { BUCKET_HEADER_BYTES } from './format.ts';
import { TreeRoot } from './tree-root.ts';

export class ReadBucket implements Bucket {
  readonly #root: TreeRoot;
  readonly #sequence: bigint;
  /** For single lookups. */
  readonly #cursor: TreeCursor;
  readonly #children = new Map<string, ReadBucket>();

  constructor(root: TreeRoot, sequence: bigint) {
    this.#root = root;
    this.#sequence = sequence;
    this.#cursor = new TreeCursor(root);
  }

  get(key: Uint8Array): Uint8Array | null {
    const cursor = this.#cursor;
    return cursor.seekExact(key) && !cursor.isBucket ? cursor.value() : null;
  }

  cursor(): Cursor {
    return new TreeCursor(this.#root);
  }

  bucket(name: Uint8Array): ReadBucket | null {
    const id = latin1FromBytes(name);
    const known = this.#children.get(id);
    if (known !== undefined) return known;
    const cursor = this.#cursor;
    if (!cursor.seekExact(name) || !cursor.isBucket) return null;
    const { bucket, sequence } = openBucket(this.#root, cursor);
    const child = new ReadBucket(bucket, sequence);
    this.#children.set(id, child);
    return child;
  }

  sequence(): bigint {
    return this.#sequence;
  }
}

/** The tree of the bucket that a cursor stands on. */
function openBucket(root: TreeRoot, cursor: TreeCursor): { bucket: TreeRoot; sequence: bigint } {
  const { pager } = root;
  const buffer = cursor.buffer();
  const fault = bucketValueFault(buffer, cursor.valueStart, cursor.valueEnd, pager.highWaterPgid);
  if (fault !== null) throw pager.corrupt(cursor.pgid(), fault);
  const { rootPgid, sequence } = readBucketValue(buffer, cursor.valueStart);
  const base = cursor.valueStart + BUCKET_HEADER_BYTES;
  return {
    bucket: new TreeRoot(pager, null, rootPgid, rootPgid === 0 ? buffer : null, base),
    sequence,
  };
}
