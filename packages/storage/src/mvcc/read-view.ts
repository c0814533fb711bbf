/** What reading needs to know of the store: the store itself between transactions, or a write transaction in its middle. */
import type { Revision } from '@etcd/api';
import type { Backend } from '../backend/index.ts';
import type { TreeIndex } from './key-index/tree-index.ts';

export interface ReadView {
  readonly index: TreeIndex;
  readonly backend: Backend;
  /** The newest revision that is visible. */
  readonly revision: Revision;
  /** The newest revision that was compacted: nothing before it can be read. -1: none. */
  readonly compactRevision: Revision;
}
