/**
 * What comes from other members, looked at before raft takes it. What is committed is applied by all, or ends them: so an entry that
 * nobody could apply must be refused while it can be, as a proposal that was passed on or as a part of a leader's log; and so must
 * a snapshot that nobody could install.
 */
import { DecodeError } from '@etcd/api';
import {
  decodeDeleteRangeRequest,
  decodeInternalRaftRequest,
  decodePutRequest,
  decodeRequest,
  decodeTxnRequest,
  type InternalRaftRequest,
  type Request,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { decodeConfChange, type Entry, EntryType, type Message, MessageType } from '@etcd/api/raftpb';
import {
  checkConfChange,
  checkV2Request,
  decodeV2Store,
  MembershipError,
  parseVersion,
} from '@etcd/storage/membership';
import { KINDS, RequestEnvelope } from '../request/index.ts';

export class MessageCheck {
  readonly #envelope = new RequestEnvelope();

  /** What is wrong with what `message` brings; null if it can be applied. */
  problemOf({ type, entries, snapshot }: Message): string | null {
    try {
      switch (type) {
        case MessageType.MsgApp:
        case MessageType.MsgProp:
          return this.#entriesProblem(entries);
        case MessageType.MsgSnap:
          // The membership once more, in the form that etcd up to 3.5 reads; a newer one may leave it out.
          if (snapshot !== null && snapshot.data.length > 0) decodeV2Store(snapshot.data);
          return null;
        default:
          return null;
      }
    } catch (error) {
      if (error instanceof DecodeError || error instanceof MembershipError) return error.message;
      throw error;
    }
  }

  #entriesProblem(entries: readonly Entry[]): string | null {
    for (const entry of entries) {
      const problem = this.#entryProblem(entry);
      if (problem !== null) return problem;
    }
    return null;
  }

  #entryProblem({ type, data }: Entry): string | null {
    if (type === EntryType.EntryNormal) return data.length === 0 ? null : this.#requestProblem(data);
    // No etcd proposes changes of the newer form.
    if (type !== EntryType.EntryConfChange) return `an entry of type ${type}`;
    checkConfChange(decodeConfChange(data));
    return null;
  }

  /** Hot for what clients write. */
  #requestProblem(data: Uint8Array): string | null {
    const envelope = this.#envelope;
    if (!envelope.parse(data)) return unusualProblem(data);
    const { field, start, end } = envelope;
    switch (field) {
      case KINDS.put.field:
        decodePutRequest(data, start, end);
        return null;
      case KINDS.deleteRange.field:
        decodeDeleteRangeRequest(data, start, end);
        return null;
      case KINDS.txn.field:
        return txnProblem(decodeTxnRequest(data, start, end));
      default:
        return internalProblem(decodeInternalRaftRequest(data));
    }
  }
}

/** Of an envelope in another form, or a bare request of the v2 API. */
function unusualProblem(data: Uint8Array): string | null {
  let request: InternalRaftRequest;
  try {
    request = decodeInternalRaftRequest(data);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return v2Problem(decodeRequest(data));
  }
  return internalProblem(request);
}

function internalProblem(request: InternalRaftRequest): string | null {
  const { v2, txn, clusterVersionSet, downgradeInfoSet } = request;
  if (v2 !== null) return v2Problem(v2);
  if (txn !== null) return txnProblem(txn);
  if (clusterVersionSet !== null) return versionProblem(clusterVersionSet.ver);
  if (downgradeInfoSet?.enabled === true) return versionProblem(downgradeInfoSet.ver);
  return hasRequest(request) ? null : 'an entry without a request';
}

/** Whether there is any request in the envelope. */
function hasRequest(request: InternalRaftRequest): boolean {
  const { header, unknown, ...kinds } = request;
  return Object.values(kinds).some((kind) => typeof kind === 'object' && kind !== null);
}

function v2Problem(request: Request): null {
  checkV2Request(request);
  return null;
}

function txnProblem({ success, failure }: TxnRequest): string | null {
  for (const ops of [success, failure]) {
    for (const { requestRange, requestPut, requestDeleteRange, requestTxn } of ops) {
      if (requestTxn !== null) {
        const problem = txnProblem(requestTxn);
        if (problem !== null) return problem;
      } else if (requestRange === null && requestPut === null && requestDeleteRange === null) {
        return 'an operation without a request';
      }
    }
  }
  return null;
}

function versionProblem(text: string): string | null {
  return parseVersion(text) === null ? `not a version: ${JSON.stringify(text)}` : null;
}
