/** Finds requests of the v2 API in a log: etcd 3.7 does not read them any more, not even at its start. */
import { DecodeError } from '@etcd/api';
import { decodeInternalRaftRequest } from '@etcd/api/etcdserverpb';
import { EntryType } from '@etcd/api/raftpb';
import type { MemoryStorage } from '@etcd/raft';
import { V2_FIELD } from './entry-kinds.ts';
import { RequestEnvelope } from './raft-request.ts';

/** Index of the last one in the log; 0 when there is none. */
export function lastV2Index(log: Pick<MemoryStorage, 'entries' | 'firstIndex' | 'lastIndex'>): number {
  const entries = log.entries(log.firstIndex(), log.lastIndex() + 1, Number.POSITIVE_INFINITY) ?? [];
  const envelope = new RequestEnvelope();
  const found = entries.findLast(
    ({ type, data }) => type === EntryType.EntryNormal && data.length > 0 && isV2(envelope, data),
  );
  return found?.index ?? 0;
}

function isV2(envelope: RequestEnvelope, data: Uint8Array): boolean {
  if (envelope.parse(data)) return envelope.field === V2_FIELD;
  try {
    return decodeInternalRaftRequest(data).v2 !== null;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // A bare request is no envelope.
    return true;
  }
}
