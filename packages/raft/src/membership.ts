/**
 * The configuration in force on this member: applied changes, snapshots, and what a leader does when it changes.
 * Also what follows from entries being applied, since leaving a joint configuration does.
 */
import type { LogIndex } from '@etcd/api';
import { type ConfChangeV2, type ConfState, MessageType, type Snapshot } from '@etcd/api/raftpb';
import type { ConfChangeResult } from './confchange/changer.ts';
import { applyConfChange, confChangeEntry } from './confchange/conf-change.ts';
import { confStateOf } from './confchange/restore.ts';
import { NONE, newMessage } from './message.ts';
import { stepLeaderPropose } from './proposal.ts';
import type { Raft } from './raft.ts';
import { RaftState } from './raft-state.ts';
import { releasePendingReads } from './read-index.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.ts';
import { stepErrorText } from './step-error.ts';
import { describeConfig } from './tracker/config.ts';

/** Puts a configuration in force and acts on it; returns it as it is stored. */
export function switchConfig(raft: Raft, { config, added }: ConfChangeResult): ConfState {
  raft.tracker.switchConfig(config, added, raft.log.lastIndex());
  raft.logger.info(`${raft.name} switched to configuration ${describeConfig(config)}`);
  const own = raft.tracker.get(raft.id);
  raft.isLearner = own?.isLearner ?? false;
  const confState = confStateOf(config);
  if (raft.state !== RaftState.Leader) return confState;
  if (own === undefined || own.isLearner) {
    // The quorum of others goes on without this member; it may still see the change through before it steps down.
    if (raft.stepDownOnRemoval) raft.becomeFollower(raft.term, NONE);
    return confState;
  }
  if (maybeCommit(raft)) {
    // Fewer voters may need less: tell everybody.
    releasePendingReads(raft);
    broadcastAppend(raft);
  } else {
    // New members need not wait for the next heartbeat to be probed.
    for (const progress of raft.tracker.all) {
      if (progress.id !== raft.id) maybeSendAppend(raft, progress, false);
    }
  }
  if (raft.leadTransferee !== NONE && !config.voters.has(raft.leadTransferee)) raft.abortLeaderTransfer();
  return confState;
}

/**
 * The application applies a committed change; returns the configuration as of that entry. The change takes effect
 * unless a snapshot is waiting: then it is older than that, which has brought all that the change does.
 */
export function applyCommittedChange(raft: Raft, change: ConfChangeV2): ConfState {
  if (raft.configBeforeSnapshot === null)
    return switchConfig(raft, applyConfChange(raft.tracker.config, change));
  raft.configBeforeSnapshot = applyConfChange(raft.configBeforeSnapshot, change).config;
  return confStateOf(raft.configBeforeSnapshot);
}

/** The state machine has applied the log up to `index`; `sizeBytes` were handed out for that. */
export function appliedTo(raft: Raft, index: LogIndex, sizeBytes: number): void {
  const applied = Math.max(index, raft.log.applied);
  raft.log.appliedTo(applied, sizeBytes);
  if (raft.tracker.config.autoLeave && applied >= raft.pendingConfIndex && raft.state === RaftState.Leader) {
    proposeLeaveJoint(raft);
  }
}

/** The snapshot is in storage and in the state machine. */
export function appliedSnapshot(raft: Raft, snapshot: Snapshot): void {
  const { index } = snapshot.metadata;
  raft.log.unstable.stableSnapTo(index);
  if (raft.log.unstable.snapshot === null) raft.configBeforeSnapshot = null;
  appliedTo(raft, index, 0);
}

/** Tried again with every applied entry, should it be dropped because leadership is being handed over. */
function proposeLeaveJoint(raft: Raft): void {
  const message = newMessage(MessageType.MsgProp, raft.id);
  message.entries = [confChangeEntry(null)];
  const config = describeConfig(raft.tracker.config);
  const error = stepLeaderPropose(raft, message);
  if (error === null) {
    raft.logger.info(`initiating automatic transition out of joint configuration ${config}`);
  } else {
    raft.logger.debug(
      `not initiating automatic transition out of joint configuration ${config}: ${stepErrorText(error)}`,
    );
  }
}
