/** Codecs of the `meta` bucket: how far raft's log has been applied, the raft configuration, and compactions. */
import type { LogIndex, Revision, Term } from '@etcd/api';
import { ConfState } from '@etcd/api/raftpb';
import { utf8FromBytes, utf8ToBytes } from '@etcd/base';
import {
  type BackendReader,
  type BackendWriter,
  isRevision,
  mainOf,
  revisionBytes,
} from '../backend/index.ts';
import {
  META,
  META_CONF_STATE,
  META_CONSISTENT_INDEX,
  META_FINISHED_COMPACT,
  META_SCHEDULED_COMPACT,
  META_TERM,
} from './buckets.ts';
import { booleanOf, isRecord, parseGoJson, uint64sOf } from './json.ts';
import { corrupt } from './schema-error.ts';
import { uint64Bytes, uint64FromBytes } from './words.ts';

type Putter = Pick<BackendWriter, 'put'>;

/** Index and term of the last entry whose effects are in the file; both 0 in a new one, term 0 in one of 3.4. */
export interface AppliedPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

export function createMetaBucket(writer: BackendWriter): void {
  writer.createBucket(META);
}

export function readConsistentIndex(reader: BackendReader): AppliedPosition {
  return {
    index: readCounter(reader, META_CONSISTENT_INDEX, 'consistent_index'),
    term: readCounter(reader, META_TERM, 'term'),
  };
}

/** Index 0 is never written: it would mean that nothing was loaded yet. Nor is term 0. */
export function writeConsistentIndex(writer: Putter, { index, term }: AppliedPosition): void {
  if (index === 0) return;
  writer.put(META, META_CONSISTENT_INDEX, uint64Bytes(index));
  if (term > 0) writer.put(META, META_TERM, uint64Bytes(term));
}

/** For a database that begins a new log: it has applied nothing of it, and nobody votes. */
export function forgetPosition(writer: Pick<BackendWriter, 'delete'>): void {
  for (const key of [META_CONSISTENT_INDEX, META_TERM, META_CONF_STATE]) writer.delete(META, key);
}

/** The revision of the last compaction that was begun; null when there was none. */
export function readScheduledCompact(reader: BackendReader): number | null {
  return readRevision(reader, META_SCHEDULED_COMPACT, 'scheduledCompactRev');
}

export function writeScheduledCompact(writer: Putter, rev: Revision): void {
  writer.put(META, META_SCHEDULED_COMPACT, revisionBytes(rev));
}

/** The revision of the last compaction that has removed all that it should; null when there was none. */
export function readFinishedCompact(reader: BackendReader): number | null {
  return readRevision(reader, META_FINISHED_COMPACT, 'finishedCompactRev');
}

export function writeFinishedCompact(writer: Putter, rev: Revision): void {
  writer.put(META, META_FINISHED_COMPACT, revisionBytes(rev));
}

/** null in a file of 3.4, or before the first configuration change of a newer one. */
export function readConfState(reader: BackendReader): ConfState | null {
  const value = reader.get(META, META_CONF_STATE);
  if (value === null) return null;
  try {
    const json = parseGoJson(utf8FromBytes(value));
    if (!isRecord(json)) throw new TypeError('not an object');
    return new ConfState({
      voters: uint64sOf(json['voters']),
      learners: uint64sOf(json['learners']),
      votersOutgoing: uint64sOf(json['voters_outgoing']),
      learnersNext: uint64sOf(json['learners_next']),
      autoLeave: booleanOf(json['auto_leave']),
    });
  } catch (error) {
    throw corrupt('meta', 'confState', 'not a raft configuration', error);
  }
}

export function writeConfState(writer: Putter, state: ConfState): void {
  const lists: readonly (readonly [string, readonly bigint[]])[] = [
    ['voters', state.voters],
    ['learners', state.learners],
    ['voters_outgoing', state.votersOutgoing],
    ['learners_next', state.learnersNext],
  ];
  const fields = lists
    .filter(([, ids]) => ids.length > 0)
    .map(([name, ids]) => `"${name}":[${ids.join(',')}]`);
  fields.push(`"auto_leave":${state.autoLeave}`);
  writer.put(META, META_CONF_STATE, utf8ToBytes(`{${fields.join(',')}}`));
}

function readCounter(reader: BackendReader, key: Uint8Array, name: string): number {
  const value = reader.get(META, key);
  if (value === null) return 0;
  const counter = uint64FromBytes(value);
  if (counter === null) throw corrupt('meta', name, 'not a 64-bit counter');
  return counter;
}

function readRevision(reader: BackendReader, key: Uint8Array, name: string): number | null {
  const value = reader.get(META, key);
  if (value === null) return null;
  if (!isRevision(value, 0, value.length)) throw corrupt('meta', name, 'not a revision');
  return mainOf(value, 0);
}
