/**
 * Leaders: they take proposals and reads, and keep track of every follower by its responses.
 */
import type { LogIndex } from '@etcd/api';
import { type Message, MessageType } from '@etcd/api/raftpb';
import { isLossReport, NONE } from './message.ts';
import { stepLeaderPropose } from './proposal.ts';
import type { Raft } from './raft.ts';
import { confirmReads, releasePendingReads, stepLeaderReadIndex } from './read-index.ts';
import { broadcastAppend, maybeCommit, sendAllAppends, sendAppend, sendTimeoutNow } from './replication.ts';
import type { StepError } from './step-error.ts';
import { type Progress, ProgressState } from './tracker/progress.ts';

export function stepLeader(raft: Raft, message: Message): StepError | null {
  switch (message.type) {
    case MessageType.MsgProp:
      return stepLeaderPropose(raft, message);
    case MessageType.MsgReadIndex:
      stepLeaderReadIndex(raft, message);
      return null;
    case MessageType.MsgAppResp:
    case MessageType.MsgHeartbeatResp:
    case MessageType.MsgTransferLeader:
      stepLeaderAbout(raft, message);
      return null;
    default:
      return null;
  }
}

/** Messages that are about the member that they come from. */
function stepLeaderAbout(raft: Raft, message: Message): void {
  const progress = raft.tracker.get(message.from);
  if (progress === undefined) {
    raft.logger.debug(`${raft.name} no progress available for ${message.from.toString(16)}`);
    return;
  }
  switch (message.type) {
    case MessageType.MsgAppResp:
      progress.recentActive = true;
      if (isLossReport(message)) stepLeaderLoss(raft, progress, message);
      else if (message.reject) stepLeaderAppendRejection(raft, progress, message);
      else stepLeaderAppendResponse(raft, progress, message.index);
      return;
    case MessageType.MsgHeartbeatResp:
      return stepLeaderHeartbeatResponse(raft, progress, message);
    default:
      return stepLeaderTransferLeader(raft, progress);
  }
}

/** A follower (or the leader itself) has the log up to `index` durably. */
function stepLeaderAppendResponse(raft: Raft, progress: Progress, index: LogIndex): void {
  if (index > raft.log.lastIndex()) {
    raft.logger.error(
      `${raft.name} refused a MsgAppResp from ${progress.id.toString(16)}: index ${index} is beyond the log, which ends at ${raft.log.lastIndex()}`,
    );
    return;
  }
  const advanced = progress.maybeUpdate(index);
  // An old acknowledgement is news after all if the follower is being probed, as after it was unreachable.
  if (!advanced && !(progress.match === index && progress.state === ProgressState.Probe)) return;
  resumeFlow(raft, progress, index);

  const isSelf = progress.id === raft.id;
  if (maybeCommit(raft)) {
    releasePendingReads(raft);
    broadcastAppend(raft);
  } else if (!isSelf && progress.canBumpCommit(raft.log.committed)) {
    // It may not know the commit index; with the next heartbeat it would, but later.
    sendAppend(raft, progress);
  }
  // The window may have opened by more than one message.
  if (!isSelf) sendAllAppends(raft, progress);
  if (progress.id === raft.leadTransferee && progress.match === raft.log.lastIndex()) {
    raft.logger.info(
      `${raft.name} sent MsgTimeoutNow to ${progress.id.toString(16)} after received MsgAppResp`,
    );
    sendTimeoutNow(raft, progress.id);
  }
}

/** What an acknowledgement of `index` means for the state of the flow. */
function resumeFlow(raft: Raft, progress: Progress, index: LogIndex): void {
  switch (progress.state) {
    case ProgressState.Probe:
      progress.becomeReplicate();
      return;
    case ProgressState.Snapshot:
      // At whichever index a snapshot was applied: what counts is that the log continues from there.
      if (progress.match + 1 < raft.log.firstIndex()) return;
      raft.logger.debug(
        `${raft.name} recovered from needing snapshot, resumed sending replication messages to ${progress.id.toString(16)} [${progress}]`,
      );
      // By way of Probe, which takes the snapshot into account.
      progress.becomeProbe();
      progress.becomeReplicate();
      return;
    default:
      progress.inflights.freeLE(index);
  }
}

/**
 * A follower's log does not connect where the append began. It has told where its log may agree with ours (the hint)
 * and the term there. Entries of ours with a higher term can't be in its log at or before the hint, since terms only
 * grow along a log; so the next probe goes before them. With the follower's own search from its side there is at most
 * one probe per term in which the logs differ.
 */
function stepLeaderAppendRejection(raft: Raft, progress: Progress, message: Message): void {
  const from = progress.id.toString(16);
  raft.logger.debug(
    `${raft.name} received MsgAppResp(rejected, hint: (index ${message.rejectHint}, term ${message.logTerm})) from ${from} for index ${message.index}`,
  );
  const hint =
    message.logTerm > 0
      ? raft.log.findConflictByTerm(message.rejectHint, message.logTerm)
      : message.rejectHint;
  if (!progress.maybeDecrTo(message.index, hint)) return;
  raft.logger.debug(`${raft.name} decreased progress of ${from} to [${progress}]`);
  if (progress.state === ProgressState.Replicate) progress.becomeProbe();
  sendAppend(raft, progress);
}

/**
 * A follower has lost entries that it had acknowledged. Nothing that it said before counts any more: it is probed from where its log ends now,
 * and gets everything behind again. What was committed stays so; the entries that it lost are safe only as far as others have them.
 */
function stepLeaderLoss(raft: Raft, progress: Progress, message: Message): void {
  if (message.index > progress.match || progress.state === ProgressState.Snapshot) return;
  raft.logger.warn(
    `${raft.name} sends ${progress.id.toString(16)} again what it has lost: its log ends at ${message.rejectHint}, ` +
      `but it had acknowledged ${progress.match}`,
  );
  progress.restart(Math.min(message.rejectHint, progress.match));
  sendAppend(raft, progress);
}

function stepLeaderHeartbeatResponse(raft: Raft, progress: Progress, message: Message): void {
  progress.recentActive = true;
  progress.msgAppFlowPaused = false;
  // A follower with a full window gets an empty append: should all of the window be lost, that brings it to light.
  // So does one that is being probed, so that its acknowledgement can resume the flow.
  if (progress.match < raft.log.lastIndex() || progress.state === ProgressState.Probe) {
    sendAppend(raft, progress);
  }
  if (message.context.length > 0) confirmReads(raft, progress.id, message.context);
}

function stepLeaderTransferLeader(raft: Raft, transferee: Progress): void {
  const to = transferee.id.toString(16);
  if (transferee.isLearner) {
    raft.logger.debug(`${raft.name} is learner. Ignored transferring leadership`);
    return;
  }
  const last = raft.leadTransferee;
  if (last !== NONE) {
    if (last === transferee.id) {
      raft.logger.info(
        `${raft.name} [term ${raft.term}] transfer leadership to ${to} is in progress, ignores request to same node ${to}`,
      );
      return;
    }
    raft.abortLeaderTransfer();
    raft.logger.info(
      `${raft.name} [term ${raft.term}] abort previous transferring leadership to ${last.toString(16)}`,
    );
  }
  if (transferee.id === raft.id) {
    raft.logger.debug(`${raft.name} is already leader. Ignored transferring leadership to self`);
    return;
  }
  raft.logger.info(`${raft.name} [term ${raft.term}] starts to transfer leadership to ${to}`);
  // It has one election timeout to succeed.
  raft.electionElapsed = 0;
  raft.leadTransferee = transferee.id;
  if (transferee.match === raft.log.lastIndex()) {
    sendTimeoutNow(raft, transferee.id);
    raft.logger.info(
      `${raft.name} sends MsgTimeoutNow to ${to} immediately as ${to} already has up-to-date log`,
    );
  } else {
    sendAppend(raft, transferee);
  }
}

/** The driver could not deliver a message: what was sent since the last acknowledgement is probably lost. */
export function reportUnreachable(raft: Raft, progress: Progress): void {
  if (progress.state === ProgressState.Replicate) progress.becomeProbe();
  raft.logger.debug(
    `${raft.name} failed to send message to ${progress.id.toString(16)} because it is unreachable [${progress}]`,
  );
}

/** The driver delivered a snapshot, or gave up. */
export function reportSnapshot(raft: Raft, progress: Progress, failed: boolean): void {
  if (progress.state !== ProgressState.Snapshot) return;
  // After a failure the follower is probed from where it was before.
  if (failed) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  raft.logger.debug(
    `${raft.name} snapshot ${failed ? 'failed' : 'succeeded'}, resumed sending replication messages to ${progress.id.toString(16)} [${progress}]`,
  );
  // After success the follower's acknowledgement comes next; after failure wait out a heartbeat.
  progress.msgAppFlowPaused = true;
}

/** Steps down unless a quorum was heard of since the last time. */
export function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive()) {
    raft.logger.warn(`${raft.name} stepped down to follower since quorum is not active`);
    raft.becomeFollower(raft.term, NONE);
  }
  for (const progress of raft.tracker.all) {
    if (progress.id !== raft.id) progress.recentActive = false;
  }
}
