/**
 * Agreement: {@link RaftLoop} drives raft and the log in turns, {@link ClusterLink} keeps the network's peers equal to the membership,
 * {@link Leadership} hands over and follows who leads, {@link LinearizableReads} asks whether a read is current, {@link LogKeeper}
 * makes snapshots of the log, {@link DatabaseSender} sends the database to members that are too far behind.
 *
 * Everything happens inside the loop's turns. Whoever has something for raft gives it to the loop and wakes it; answers
 * come from the loop, after the log has been synced.
 */
export { type AppliedCallback, AppliedWaiters } from './applied-waiters.ts';
export { ClusterLink } from './cluster-link.ts';
export { DatabaseSender } from './database-sender.ts';
export type { EntryMoments, EntryPhases } from './entry-phases.ts';
export { Leadership } from './leadership.ts';
export { LinearizableReads } from './linearizable-reads.ts';
export { LogKeeper } from './log-keeper.ts';
export type { MemberEnvironment } from './member-environment.ts';
export { RaftLoop, type RaftLoopHost } from './raft-loop.ts';
