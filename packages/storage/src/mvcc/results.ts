/**
 * What the store answers. Key-value pairs are given as the encoded bytes that lie in the backend, as ranges of arrays that
 * never change again: whoever builds a response copies them into it, and nothing is decoded on the way. Holding a range
 * keeps the array alive that it lies in, so answers are not kept for long.
 */
import type { InternalError } from '@etcd/api';
import { Slices } from './slices.ts';

/** Tags of what a transaction's operation answered. */
export const RANGE = 0;
export const PUT = 1;
export const DELETE_RANGE = 2;
export const TXN = 3;
/** An operation that asks for nothing. */
export const NOTHING = 4;

export class RangeResult {
  readonly kind = RANGE;
  /** When set, nothing else counts. */
  error: InternalError | null = null;
  /** For the response's header: the store's revision when it was read. */
  revision = 0;
  readonly kvs: Slices = new Slices();
  /** The limit cut something off. */
  more = false;
  /** All keys of the range at the revision, whatever limit and filters left of them. */
  count = 0;
}

export class PutResult {
  readonly kind = PUT;
  error: InternalError | null = null;
  revision = 0;
  /** The pair that was replaced, if it was asked for and there was one: none or one. */
  prevKv: Slices | null = null;
}

export class DeleteRangeResult {
  readonly kind = DELETE_RANGE;
  revision = 0;
  deleted = 0;
  /** The deleted pairs, if they were asked for. */
  prevKvs: Slices | null = null;
}

export class TxnResult {
  readonly kind = TXN;
  error: InternalError | null = null;
  /** For the header of the outermost response; nested ones have an empty header. */
  revision = 0;
  succeeded = false;
  responses: readonly OpResult[] = [];
}

export interface NothingResult {
  readonly kind: typeof NOTHING;
}

export type OpResult = RangeResult | PutResult | DeleteRangeResult | TxnResult | NothingResult;
