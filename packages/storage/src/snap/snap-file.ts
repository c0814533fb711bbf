/**
 * The content of a `.snap` file: a raft snapshot, whose data is the v2 store's JSON (`membership/v2-store.ts`), in an
 * envelope with its CRC-32C. And the names: `<term>-<index>.snap`, `<index>.snap.db`, sixteen hex digits each.
 */
import { DecodeError, type LogIndex, type Term } from '@etcd/api';
import { decodeSnapshot, encodeSnapshot, type Snapshot } from '@etcd/api/raftpb';
import {
  decodeSnapshot as decodeEnvelope,
  Snapshot as Envelope,
  encodeSnapshot as encodeEnvelope,
} from '@etcd/api/snappb';
import { crc32c } from '@etcd/base';
import { SnapError } from './snap-error.ts';

const SNAP_SUFFIX = '.snap';
const DB_SUFFIX = '.snap.db';

export function snapName(term: Term, index: LogIndex): string {
  return `${hex16(term)}-${hex16(index)}${SNAP_SUFFIX}`;
}

export function snapDbName(index: LogIndex): string {
  return hex16(index) + DB_SUFFIX;
}

export function isSnapName(name: string): boolean {
  return name.endsWith(SNAP_SUFFIX);
}

/** The raft index in the name of a received database; null if it is none. */
export function parseSnapDbName(name: string): number | null {
  if (!/^[0-9a-f]{1,16}\.snap\.db$/.test(name)) return null;
  const index = Number.parseInt(name, 16);
  return Number.isSafeInteger(index) ? index : null;
}

export function encodeSnapFile(snapshot: Snapshot): Uint8Array {
  const data = encodeSnapshot(snapshot);
  return encodeEnvelope(new Envelope({ crc: crc32c(data), data }));
}

/** Throws {@link SnapError}. The snapshot's data is a view of `bytes`. */
export function decodeSnapFile(bytes: Uint8Array, path: string): Snapshot {
  if (bytes.length === 0) throw new SnapError('empty', path, 'empty snapshot');
  try {
    const envelope = decodeEnvelope(bytes);
    if (envelope.data.length === 0) throw new SnapError('empty', path, 'empty snapshot');
    const crc = crc32c(envelope.data);
    if (crc !== envelope.crc) {
      const problem = `crc mismatch: expected ${envelope.crc.toString(16)}, computed ${crc.toString(16)}`;
      throw new SnapError('crc', path, problem);
    }
    return decodeSnapshot(envelope.data);
  } catch (error) {
    if (error instanceof DecodeError) throw new SnapError('malformed', path, error.message);
    throw error;
  }
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, '0');
}
