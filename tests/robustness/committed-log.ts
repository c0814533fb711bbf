/**
 * What a cluster has agreed on, from the logs that its members left: the entry at every committed index, read record by record and not through the
 * code that wrote them. That logs differ in what is committed is the worst that can be found.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeConfChange,
  decodeEntry,
  decodeHardState,
  type Entry,
  EntryType,
  encodeConfChange,
} from '@etcd/api/raftpb';
import { decodeRecord, decodeSnapshot } from '@etcd/api/walpb';
import { walFrames } from '../interop/durability/wal-frames.ts';

/** Types of records. */
const ENTRY = 2;
const STATE = 3;
const SNAPSHOT = 5;

export interface CommittedLog {
  /** From index 1 on, up to the first index of which no log has the entry. */
  readonly entries: readonly Entry[];
  /** Whether all that any member knew to be committed is there. */
  readonly isWhole: boolean;
  /** Where logs disagree. */
  readonly conflicts: readonly string[];
}

/** @param directories of data, whose logs were kept from the first entry on, by the names of their members. */
export function readCommittedLog(directories: ReadonlyMap<string, string>): CommittedLog {
  const agreed = new Map<number, { readonly entry: Entry; readonly of: string }>();
  const conflicts: string[] = [];
  let last = 0;
  for (const [name, directory] of directories) {
    const { entries, commit } = readOneLog(walFiles(directory));
    last = Math.max(last, commit);
    for (const [index, entry] of entries) {
      const known = agreed.get(index);
      if (known === undefined) agreed.set(index, { entry, of: name });
      else if (!isSame(known.entry, entry)) {
        conflicts.push(
          `entry ${index} has term ${known.entry.term} at ${known.of} and ${entry.term} at ${name}`,
        );
      }
    }
  }
  const entries: Entry[] = [];
  for (let found = agreed.get(1); found !== undefined; found = agreed.get(entries.length + 1)) {
    entries.push(found.entry);
  }
  return { entries, isWhole: entries.length >= last, conflicts };
}

/** The segments of a data directory's log, in order. */
function walFiles(directory: string): Buffer[] {
  const folder = join(directory, 'member', 'wal');
  const names = readdirSync(folder).filter((name) => name.endsWith('.wal'));
  return names.sort().map((name) => readFileSync(join(folder, name)));
}

/** The entries of one log that were committed, and how far it knew of that. */
export function readOneLog(segments: readonly Buffer[]): { entries: Map<number, Entry>; commit: number } {
  const entries = new Map<number, Entry>();
  let last = 0;
  let commit = 0;
  const dropBehind = (index: number): void => {
    for (; last > index; last--) entries.delete(last);
  };
  for (const segment of segments) {
    for (const { offset, recordBytes } of walFrames(segment)) {
      const { type, data } = decodeRecord(segment, offset + 8, offset + 8 + recordBytes);
      if (type === ENTRY) {
        const entry = decodeEntry(data!);
        dropBehind(entry.index - 1);
        entries.set(entry.index, entry);
        last = entry.index;
      } else if (type === STATE) commit = Math.max(commit, decodeHardState(data!).commit);
      else if (type === SNAPSHOT && decodeSnapshot(data!).index > last) {
        // The leader's database came in the place of entries, some of which may never have been committed.
        dropBehind(commit);
        last = decodeSnapshot(data!).index;
        commit = Math.max(commit, last);
      }
    }
  }
  dropBehind(commit);
  return { entries, commit };
}

/** The entries of the founding are written by each member itself, and releases leave out other fields: what they say counts. */
function isSame(a: Entry, b: Entry): boolean {
  if (a.term !== b.term || a.type !== b.type) return false;
  return Buffer.compare(meaningOf(a), meaningOf(b)) === 0;
}

function meaningOf({ type, data }: Entry): Uint8Array {
  return type === EntryType.EntryConfChange ? encodeConfChange(decodeConfChange(data)) : data;
}
