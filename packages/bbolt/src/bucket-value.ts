/** The value of a bucket element: `u64 root page | u64 sequence`, and behind it the page of an inline bucket. */
import {
  BUCKET_HEADER_BYTES,
  FIRST_DATA_PGID,
  LEAF_PAGE,
  PAGE_HEADER_BYTES,
  pageFlags,
  readUint64,
} from './format.ts';
import { leafHasBuckets, pageFault } from './page.ts';
import type { PageBuffer } from './page-buffer.ts';

export interface BucketValue {
  /** 0 for an inline bucket. */
  readonly rootPgid: number;
  readonly sequence: bigint;
}

/** What is wrong with the bucket value at [start, end); null when it can be used. */
export function bucketValueFault(
  buffer: PageBuffer,
  start: number,
  end: number,
  highWaterPgid: number,
): string | null {
  const length = end - start;
  if (length < BUCKET_HEADER_BYTES) return `a bucket's value has ${length} bytes`;
  const rootPgid = readUint64(buffer.view, start);
  if (rootPgid !== 0) {
    const inside = rootPgid >= FIRST_DATA_PGID && rootPgid < highWaterPgid;
    return inside ? null : `root page ${rootPgid} of a bucket is outside of [2, ${highWaterPgid})`;
  }
  if (length < BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES) return `an inline bucket has ${length} bytes`;
  const base = start + BUCKET_HEADER_BYTES;
  if (pageFlags(buffer.view, base) !== LEAF_PAGE) return 'the page of an inline bucket is not a leaf';
  const fault = pageFault(buffer, base, end - base, highWaterPgid);
  if (fault !== null) return `in an inline bucket: ${fault}`;
  return leafHasBuckets(buffer.view, base) ? 'an inline bucket contains a bucket' : null;
}

/** Reads a value that {@link bucketValueFault} has passed. */
export function readBucketValue(buffer: PageBuffer, start: number): BucketValue {
  return {
    rootPgid: readUint64(buffer.view, start),
    sequence: buffer.view.getBigUint64(start + 8, true),
  };
}

export function writeBucketHeader(view: DataView, at: number, rootPgid: number, sequence: bigint): void {
  view.setBigUint64(at, BigInt(rootPgid), true);
  view.setBigUint64(at + 8, sequence, true);
}
