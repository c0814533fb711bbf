/**
 * Proposals on the leader. Configuration changes among them are checked here, since what is committed can't be
 * refused any more: one that can't be applied becomes an empty entry.
 */
import type { LogIndex } from '@etcd/api';
import { type Entry, EntryType, type Message } from '@etcd/api/raftpb';
import { EMPTY_BYTES } from '@etcd/base';
import { ConfChangeError } from './confchange/changer.ts';
import {
  type AnyConfChange,
  applyConfChange,
  decodeConfChangeEntry,
  toConfChangeV2,
} from './confchange/conf-change.ts';
import { describeConfChange } from './describe.ts';
import { NONE } from './message.ts';
import type { Raft } from './raft.ts';
import { appendEntries, broadcastAppend } from './replication.ts';
import { StepError } from './step-error.ts';
import { describeConfig } from './tracker/config.ts';

export function stepLeaderPropose(raft: Raft, message: Message): StepError | null {
  const { entries } = message;
  // A leader that was removed goes on until it steps down, but takes nothing new.
  if (raft.tracker.get(raft.id) === undefined) return StepError.ProposalDropped;
  if (raft.leadTransferee !== NONE) {
    raft.logger.debug(
      `${raft.name} [term ${raft.term}] transfer leadership to ${raft.leadTransferee.toString(16)} is in progress; dropping proposal`,
    );
    return StepError.ProposalDropped;
  }
  const { pendingConfIndex } = raft;
  if (!admitConfChanges(raft, entries) || !appendEntries(raft, entries)) {
    // No change is under way that was not before: else the next one, or this one when it is proposed again, would be refused.
    raft.pendingConfIndex = pendingConfIndex;
    return StepError.ProposalDropped;
  }
  broadcastAppend(raft);
  return null;
}

function admitConfChanges(raft: Raft, entries: readonly Entry[]): boolean {
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.type === EntryType.EntryNormal) continue;
    if (!admitConfChange(raft, entry, raft.log.lastIndex() + 1 + i)) return false;
  }
  return true;
}

/**
 * Checks the configuration change in `entry`, which will be at `index`. One that must not be is replaced by an empty
 * entry; false if the entry can't even be read.
 */
function admitConfChange(raft: Raft, entry: Entry, index: LogIndex): boolean {
  const change = tryDecode(raft, entry);
  if (change === null) return false;
  const refusal = raft.disableConfChangeValidation ? null : refusalOf(raft, change);
  if (refusal === null) {
    raft.pendingConfIndex = index;
    return true;
  }
  raft.logger.info(
    `${raft.name} ignoring conf change ${describeConfChange(change)} at config ${describeConfig(raft.tracker.config)}: ${refusal}`,
  );
  entry.type = EntryType.EntryNormal;
  entry.data = EMPTY_BYTES;
  return true;
}

function tryDecode(raft: Raft, entry: Entry): AnyConfChange | null {
  try {
    const change = decodeConfChangeEntry(entry);
    if (change === null) raft.logger.warn(`${raft.name} dropping proposal of unknown type ${entry.type}`);
    return change;
  } catch (error) {
    raft.logger.warn(`${raft.name} dropping malformed conf change: ${String(error)}`);
    return null;
  }
}

/** Why a change must not be proposed now, or null. */
function refusalOf(raft: Raft, change: AnyConfChange): string | null {
  const { config } = raft.tracker;
  const { applied } = raft.log;
  const v2 = toConfChangeV2(change);
  if (raft.pendingConfIndex > applied) {
    return `possible unapplied conf change at index ${raft.pendingConfIndex} (applied to ${applied})`;
  }
  const wantsLeaveJoint = v2.changes.length === 0;
  if (config.voters.isJoint && !wantsLeaveJoint) return 'must transition out of joint config first';
  if (!config.voters.isJoint && wantsLeaveJoint) return 'not in joint state; refusing empty conf change';
  // No change is under way, so this is the configuration that it would be applied to. Every member would fail on
  // one that is against the rules; here it costs nothing.
  try {
    applyConfChange(config, v2);
    return null;
  } catch (error) {
    if (!(error instanceof ConfChangeError)) throw error;
    return error.message;
  }
}
