/**
 * What is committed together with the data that it stands for (S23): the index and term of the last applied entry, and
 * the raft configuration when it has changed. Whoever applies an entry calls {@link ConsistentIndex.set} in the same
 * synchronous stretch as the entry's writes; the backend takes the values when it seals a batch.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { ConfState } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';
import type { Backend, BackendReader } from '../backend/index.ts';
import { readConsistentIndex, writeConfState, writeConsistentIndex } from './meta.ts';

export class ConsistentIndex {
  #index: LogIndex;
  #term: Term;
  #confState: ConfState | null = null;

  /** Starts from what the file says. */
  constructor(reader: BackendReader) {
    const { index, term } = readConsistentIndex(reader);
    this.#index = index;
    this.#term = term;
  }

  get index(): LogIndex {
    return this.#index;
  }

  get term(): Term {
    return this.#term;
  }

  /** Everything up to this entry has been written to the backend. The index never decreases. */
  set(index: LogIndex, term: Term): void {
    assert(index >= this.#index, 'consistent index: entries are applied in order');
    this.#index = index;
    this.#term = term;
  }

  /** To be written with the next batch. */
  setConfState(state: ConfState): void {
    this.#confState = state;
  }

  /** Has `backend` commit these values with every batch from now on. */
  attach(backend: Backend): void {
    backend.setPreCommitHook((batch) => {
      writeConsistentIndex(batch, { index: this.#index, term: this.#term });
      if (this.#confState !== null) writeConfState(batch, this.#confState);
      this.#confState = null;
    });
  }
}
