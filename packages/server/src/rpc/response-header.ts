/**
 * `ResponseHeader`, written into answers in place. The two ids never change while a member runs, so their bytes are
 * encoded once.
 */
import type { ClusterId, MemberId, Revision, Term } from '@etcd/api';
import { encodeResponseHeader, ResponseHeader } from '@etcd/api/etcdserverpb';
import { sizeInt64, sizeUint64, writeInt64, writeUint64 } from '@etcd/api/wire';

const REVISION_TAG = (3 << 3) | 0;
const RAFT_TERM_TAG = (4 << 3) | 0;
/** Of the header in a response: field 1 of every response. */
const HEADER_TAG = (1 << 3) | 2;

/** Writes one kind of header. */
export interface HeaderWriter {
  /** Bytes of the field in a response, tag and length included. */
  size(revision: Revision): number;
  /** Writes the field; returns the position behind. */
  write(target: Uint8Array, position: number, revision: Revision): number;
}

/** The header of a whole response: who answers, at which revision, in which term. */
export class ResponseHeaderWriter implements HeaderWriter {
  readonly clusterId: ClusterId;
  readonly memberId: MemberId;
  readonly #ids: Uint8Array;
  readonly #term: () => Term;

  constructor(clusterId: ClusterId, memberId: MemberId, term: () => number) {
    this.clusterId = clusterId;
    this.memberId = memberId;
    this.#ids = encodeResponseHeader(new ResponseHeader({ clusterId, memberId }));
    this.#term = term;
  }

  /** As a message, for answers that are encoded by the codec. */
  header(revision: Revision): ResponseHeader {
    const { clusterId, memberId } = this;
    return new ResponseHeader({ clusterId, memberId, revision, raftTerm: this.#term() });
  }

  size(revision: Revision): number {
    return 2 + this.#contentSize(revision);
  }

  write(target: Uint8Array, position: number, revision: Revision): number {
    target[position++] = HEADER_TAG;
    // Never 128 bytes or more: four varints.
    target[position++] = this.#contentSize(revision);
    const ids = this.#ids;
    for (let i = 0; i < ids.length; i++) target[position++] = ids[i]!;
    position = writeRevision(target, position, revision);
    const term = this.#term();
    if (term === 0) return position;
    target[position++] = RAFT_TERM_TAG;
    return writeUint64(target, position, term);
  }

  #contentSize(revision: Revision): number {
    const term = this.#term();
    return this.#ids.length + revisionSize(revision) + (term === 0 ? 0 : 1 + sizeUint64(term));
  }
}

/** The header of an answer inside a transaction's: only the revision. */
export const INNER_HEADER: HeaderWriter = {
  size: (revision) => 2 + revisionSize(revision),
  write(target, position, revision) {
    target[position++] = HEADER_TAG;
    target[position++] = revisionSize(revision);
    return writeRevision(target, position, revision);
  },
};

/** The header of a nested transaction's answer: there, and empty. */
export const EMPTY_HEADER: HeaderWriter = {
  size: () => 2,
  write(target, position) {
    target[position++] = HEADER_TAG;
    target[position++] = 0;
    return position;
  },
};

function revisionSize(revision: Revision): number {
  return revision === 0 ? 0 : 1 + sizeInt64(revision);
}

function writeRevision(target: Uint8Array, position: number, revision: Revision): number {
  if (revision === 0) return position;
  target[position++] = REVISION_TAG;
  return writeInt64(target, position, revision);
}
