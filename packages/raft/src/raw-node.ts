/**
 * One member as its driver sees it: input goes in by `step`, `tick`, `propose` and their like, and changes the member
 * at once; what the driver has to do about it comes out of {@link RawNode.ready}. See index.ts for the contract.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import {
  ConfChange,
  ConfChangeType,
  type ConfState,
  Entry,
  type HardState,
  type Message,
  MessageType,
} from '@etcd/api/raftpb';
import { assert, EMPTY_BYTES, InvariantError } from '@etcd/base';
import { ConfChangeError } from './confchange/changer.ts';
import { type AnyConfChange, confChangeEntry, toConfChangeV2 } from './confchange/conf-change.ts';
import { ConfigError, type RaftConfig, resolveConfig } from './config.ts';
import { electionTimedOut } from './election.ts';
import { entriesSizeBytes } from './log/entry-size.ts';
import { applyCommittedChange } from './membership.ts';
import { isLocalTarget, NONE, newMessage } from './message.ts';
import { Raft } from './raft.ts';
import { RaftState } from './raft-state.ts';
import { type Ready, SoftState } from './ready.ts';
import { type BasicStatus, basicStatusOf, type Status, statusOf } from './status.ts';
import { step } from './step.ts';
import type { StepError } from './step-error.ts';
import { forgetLeader } from './step-follower.ts';
import { reportSnapshot, reportUnreachable } from './step-leader.ts';
import {
  needsStorageAppend,
  storageAppendMessage,
  storageAppendResponse,
  storageApplyMessage,
  storageApplyResponse,
} from './storage-messages.ts';
import { tick } from './tick.ts';
import { checkPeerMessage } from './validate.ts';

/** A first member of a new group. */
export interface Peer {
  readonly id: MemberId;
  /** Stored with the entry that adds the member, for the application. */
  readonly context?: Uint8Array;
}

/** The state machine inside a node: for this package's own tests and harness. */
export let raftOf: (node: RawNode) => Raft;

export class RawNode {
  static {
    raftOf = (node) => node.#raft;
  }

  readonly #raft: Raft;
  readonly #asyncStorageWrites: boolean;
  // What the driver was told last.
  #toldLead: MemberId;
  #toldState: RaftState;
  #toldTerm: number;
  #toldVote: MemberId;
  #toldCommit: number;
  /** What happens once the Ready that was handed out last is done; without asynchronous writes only. */
  #stepsOnAdvance: Message[] = [];

  /** Starts or restarts a member from what is in `config.storage`. Bad parameters throw {@link ConfigError}. */
  constructor(config: RaftConfig) {
    const resolved = resolveConfig(config);
    this.#raft = new Raft(resolved);
    this.#asyncStorageWrites = resolved.asyncStorageWrites;
    this.#toldLead = this.#raft.lead;
    this.#toldState = this.#raft.state;
    this.#toldTerm = this.#raft.term;
    this.#toldVote = this.#raft.vote;
    this.#toldCommit = this.#raft.log.committed;
  }

  get id(): MemberId {
    return this.#raft.id;
  }

  get term(): Term {
    return this.#raft.term;
  }

  /** The leader of {@link term}, 0n while none is known. */
  get lead(): MemberId {
    return this.#raft.lead;
  }

  get raftState(): RaftState {
    return this.#raft.state;
  }

  /** While this member hands the leadership over: to whom; else 0n. */
  get transferee(): MemberId {
    return this.#raft.leadTransferee;
  }

  /** Voters of whom a candidate does not know yet whether they vote for it. */
  unansweredVoters(): MemberId[] {
    const { tracker } = this.#raft;
    return tracker.config.voters.ids().ids.filter((id) => !tracker.hasVoteOf(id));
  }

  get committed(): LogIndex {
    return this.#raft.log.committed;
  }

  get applied(): LogIndex {
    return this.#raft.log.applied;
  }

  /** One tick of the logical clock has passed. */
  tick(): void {
    tick(this.#raft);
  }

  /** From now on this member does not campaign, whoever asks it to. It goes on as what it is, and votes. */
  bar(): void {
    this.#raft.isBarred = true;
  }

  /** Campaigns at once instead of waiting for the election timeout. */
  campaign(): void {
    electionTimedOut(this.#raft);
  }

  /**
   * Proposes one entry for each of `data`, all or none of them. A follower passes them on to the leader. The bytes are
   * kept, not copied. Null means that they are on their way, not that they will be committed.
   */
  propose(data: readonly Uint8Array[]): StepError | null {
    if (data.length === 0) return null;
    const entries = new Array<Entry>(data.length);
    for (let i = 0; i < data.length; i++) {
      const entry = new Entry();
      entry.data = data[i]!;
      entries[i] = entry;
    }
    return this.#proposeEntries(entries);
  }

  /**
   * Proposes to change the configuration; null to leave the joint one. One that may not be made now becomes an empty
   * entry: whoever proposed it notices by not seeing it committed.
   */
  proposeConfChange(change: AnyConfChange | null): StepError | null {
    return this.#proposeEntries([confChangeEntry(change)]);
  }

  /**
   * Puts a committed change in force; returns the configuration as of that entry, to be stored with snapshots of the
   * state machine. To be called for every committed configuration change, when it is applied, unless the application
   * rejects it; not for entries that a snapshot, applied before, has overtaken.
   */
  applyConfChange(change: AnyConfChange): ConfState {
    try {
      return applyCommittedChange(this.#raft, toConfChangeV2(change));
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      // Members that went on differently about a committed change would count different quorums.
      throw new InvariantError(`raft: a committed conf change can't be applied: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Takes a message that came from another member; it belongs to the node then. */
  step(message: Message): StepError | null {
    return checkPeerMessage(this.#raft, message) ?? step(this.#raft, message);
  }

  /**
   * Takes a response that was attached to a MsgStorageAppend or MsgStorageApply and is addressed to this member, after
   * that message was carried out. Never what came over a network: it is trusted.
   */
  stepLocal(message: Message): void {
    assert(message.to === this.#raft.id, 'raft: local message for another member');
    assert(
      message.from === this.#raft.id || isLocalTarget(message.from),
      'raft: local message from another member',
    );
    step(this.#raft, message);
  }

  /** Whether {@link ready} has anything for the driver to do. */
  hasReady(): boolean {
    const raft = this.#raft;
    const { log } = raft;
    return (
      raft.msgs.length > 0 ||
      raft.msgsAfterAppend.length > 0 ||
      raft.readStates.length > 0 ||
      log.unstable.hasNextEntries ||
      log.unstable.nextSnapshot() !== null ||
      log.hasNextCommittedEntries(this.#appliesUnstable) ||
      this.#hardStateChanged() ||
      this.#softStateChanged()
    );
  }

  /**
   * Hands out what there is to do. Without asynchronous storage writes it has to be done, and {@link advance} to be
   * called, before the next call.
   */
  ready(): Ready {
    assert(this.#stepsOnAdvance.length === 0, 'two accepted Ready structs without call to Advance');
    const raft = this.#raft;
    const { unstable } = raft.log;
    const messages = raft.msgs;
    const entries = unstable.hasNextEntries ? unstable.nextEntries() : [];
    const ready: Ready = {
      softState: this.#takeSoftState(),
      mustSync: entries.length > 0 || raft.term !== this.#toldTerm || raft.vote !== this.#toldVote,
      hardState: this.#takeHardState(),
      readStates: raft.readStates,
      entries,
      snapshot: unstable.nextSnapshot(),
      committedEntries: raft.log.nextCommittedEntries(this.#appliesUnstable),
      messages,
    };
    if (this.#asyncStorageWrites) this.#attachStorageMessages(ready, messages);
    else this.#deferResponses(ready, messages);
    raft.msgs = [];
    raft.msgsAfterAppend = [];
    if (raft.readStates.length > 0) raft.readStates = [];
    unstable.acceptInProgress();
    this.#acceptApplying(ready.committedEntries);
    return ready;
  }

  /** Everything that the last {@link ready} handed out is done. Not with asynchronous storage writes. */
  advance(): void {
    assert(!this.#asyncStorageWrites, 'Advance must not be called when using AsyncStorageWrites');
    const steps = this.#stepsOnAdvance;
    this.#stepsOnAdvance = [];
    for (const message of steps) step(this.#raft, message);
  }

  /**
   * Asks at which index a linearizable read may be served. The answer comes in a Ready, with `requestContext`; or
   * never, if there is no leader or messages are lost: then ask again, with another context.
   */
  readIndex(requestContext: Uint8Array): void {
    const message = newMessage(MessageType.MsgReadIndex, NONE);
    const entry = new Entry();
    entry.data = requestContext;
    message.entries = [entry];
    step(this.#raft, message);
  }

  /** Asks the leader to hand over to `transferee`. */
  transferLeader(transferee: MemberId): void {
    const message = newMessage(MessageType.MsgTransferLeader, NONE);
    message.from = transferee;
    step(this.#raft, message);
  }

  /** A follower forgets its leader, and may vote for another without waiting for its own election timeout. */
  forgetLeader(): void {
    if (this.#raft.state === RaftState.Follower) forgetLeader(this.#raft);
  }

  /** The last message to `id` could not be delivered. */
  reportUnreachable(id: MemberId): void {
    const progress = this.#raft.tracker.get(id);
    if (this.#raft.state === RaftState.Leader && progress !== undefined) {
      reportUnreachable(this.#raft, progress);
    }
  }

  /** What became of the snapshot that a MsgSnap sent to `id`: to be called for each of them. */
  reportSnapshot(id: MemberId, status: 'finish' | 'failure'): void {
    const progress = this.#raft.tracker.get(id);
    if (this.#raft.state === RaftState.Leader && progress !== undefined) {
      reportSnapshot(this.#raft, progress, status === 'failure');
    }
  }

  basicStatus(): BasicStatus {
    return basicStatusOf(this.#raft);
  }

  /** Copies everything that a leader knows of the others; {@link basicStatus} costs less. */
  status(): Status {
    return statusOf(this.#raft);
  }

  /**
   * Founds a group: writes the first entries of the log, which add its members. Every founding member does so, with
   * the same list. The storage must be empty.
   */
  bootstrap(peers: readonly Peer[]): void {
    const raft = this.#raft;
    if (peers.length === 0) throw new ConfigError('must provide at least one peer to Bootstrap');
    if (raft.log.storage.lastIndex() !== 0) throw new ConfigError("can't bootstrap a nonempty Storage");
    this.#toldTerm = 0;
    this.#toldVote = NONE;
    this.#toldCommit = 0;
    raft.becomeFollower(1, NONE);
    const changes = peers.map(
      ({ id, context }) =>
        new ConfChange({
          type: ConfChangeType.ConfChangeAddNode,
          nodeId: id,
          context: context ?? EMPTY_BYTES,
        }),
    );
    const entries = changes.map((change, i) => {
      const entry = confChangeEntry(change);
      entry.term = 1;
      entry.index = i + 1;
      return entry;
    });
    raft.log.append(entries);
    raft.log.commitTo(entries.length);
    // In force at once, so that the member may campaign. The entries will be applied again, which changes nothing.
    for (const change of changes) this.applyConfChange(change);
  }

  /** Without asynchronous writes a Ready is written before it is applied, so what is applied need not be stable yet. */
  get #appliesUnstable(): boolean {
    return !this.#asyncStorageWrites;
  }

  #proposeEntries(entries: Entry[]): StepError | null {
    const message = newMessage(MessageType.MsgProp, NONE);
    message.entries = entries;
    return step(this.#raft, message);
  }

  #softStateChanged(): boolean {
    return this.#raft.lead !== this.#toldLead || this.#raft.state !== this.#toldState;
  }

  #takeSoftState(): SoftState | null {
    if (!this.#softStateChanged()) return null;
    this.#toldLead = this.#raft.lead;
    this.#toldState = this.#raft.state;
    return new SoftState(this.#toldLead, this.#toldState);
  }

  #hardStateChanged(): boolean {
    const raft = this.#raft;
    return (
      raft.log.committed !== this.#toldCommit || raft.term !== this.#toldTerm || raft.vote !== this.#toldVote
    );
  }

  #takeHardState(): HardState | null {
    if (!this.#hardStateChanged()) return null;
    const hardState = this.#raft.hardState();
    this.#toldTerm = hardState.term;
    this.#toldVote = hardState.vote;
    this.#toldCommit = hardState.commit;
    return hardState;
  }

  #attachStorageMessages(ready: Ready, messages: Message[]): void {
    const raft = this.#raft;
    const promises = raft.msgsAfterAppend;
    if (needsStorageAppend(ready, promises)) messages.push(storageAppendMessage(raft, ready, promises));
    if (ready.committedEntries.length > 0) messages.push(storageApplyMessage(raft, ready.committedEntries));
  }

  /** By contract everything is durable before messages are sent, so promises to others may go along. */
  #deferResponses(ready: Ready, messages: Message[]): void {
    const raft = this.#raft;
    const steps = this.#stepsOnAdvance;
    for (const message of raft.msgsAfterAppend) {
      (message.to === raft.id ? steps : messages).push(message);
    }
    const appended = storageAppendResponse(raft, ready);
    if (appended !== null) steps.push(appended);
    if (ready.committedEntries.length > 0) steps.push(storageApplyResponse(raft, ready.committedEntries));
  }

  #acceptApplying(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const { log } = this.#raft;
    const sizeBytes = log.maxApplyingSizeBytes === Infinity ? 0 : entriesSizeBytes(entries);
    log.acceptApplying(entries.at(-1)!.index, sizeBytes, this.#appliesUnstable);
  }
}
