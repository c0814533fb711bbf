/**
 * Meta pages: where the tree begins. Pages 0 and 1 are written in turns, the slot being the parity of the transaction
 * id, and the valid one with the higher id counts. After the page header:
 *
 *     u32 magic | u32 version | u32 page size | u32 flags | u64 root page | u64 root sequence |
 *     u64 freelist page | u64 high-water page | u64 transaction | u64 FNV-1a of all that
 */
import { assert } from '@etcd/base';
import type { BoltErrorCode } from './bolt-error.ts';
import { fnv1a64 } from './fnv1a.ts';
import {
  FIRST_DATA_PGID,
  isPageSize,
  META_PAGE,
  PAGE_HEADER_BYTES,
  PGID_LIMIT,
  readUint64,
  writePageHeader,
  writeUint64,
} from './format.ts';

const MAGIC = 0xed0cdaed;
const VERSION = 2;
/** From the first field up to the checksum. */
const CHECKED_BYTES = 56;
/** What a meta page needs of its page. */
export const META_BYTES = PAGE_HEADER_BYTES + CHECKED_BYTES + 8;

/** Stands for the freelist page of a file that stores none (all ones on disk). */
export const NO_FREELIST = -1;

export interface Meta {
  readonly pageSizeBytes: number;
  readonly rootPgid: number;
  readonly rootSequence: bigint;
  /** Or {@link NO_FREELIST}. */
  readonly freelistPgid: number;
  /** Pages from here on are not in use. */
  readonly highWaterPgid: number;
  readonly txid: number;
}

/** Why a meta page is refused, in the order in which bbolt looks. */
export interface MetaFault {
  readonly code: BoltErrorCode;
  readonly message: string;
}

export function isMetaFault(result: Meta | MetaFault): result is MetaFault {
  return 'code' in result;
}

/** Reads the meta page that begins at `base` of a buffer that holds {@link META_BYTES} from there on. */
export function decodeMeta(bytes: Uint8Array, view: DataView, base: number): Meta | MetaFault {
  const at = base + PAGE_HEADER_BYTES;
  if (view.getUint32(at, true) !== MAGIC) return { code: 'not-a-database', message: 'invalid database' };
  const version = view.getUint32(at + 4, true);
  if (version !== VERSION) return { code: 'version-mismatch', message: `version mismatch: ${version}` };
  const sum = fnv1a64(bytes, at, at + CHECKED_BYTES);
  const matches = view.getUint32(at + 56, true) === sum.low && view.getUint32(at + 60, true) === sum.high;
  if (!matches) return { code: 'checksum', message: 'checksum error' };
  const noFreelist =
    view.getUint32(at + 32, true) === 0xffff_ffff && view.getUint32(at + 36, true) === 0xffff_ffff;
  return checkedMeta({
    pageSizeBytes: view.getUint32(at + 8, true),
    rootPgid: readUint64(view, at + 16),
    rootSequence: view.getBigUint64(at + 24, true),
    freelistPgid: noFreelist ? NO_FREELIST : readUint64(view, at + 32),
    highWaterPgid: readUint64(view, at + 40),
    txid: readUint64(view, at + 48),
  });
}

/** A right checksum says that the page is whole, not that what it says makes sense. */
function checkedMeta(meta: Meta): Meta | MetaFault {
  const { pageSizeBytes, rootPgid, freelistPgid, highWaterPgid, txid } = meta;
  if (!isPageSize(pageSizeBytes)) {
    return {
      code: 'page-size',
      message: `page size ${pageSizeBytes} is not a power of two from 1024 to 16777216`,
    };
  }
  if (highWaterPgid >= PGID_LIMIT) return { code: 'too-large', message: `${highWaterPgid} pages` };
  if (txid >= Number.MAX_SAFE_INTEGER) return { code: 'too-large', message: `transaction ${txid}` };
  if (rootPgid < FIRST_DATA_PGID || rootPgid >= highWaterPgid) {
    return { code: 'corrupt', message: `root page ${rootPgid} is outside of [2, ${highWaterPgid})` };
  }
  const badFreelist = freelistPgid < FIRST_DATA_PGID || freelistPgid >= highWaterPgid;
  if (freelistPgid !== NO_FREELIST && badFreelist) {
    return { code: 'corrupt', message: `freelist page ${freelistPgid} is outside of [2, ${highWaterPgid})` };
  }
  return meta;
}

/** Writes the whole meta page of `meta` at `base`, where `pageSizeBytes` are zero. `slot` is the page id, 0 or 1. */
export function encodeMeta(bytes: Uint8Array, view: DataView, base: number, meta: Meta, slot: number): void {
  assert(meta.rootPgid < meta.highWaterPgid, 'meta: root page above the high-water mark');
  assert(meta.freelistPgid < meta.highWaterPgid, 'meta: freelist page above the high-water mark');
  writePageHeader(view, base, slot, META_PAGE, 0, 0);
  const at = base + PAGE_HEADER_BYTES;
  view.setUint32(at, MAGIC, true);
  view.setUint32(at + 4, VERSION, true);
  view.setUint32(at + 8, meta.pageSizeBytes, true);
  view.setUint32(at + 12, 0, true);
  writeUint64(view, at + 16, meta.rootPgid);
  view.setBigUint64(at + 24, meta.rootSequence, true);
  if (meta.freelistPgid === NO_FREELIST) bytes.fill(0xff, at + 32, at + 40);
  else writeUint64(view, at + 32, meta.freelistPgid);
  writeUint64(view, at + 40, meta.highWaterPgid);
  writeUint64(view, at + 48, meta.txid);
  const sum = fnv1a64(bytes, at, at + CHECKED_BYTES);
  view.setUint32(at + 56, sum.low, true);
  view.setUint32(at + 60, sum.high, true);
}
