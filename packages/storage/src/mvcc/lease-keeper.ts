/**
 * What the store asks of the lessor: to remember which key has which lease. Keys are named by their refs in the index,
 * which has a word for each key (`attachment`) where the lessor keeps its side of the association.
 */
import type { LeaseId } from '@etcd/api';
import type { TreeIndex } from './key-index/tree-index.ts';

export interface LeaseKeeper {
  /** The store's index, before anything else is asked; a new one after the store was replaced by a snapshot. */
  setIndex(index: TreeIndex): void;
  /** Whether the lease exists. */
  has(lease: LeaseId): boolean;
  /** The key has this lease from now on, and no other; 0n: none. A lease that does not exist is as good as none. */
  setLease(ref: number, lease: LeaseId): void;
}

/** For a store without leases. */
export const NO_LEASES: LeaseKeeper = {
  setIndex: () => {},
  has: () => false,
  setLease: () => {},
};
