/**
 * Entries of a log for a member of another cluster. What tells who belonged to the old one is replaced by an entry that does nothing,
 * with the same index and term: all others stay where they are, and so does what the database says about them.
 */
import { DecodeError } from '@etcd/api';
import {
  decodeInternalRaftRequest,
  decodeRequest,
  type InternalRaftRequest,
  type Request,
} from '@etcd/api/etcdserverpb';
import { Entry, EntryType } from '@etcd/api/raftpb';

/** How a member of etcd up to 3.5 publishes its name. */
const MEMBER_ATTRIBUTES = /^\/0\/members\/[0-9a-fA-F]{1,16}\/attributes/;

/** `withKeys`: requests of the v3 API stay. */
export function translateEntry(entry: Entry, withKeys: boolean): Entry {
  return staysAsItIs(entry, withKeys) ? entry : new Entry({ term: entry.term, index: entry.index });
}

function staysAsItIs({ type, data }: Entry, withKeys: boolean): boolean {
  if (type !== EntryType.EntryNormal) return false;
  const { envelope, old } = requestsOf(data);
  if (old !== null && old.method === 'PUT' && MEMBER_ATTRIBUTES.test(old.path)) return false;
  if (envelope?.clusterMemberAttrSet != null) return false;
  return withKeys || envelope?.header == null;
}

/** A request of the v2 API stands by itself, or in an envelope. */
function requestsOf(data: Uint8Array): { envelope: InternalRaftRequest | null; old: Request | null } {
  try {
    const envelope = decodeInternalRaftRequest(data);
    return { envelope, old: envelope.v2 };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { envelope: null, old: decodeRequest(data) };
  }
}
