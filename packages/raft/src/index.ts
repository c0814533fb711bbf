/**
 * The raft consensus algorithm as a pure state machine: elections (with pre-vote, check-quorum and leader transfer), log
 * replication with flow control, linearizable reads, learners, and changes of the membership through joint consensus.
 * It reads no clock, does no I/O and draws random numbers only from the `Random` that it is given. It behaves, to the
 * wording of its log lines, as the public etcd raft library does, so that members of either kind form one group.
 *
 * ## Who does what
 *
 * A member is a {@link RawNode}. Its driver owns everything around it:
 *
 *  - time: it calls `tick()` at a steady pace;
 *  - the network: it passes messages of other members to `step()` and sends those that come out. Messages may be lost,
 *    delayed, duplicated and reordered, not altered. `step` takes ownership of a message: one that is delivered
 *    within a process, or twice, has to be decoded anew each time;
 *  - storage: it persists entries, hard state and snapshots, and shows them through {@link Storage}, from which raft
 *    reads what it no longer holds itself. {@link MemoryStorage} does for a driver that writes a log on disk beside it;
 *  - the state machine: it applies committed entries and snapshots.
 *
 * Input changes the member at once and synchronously; what there is to do about it is handed out as a {@link Ready} when
 * the driver asks. So a driver batches: it drains its sockets and proposals into the member, then takes one Ready for
 * all of it. `propose` takes many entries at a time for the same reason.
 *
 * ## The order of duties
 *
 * While `hasReady()`, the driver takes `ready()` and does the following.
 *
 *  1. Persist `snapshot` (if any), then `entries`, then `hardState`: in one write, or in this order. `entries` replace what
 *     the log holds from the first one's index on. If `mustSync`, or if there is a snapshot, make it durable before
 *     going on; otherwise (only the commit index moved) a crash may lose it without harm.
 *  2. Put the same into {@link Storage}: `applySnapshot`, `append`, `setHardState` of a MemoryStorage.
 *  3. Send `messages`. Those that {@link isPromise} (votes and acknowledgements) must not leave before 1 is durable; all
 *     others may leave before it has even begun, so that followers write while this member does (Raft thesis, 10.2.1).
 *     For each MsgSnap, `reportSnapshot` has to be called when it has arrived or failed; until then the follower gets
 *     nothing else.
 *  4. Apply `snapshot`, or else `committedEntries`, in order. Every one of type EntryConfChange or EntryConfChangeV2
 *     goes to `applyConfChange` (see `decodeConfChangeEntry`), unless the application rejects it. An entry without data
 *     is a new leader's and changes nothing.
 *  5. `readStates`: the read that was asked for with `requestContext` may be served as soon as the state machine has
 *     applied the log up to `index`.
 *  6. Call `advance()`. Only then may `ready()` be called again. Input may come in between.
 *
 * On a follower `committedEntries` may be among the `entries` of the same Ready, so 4 comes after 1. In a group of one
 * voter they never are: what is proposed comes out as `entries`, and after `advance()`, since the write has made it
 * committed, as `committedEntries` of the next Ready, together with the `entries` that were proposed since. There the
 * driver applies one batch while the next is being written.
 *
 * After a failed write there is nothing to be retried: the process ends.
 *
 * ## Asynchronous storage writes
 *
 * With {@link RaftConfig.asyncStorageWrites} a driver need not finish one Ready before the next, and never calls
 * `advance()`. Everything that 1 to 4 do with the fields of a Ready is then found in `messages`, addressed to two local
 * targets, each of which works through its messages in order and loses none:
 *
 *  - MsgStorageAppend to {@link LOCAL_APPEND_THREAD} carries `entries`, `snapshot`, and the hard state in its fields `term`,
 *    `vote` and `commit` (all zero: unchanged). Once it is durable and visible in Storage, its `responses` are
 *    delivered: to `stepLocal` if they are addressed to this member, else over the network. Without responses it need
 *    not be durable. If it brings a snapshot, the state machine takes that over before the responses are delivered,
 *    and after it has applied what came out in MsgStorageApply before.
 *  - MsgStorageApply to {@link LOCAL_APPLY_THREAD} carries the entries to apply. Once they are applied, its responses
 *    are delivered; nothing needs to be durable for that. It holds only entries that are in storage already.
 *
 * All other messages leave at once. `entries`, `hardState`, `snapshot` and `committedEntries` of the Ready show the same as
 * the messages and need no work. Responses must not be delivered before `ready()` has returned.
 *
 * ## Starting again
 *
 * A new RawNode goes on from what Storage shows: the newest snapshot, the entries behind it, the hard state, all of it
 * durable, and a commit index that is not below the snapshot. `applied` says how far the state machine's own durable
 * state is; what is committed behind it is handed out (again). The configuration that Storage shows is that of its
 * snapshot, so the changes between there and `applied` have to be among what is applied again, or the driver shows the
 * configuration as of `applied`.
 *
 * A driver compacts the log only as far as its state machine has applied it, and keeps some entries for slow
 * followers. Storage is read at any input, in the middle of `applyConfChange` too, so what it shows has to fit together
 * at every moment: a snapshot's index, term, configuration and data above all. Members that join need a snapshot in
 * whose configuration they are.
 *
 * ## What belongs to whom
 *
 * The arrays of a Ready are the driver's. What is in them is shared with the log and with messages under way: entries,
 * their data, messages and snapshots are never changed by anybody once they came out of a Ready or went into the
 * storage. Entry data is not copied: the bytes given to `propose`, or decoded into a message given to `step`, are kept
 * as long as the entry is in the log. A view of a socket buffer keeps that whole buffer alive, so copy when that costs
 * more. The arrays of {@link Storage} entries are the caller's, too.
 *
 * ## What can go wrong
 *
 * Input that has no effect, because there is no leader or a message makes no sense, is answered by a {@link StepError}.
 * A peer that breaks the protocol is refused, by the rules in `validate.ts`, and can't make a member fail, grow without
 * bound (as for proposals that it passes on, set {@link RaftConfig.maxUncommittedEntriesSizeBytes}) or apply what was
 * not committed. A driver that breaks the contract above, a storage that contradicts itself,
 * or a committed configuration change that can't be applied is an `InvariantError`, after which the process must end.
 * The data of a committed configuration change may be malformed only if a leader is broken: `decodeConfChangeEntry`
 * throws `DecodeError`, and there is no going on either.
 * A member whose storage has lost what it had acknowledged notices it when a leader refers to it; it says so in
 * its log, and neither votes nor campaigns until it has caught up.
 *
 * Let a leader hand over before it is removed or made a learner. One that commits its own removal and is gone before
 * it has told the others may leave them without the quorum that they still believe to need.
 *
 * Two leases are a matter of the driver's clock: `checkQuorum` makes a leader step down, and makes followers
 * refuse votes, by ticks. A process that was paused must not make up for missed ticks in a burst.
 * `ReadOnlyOption.Safe`, the default, does not depend on any clock: an answer is only given after a quorum has confirmed
 * the leadership in a round of heartbeats that began after the read was asked for.
 */
export { ConfChangeError } from './confchange/changer.ts';
export {
  type AnyConfChange,
  confChangeEntry,
  decodeConfChangeEntry,
  toConfChangeV2,
} from './confchange/conf-change.ts';
export { confStateOf, equivalentConfStates, restoreConfig } from './confchange/restore.ts';
export { ConfigError, type LogPosition, type RaftConfig, ReadOnlyOption } from './config.ts';
export {
  describeConfChange,
  describeConfState,
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeReady,
  describeSnapshot,
  describeSoftState,
  type EntryFormatter,
} from './describe.ts';
export { MAX_INDEX, MAX_TERM } from './limits.ts';
export { MemoryStorage } from './memory-storage.ts';
export { isLocalTarget, isPromise, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, NONE } from './message.ts';
export { messageTypeName } from './names.ts';
export { JointConfig } from './quorum/joint.ts';
export { type AckedIndexer, MajorityConfig, UNACKED, VoteResult } from './quorum/majority.ts';
export { RaftState, raftStateName } from './raft-state.ts';
export { type Peer, RawNode } from './raw-node.ts';
export { ReadState, type Ready, SoftState } from './ready.ts';
export { type BasicStatus, formatStatus, type Status } from './status.ts';
export { StepError, stepErrorText } from './step-error.ts';
export { type InitialState, type Storage, TERM_COMPACTED, TERM_UNAVAILABLE } from './storage.ts';
export { type Config, describeConfig, isMember, MAX_MEMBERS, memberIds } from './tracker/config.ts';
export type { Inflights } from './tracker/inflights.ts';
export { type Progress, ProgressState, progressStateName } from './tracker/progress.ts';
export { hasWholeSnapshot } from './validate.ts';
