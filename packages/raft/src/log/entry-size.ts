/**
 * How large entries are. Two measures: the payload alone, which bounds what a leader accepts and keeps in flight, and
 * the encoded size, which bounds what is read, sent or applied at once.
 */
import { type Entry, sizeEntry } from '@etcd/api/raftpb';

/** The encoded size. */
export function entriesSizeBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0;
  for (let i = 0; i < entries.length; i++) sizeBytes += sizeEntry(entries[i]!);
  return sizeBytes;
}

/** An empty entry, as a new leader appends it, has size 0: it always fits. */
export function payloadsSizeBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0;
  for (let i = 0; i < entries.length; i++) sizeBytes += entries[i]!.data.length;
  return sizeBytes;
}
