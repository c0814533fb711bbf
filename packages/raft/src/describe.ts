/**
 * Human-readable forms of what raft handles, for logs, scripts and debugging. Their wording is a contract: it is that
 * of the public etcd raft library, whose interaction scripts run against this package.
 */
import type { MemberId } from '@etcd/api';
import {
  type ConfChangeV2,
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  type Snapshot,
} from '@etcd/api/raftpb';
import {
  type AnyConfChange,
  decodeConfChangeEntry,
  formatChanges,
  toConfChangeV2,
} from './confchange/conf-change.ts';
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, NONE } from './message.ts';
import { confChangeTransitionName, confChangeTypeName, entryTypeName, messageTypeName } from './names.ts';
import { quoteBytes } from './quote.ts';
import { raftStateName } from './raft-state.ts';
import type { Ready, SoftState } from './ready.ts';

/** How an application shows the data of its entries. */
export type EntryFormatter = (data: Uint8Array) => string;

export function describeHardState(hardState: HardState): string {
  const vote = hardState.vote === NONE ? '' : ` Vote:${hardState.vote}`;
  return `Term:${hardState.term}${vote} Commit:${hardState.commit}`;
}

export function describeSoftState(softState: SoftState): string {
  return `Lead:${softState.lead} State:${raftStateName(softState.raftState)}`;
}

export function describeConfState(state: ConfState): string {
  return (
    `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} ` +
    `Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`
  );
}

export function describeSnapshot(snapshot: Snapshot): string {
  const { index, term, confState } = snapshot.metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

export function describeEntry(entry: Entry, format: EntryFormatter = quoteBytes): string {
  const data = describeEntryData(entry, format);
  return `${entry.term}/${entry.index} ${entryTypeName(entry.type)}${data === '' ? '' : ` ${data}`}`;
}

/** One line per entry. */
export function describeEntries(entries: readonly Entry[], format: EntryFormatter = quoteBytes): string {
  return entries.map((entry) => `${describeEntry(entry, format)}\n`).join('');
}

export function describeConfChange(change: AnyConfChange): string {
  const v2: ConfChangeV2 = toConfChangeV2(change);
  const changes = v2.changes.map(
    ({ type, nodeId }) => ` changes:{type:${confChangeTypeName(type)} node_id:${nodeId}}`,
  );
  const context = v2.context.length > 0 ? ` context:${quoteBytes(v2.context)}` : '';
  return `transition:${confChangeTransitionName(v2.transition)}${changes.join('')}${context}`;
}

export function describeMessage(message: Message, format: EntryFormatter = quoteBytes): string {
  return describeIndented('', message, format);
}

export function describeReady(ready: Ready, format: EntryFormatter = quoteBytes): string {
  let text = '';
  if (ready.softState !== null) text += `${describeSoftState(ready.softState)}\n`;
  if (ready.hardState !== null) text += `HardState ${describeHardState(ready.hardState)}\n`;
  if (ready.readStates.length > 0) {
    const states = ready.readStates.map(
      ({ index, requestContext }) => `{${index} [${[...requestContext].join(' ')}]}`,
    );
    text += `ReadStates [${states.join(' ')}]\n`;
  }
  if (ready.entries.length > 0) text += `Entries:\n${describeEntries(ready.entries, format)}`;
  if (ready.snapshot !== null) text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  if (ready.committedEntries.length > 0) {
    text += `CommittedEntries:\n${describeEntries(ready.committedEntries, format)}`;
  }
  if (ready.messages.length > 0) {
    text += 'Messages:\n';
    for (const message of ready.messages) text += `${describeMessage(message, format)}\n`;
  }
  return text === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

function describeIndented(indent: string, m: Message, format: EntryFormatter): string {
  let text = `${indent}${describeTarget(m.from)}->${describeTarget(m.to)} ${messageTypeName(m.type)}`;
  text += ` Term:${m.term} Log:${m.logTerm}/${m.index}`;
  if (m.reject) text += ` Rejected (Hint: ${m.rejectHint})`;
  if (m.commit !== 0) text += ` Commit:${m.commit}`;
  if (m.vote !== NONE) text += ` Vote:${m.vote}`;
  if (m.entries.length === 1) {
    text += ` Entries:[${describeEntry(m.entries[0]!, format)}]`;
  } else if (m.entries.length > 1) {
    const entries = m.entries.map((entry) => `\n${indent}  ${describeEntry(entry, format)}`);
    text += ` Entries:[${entries.join('')}\n${indent}]`;
  }
  if (m.snapshot !== null && m.snapshot.metadata.index > 0) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(m.snapshot)}`;
  }
  if (m.responses.length > 0) {
    const responses = m.responses.map((response) => `\n${describeIndented(`${indent}  `, response, format)}`);
    text += ` Responses:[${responses.join('')}\n${indent}]`;
  }
  return text;
}

function describeTarget(id: MemberId): string {
  switch (id) {
    case NONE:
      return 'None';
    case LOCAL_APPEND_THREAD:
      return 'AppendThread';
    case LOCAL_APPLY_THREAD:
      return 'ApplyThread';
    default:
      return id.toString(16);
  }
}

function describeEntryData(entry: Entry, format: EntryFormatter): string {
  if (entry.type === EntryType.EntryNormal) return format(entry.data);
  try {
    const change = decodeConfChangeEntry(entry);
    return change === null ? '' : formatChanges(toConfChangeV2(change).changes);
  } catch (error) {
    return String(error);
  }
}

function list(ids: readonly MemberId[]): string {
  return `[${ids.join(' ')}]`;
}
