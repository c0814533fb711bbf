/**
 * What a member does with what a leader sends it: entries, commit indexes, snapshots. Shared by followers and by
 * candidates, who become followers first.
 *
 * A leader that keeps to the protocol never sends what is refused here. A broken one might; then nothing is taken from
 * the message, so nothing is applied that was not committed, and the member lives on.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { type ConfState, type Message, MessageType, type Snapshot } from '@etcd/api/raftpb';
import { ConfChangeError } from './confchange/changer.ts';
import { restoreConfig } from './confchange/restore.ts';
import { describeConfState } from './describe.ts';
import { switchConfig } from './membership.ts';
import { LOSS_CONTEXT, NONE, newMessage } from './message.ts';
import { messageTypeName } from './names.ts';
import type { Raft } from './raft.ts';
import type { Config } from './tracker/config.ts';

/** Dispatches what a leader of this term sends. */
export function receiveFromLeader(raft: Raft, message: Message): void {
  if (raft.lead !== NONE && raft.lead !== message.from) {
    // A term has one leader. Following another would mix two logs that look the same by term and index.
    raft.logger.error(
      `${raft.name} [term: ${raft.term}] refused a ${messageTypeName(message.type)} message from ` +
        `${message.from.toString(16)}: the leader of this term is ${raft.lead.toString(16)}`,
    );
    return;
  }
  raft.electionElapsed = 0;
  raft.lead = message.from;
  switch (message.type) {
    case MessageType.MsgApp:
      return receiveAppend(raft, message);
    case MessageType.MsgHeartbeat:
      return receiveHeartbeat(raft, message);
    default:
      return receiveSnapshot(raft, message);
  }
}

function receiveAppend(raft: Raft, message: Message): void {
  const { log } = raft;
  if (message.index < log.committed) {
    // Out of date: what it would tell is settled. The answer helps the leader to catch up with that.
    acknowledge(raft, message.from, log.committed);
    return;
  }
  if (!log.matchTerm(message.index, message.logTerm)) {
    rejectAppend(raft, message);
    return;
  }
  const { entries } = message;
  const conflict = log.findConflict(entries);
  // Whatever conflicts comes behind what is committed: the message begins there.
  log.append(entries, conflict);
  const lastNewIndex = message.index + entries.length;
  log.commitTo(Math.min(message.commit, lastNewIndex));
  acknowledge(raft, message.from, lastNewIndex);
}

/**
 * Refuses entries that don't connect, with a hint where the logs may agree: the last entry here whose term is not
 * above that of the leader's entry. All that follows it can't be in the leader's log, so the leader need not probe it.
 */
function rejectAppend(raft: Raft, message: Message): void {
  const { log } = raft;
  raft.logger.debug(
    `${raft.name} [logterm: ${log.termOrZero(message.index)}, index: ${message.index}] rejected MsgApp ` +
      `[logterm: ${message.logTerm}, index: ${message.index}] from ${message.from.toString(16)}`,
  );
  const hint = log.findConflictByTerm(Math.min(message.index, log.lastIndex()), message.logTerm);
  const response = newMessage(MessageType.MsgAppResp, message.from);
  response.index = message.index;
  response.reject = true;
  response.rejectHint = hint;
  response.logTerm = log.termOrZero(hint);
  raft.send(response);
}

function receiveHeartbeat(raft: Raft, message: Message): void {
  if (message.commit > raft.log.lastIndex()) return reportLoss(raft, message);
  raft.log.commitTo(message.commit);
  const response = newMessage(MessageType.MsgHeartbeatResp, message.from);
  // With its log this member may have lost a vote for a later leader: it can't confirm that this one still leads.
  if (!raft.hasLostEntries) response.context = message.context;
  raft.send(response);
}

/**
 * The leader never names more than this member has acknowledged: so part of its log is gone. It says so, once to people and at every
 * heartbeat to the leader, which may send again what is missing. (A leader that runs other software may not know how.)
 */
function reportLoss(raft: Raft, message: Message): void {
  const { log } = raft;
  if (!raft.hasLostEntries) {
    raft.logger.error(
      `${raft.name} tocommit(${message.commit}) is out of range [lastIndex(${log.lastIndex()})]. ` +
        'Was the raft log corrupted, truncated, or lost? Until its leader has sent what is missing, this member serves nothing, ' +
        'and neither votes nor leads. If that does not happen soon, remove it from the cluster, and add it as a new ' +
        'member with an empty data directory',
    );
  }
  raft.lostIndex = Math.max(raft.lostIndex, message.commit);
  raft.lostTerm = 0;
  const response = newMessage(MessageType.MsgAppResp, message.from);
  response.reject = true;
  response.index = message.commit;
  response.rejectHint = log.lastIndex();
  response.logTerm = log.lastTerm();
  response.context = LOSS_CONTEXT;
  raft.send(response);
}

function receiveSnapshot(raft: Raft, message: Message): void {
  const { log } = raft;
  const { snapshot } = message;
  const index = snapshot?.metadata.index ?? 0;
  const term = snapshot?.metadata.term ?? 0;
  const restored = snapshot !== null && restore(raft, snapshot);
  raft.logger.info(
    `${raft.name} [commit: ${log.committed}] ${restored ? 'restored' : 'ignored'} snapshot [index: ${index}, term: ${term}]`,
  );
  acknowledge(raft, message.from, restored ? log.lastIndex() : log.committed);
}

/** Takes over a snapshot's log position and configuration; false if it is out of date or makes no sense here. */
function restore(raft: Raft, snapshot: Snapshot): boolean {
  const { log } = raft;
  const { index, term } = snapshot.metadata;
  if (index <= log.committed) return false;
  if (term < log.termOrZero(log.committed)) {
    raft.logger.error(
      `${raft.name} refused snapshot [index: ${index}, term: ${term}]: its term is below that of committed entries`,
    );
    return false;
  }
  const config = configOf(raft, snapshot.metadata.confState);
  if (config === null) return false;
  if (log.matchTerm(index, term)) {
    // The log has all that the snapshot holds. So it is not needed, but tells what is committed.
    raft.logger.info(
      `${describeLog(raft)} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    );
    log.commitTo(index);
    return false;
  }
  raft.configBeforeSnapshot ??= raft.tracker.config;
  log.restore(snapshot);
  raft.tracker.clear();
  switchConfig(raft, { config, added: new Set() });
  raft.logger.info(`${describeLog(raft)} restored snapshot [index: ${index}, term: ${term}]`);
  return true;
}

/** The configuration that a snapshot brings, or null if it can't be this member's. */
function configOf(raft: Raft, confState: ConfState): Config | null {
  const { voters, learners, votersOutgoing } = confState;
  if (![voters, learners, votersOutgoing].some((ids) => ids.includes(raft.id))) {
    raft.logger.warn(
      `${raft.name} attempted to restore snapshot but it is not in the ConfState ${describeConfState(confState)}; should never happen`,
    );
    return null;
  }
  try {
    return restoreConfig(confState);
  } catch (error) {
    if (!(error instanceof ConfChangeError)) throw error;
    raft.logger.error(`${raft.name} unable to restore config: ${error.message}`);
    return null;
  }
}

function acknowledge(raft: Raft, to: MemberId, index: LogIndex): void {
  const response = newMessage(MessageType.MsgAppResp, to);
  response.index = index;
  raft.send(response);
}

function describeLog(raft: Raft): string {
  const { log } = raft;
  return `${raft.name} [commit: ${log.committed}, lastindex: ${log.lastIndex()}, lastterm: ${log.lastTerm()}]`;
}
