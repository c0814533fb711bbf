/**
 * Drives raft: gathers what came in during a turn of the event loop, makes one Ready of it, and does what that asks for, in
 * the order that the raft package prescribes. One batch is in the log at a time; what arrives while it is being written
 * forms the next one.
 *
 *   propose, step, readIndex          Ready                     durable
 *   ───────────────────────> raft ──────────> log (one sync) ───────────> send, apply, advance ──> next
 *
 * The log is written inline while the disk is fast, and on the thread pool when it is not; see the wal package.
 *
 * A snapshot from the leader is made durable like entries are. While the state machine takes it over, which may take
 * seconds, raft goes on: what is committed meanwhile is held, and applied behind it.
 *
 * Invariants:
 *  - one batch, or one task, has the log at a time;
 *  - what raft reads back (the storage) ends where the log ends, between two batches;
 *  - what is handed over to be applied is durable here, comes in order, without a gap, and once;
 *  - one snapshot at a time is being installed.
 */

import type { LogIndex } from '@etcd/api';
import { type Entry, EntryType, type HardState, type Message, type Snapshot } from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { assert, type Clock, type DiskError, type Timer } from '@etcd/base';
import {
  type AnyConfChange,
  isPromise,
  type MemoryStorage,
  type RawNode,
  type ReadState,
  type Ready,
  type SoftState,
  StepError,
} from '@etcd/raft';
import type { Wal } from '@etcd/storage/wal';
import { EntryPhases } from './entry-phases.ts';
import type { MemberEnvironment } from './member-environment.ts';
import { ProposalQueue } from './proposal-queue.ts';

/** What the loop tells the member. All calls come from inside a turn. */
export interface RaftLoopHost {
  /** Whether new work must wait: more is on its way to the database than may be. */
  readonly isHeldBack: boolean;
  /** A turn begins: what is to be asked of raft in it should be asked now. */
  onTurnStart(): void;
  /** Raft's clock has moved on by one tick. */
  onTick(): void;
  /** Leader or role have changed. */
  onSoftState(state: SoftState): void;
  onReadState(state: ReadState): void;
  /** Raft would not take a proposal: it has to be made again, or given up. */
  onProposalDropped(idSuffix: number): void;
  /** Committed entries, in order; configuration changes are to be passed to `RawNode.applyConfChange`. */
  apply(entries: readonly Entry[]): void;
  /** Writes the snapshot's file, before the log names it. */
  saveSnapshotFile(snapshot: Snapshot, done: (error: DiskError | null) => void): void;
  /** Replaces the state machine by what came with the snapshot, which is durable; then calls `done`. */
  installSnapshot(snapshot: Snapshot, done: () => void): void;
  /** For other members. */
  send(messages: readonly Message[]): void;
  /** Entries up to `index` have become durable, after so long a wait for the disk: time in which there was no processor does not count. */
  onSaved(waitedMs: number, index: LogIndex): void;
  /** Something has gone through the loop, and nothing is left to do in this turn: answers may leave. */
  onTurnEnd(): void;
  /** The log can't be written: the process has to end. */
  onFatal(error: DiskError): void;
}

export interface RaftLoopOptions
  extends Pick<MemberEnvironment, 'clock' | 'logger' | 'node' | 'requestTimeoutMs'> {
  readonly storage: MemoryStorage;
  readonly wal: Wal;
  readonly host: RaftLoopHost;
  readonly heartbeatIntervalMs: number;
}

/** Committed entries that wait until a snapshot is installed: with more, the leader has to wait, too. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** A turn that has gone on for this long lets the sockets have a word before the next batch. */
const MAX_TURN_MS = 20;

/** Something that needs the log for itself: runs between two batches, calls `done` when it has finished. */
export type LogTask = (wal: Wal, done: () => void) => void;

export class RaftLoop {
  readonly #node: RawNode;
  readonly #storage: MemoryStorage;
  readonly #wal: Wal;
  readonly #clock: Clock;
  readonly #host: RaftLoopHost;
  readonly #heartbeatIntervalMs: number;
  /** What is to be proposed. */
  readonly #proposals: ProposalQueue;
  /** When entries came how far. */
  readonly phases = new EntryPhases();
  #tasks: LogTask[] = [];
  /** Run when raft's next messages have left. */
  #afterMessages: (() => void)[] = [];
  #isScheduled = false;
  /** A batch, or a task, has the log. */
  #isLogBusy = false;
  #isStopped = false;
  #onIdle: (() => void) | null = null;
  #timer: Timer | null = null;
  #tickDueMs = Number.POSITIVE_INFINITY;
  #lateMs = 0;
  /** Entries up to here are in the log for good. */
  #durableIndex: number;
  /** While a snapshot is being installed: what has been committed since. */
  #held: Entry[] | null = null;
  #heldBytes = 0;
  /** The last entry that was handed over to be applied, or is held for that. */
  #handedIndex: number;
  #onInstalled: (() => void) | null = null;

  constructor(options: RaftLoopOptions) {
    this.#node = options.node;
    this.#storage = options.storage;
    this.#wal = options.wal;
    this.#clock = options.clock;
    this.#host = options.host;
    this.#heartbeatIntervalMs = options.heartbeatIntervalMs;
    this.#proposals = new ProposalQueue({
      ...options,
      onDropped: (idSuffix) => options.host.onProposalDropped(idSuffix),
    });
    this.#durableIndex = options.wal.lastIndex;
    this.#handedIndex = options.node.applied;
    assert(
      this.#durableIndex === options.storage.lastIndex(),
      'raft loop: the log ends elsewhere than on disk',
    );
  }

  /** Begins to tick, and to work. */
  start(): void {
    this.#scheduleTick();
    this.wake();
  }

  /** Stops ticking and working; calls `done` when nothing is being written any more. */
  stopThen(done: () => void): void {
    assert(this.#onIdle === null, 'raft loop: stopped twice');
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#onIdle = done;
    if (this.#onInstalled !== null) {
      // It waits for an installation that nobody will finish.
      this.#onInstalled = null;
      this.#isLogBusy = false;
    }
    // A turn that is under way, and has led to this call, may be about to write.
    this.#clock.defer(() => this.#maybeIdle());
  }

  /** Whether more proposals may be queued. */
  get hasRoom(): boolean {
    return this.#proposals.hasRoom;
  }

  /** Proposals that raft has not seen yet. */
  get queuedCount(): number {
    return this.#proposals.count;
  }

  /** Proposes an entry, in the batch of this turn; `data` is kept. */
  propose(data: Uint8Array, idSuffix: number): void {
    this.#proposals.add(data, idSuffix);
    this.wake();
  }

  /** As {@link propose}, but never passed on: what this member decides as the leader is void once another one leads. */
  proposeAsLeader(data: Uint8Array, idSuffix: number): void {
    this.#proposals.addAsLeader(data, idSuffix);
    this.wake();
  }

  proposeConfChange(change: AnyConfChange, idSuffix: number): void {
    this.#proposals.addConfChange(change, idSuffix);
    this.wake();
  }

  /** Forgets what waits to be proposed and is not `isAwaited`: whoever was told that it timed out would not expect it later. */
  forget(isAwaited: (idSuffix: number) => boolean): void {
    this.#proposals.forget(isAwaited);
  }

  /** Takes a message from another member. */
  step(message: Message): void {
    if (this.#isStopped) return;
    if (this.#node.step(message) === StepError.ProposalDropped) this.#proposals.hold(message);
    this.wake();
  }

  /** Lets time pass faster, so that an election comes early: for a member that has just met the others. */
  fastForward(ticks: number): void {
    for (let i = 0; i < ticks; i++) this.#node.tick();
    this.wake();
  }

  /** Runs `task` when no batch is being written, before the next one. */
  withLog(task: LogTask): void {
    this.#tasks.push(task);
    this.wake();
  }

  /**
   * Runs `task` when no message that raft has made so far refers to an entry any more: they are made when something comes, and are
   * encoded, which copies what is in them, when they leave with the next Ready.
   */
  afterMessages(task: () => void): void {
    this.#afterMessages.push(task);
  }

  /**
   * Records a snapshot in the log and unlocks the segments before it. Not if the leader's has overtaken it meanwhile: the log
   * begins at that one now, and its database is the only one there is.
   */
  saveSnapshotRecord(
    snapshot: WalSnapshot,
    done: (error: DiskError | null, isRecorded: boolean) => void,
  ): void {
    const { index } = snapshot;
    this.withLog((wal, finished) => {
      if (index <= wal.snapshotIndex) {
        done(null, false);
        return finished();
      }
      wal.saveSnapshotThen(snapshot, (error) => {
        if (error === null) wal.releaseTo(index);
        done(error, true);
        finished();
      });
    });
  }

  /** Makes sure that a turn comes. */
  wake(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#clock.defer(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.#run();
  };

  #run(): void {
    const startMs = this.#clock.now();
    while (this.#mayWork()) {
      if (!this.#runTask()) {
        this.#host.onTurnStart();
        if (this.#proposals.submit()) this.wake();
        if (!this.#node.hasReady()) break;
        this.#handle(this.#node.ready());
      }
      if (this.#clock.now() - startMs > MAX_TURN_MS) {
        this.wake();
        break;
      }
    }
    this.#host.onTurnEnd();
    this.#maybeIdle();
  }

  #mayWork(): boolean {
    const isHeldBack = this.#heldBytes >= MAX_HELD_BYTES || this.#host.isHeldBack;
    return !this.#isLogBusy && !this.#isStopped && !isHeldBack;
  }

  #runTask(): boolean {
    if (this.#tasks.length === 0) return false;
    const [task] = this.#tasks.splice(0, 1);
    assert(task !== undefined && !this.#isLogBusy, 'raft loop: two have the log');
    this.#isLogBusy = true;
    task(this.#wal, () => {
      assert(this.#isLogBusy, 'raft loop: a task has given the log back twice');
      this.#isLogBusy = false;
      this.wake();
      this.#maybeIdle();
    });
    return true;
  }

  #handle(ready: Ready): void {
    if (ready.softState !== null) this.#host.onSoftState(ready.softState);
    for (const state of ready.readStates) this.#host.onReadState(state);
    const promises = ready.messages.filter((message) => isPromise(message.type));
    // What promises nothing, as a leader's appends, need not wait for this member's own disk.
    this.#send(ready.messages.filter((message) => !isPromise(message.type)));
    for (const task of this.#afterMessages.splice(0)) task();
    const { committedEntries } = ready;
    // A vote must not be counted or given under a configuration that is about to change.
    const changesConfiguration = committedEntries.some((entry) => entry.type !== EntryType.EntryNormal);
    if (this.#held !== null && (changesConfiguration || ready.snapshot !== null)) {
      return this.#afterInstallation(() => this.#persist(ready, promises, changesConfiguration));
    }
    this.#persist(ready, promises, changesConfiguration);
  }

  #persist(ready: Ready, promises: readonly Message[], changesConfiguration: boolean): void {
    const { committedEntries, snapshot } = ready;
    // A new leader may have replaced what was durable but not committed: from there on it is to be saved first.
    const first = ready.entries[0];
    if (first !== undefined) this.#durableIndex = Math.min(this.#durableIndex, first.index - 1);
    const isDurable = (committedEntries.at(-1)?.index ?? 0) <= this.#durableIndex;
    if (isDurable) this.#apply(committedEntries);
    this.#save(ready, () => {
      if (snapshot !== null) this.#install(snapshot);
      const last = ready.entries.at(-1);
      if (last !== undefined) {
        assert(last.index === this.#wal.lastIndex, 'raft loop: raft would read back what is not in the log');
        this.#storage.append(ready.entries);
        this.#durableIndex = last.index;
      }
      if (ready.hardState !== null) this.#storage.setHardState(ready.hardState);
      if (!isDurable && changesConfiguration) this.#apply(committedEntries);
      this.#send(promises);
      if (!isDurable && !changesConfiguration) this.#apply(committedEntries);
      this.#node.advance();
    });
  }

  // --- snapshots from the leader

  #install(snapshot: Snapshot): void {
    const { index } = snapshot.metadata;
    assert(this.#held === null, 'raft loop: two snapshots are being installed');
    assert(index > this.#handedIndex, 'raft loop: a snapshot of what was handed over already');
    this.#storage.applySnapshot(snapshot);
    this.#durableIndex = index;
    this.#handedIndex = index;
    this.#wal.releaseTo(index);
    this.#held = [];
    this.#host.installSnapshot(snapshot, () => {
      const entries = this.#held;
      assert(entries !== null, 'raft loop: a snapshot was installed twice');
      const then = this.#onInstalled;
      this.#held = null;
      this.#heldBytes = 0;
      this.#onInstalled = null;
      if (entries.length > 0) this.#host.apply(entries);
      if (then === null) return this.wake();
      this.#isLogBusy = false;
      then();
      this.#run();
    });
  }

  /** No batch is written until then: what is in it depends on the snapshot. */
  #afterInstallation(then: () => void): void {
    assert(this.#onInstalled === null && !this.#isLogBusy, 'raft loop: two wait for one snapshot');
    this.#isLogBusy = true;
    this.#onInstalled = then;
  }

  #saveSnapshot(snapshot: Snapshot, hardState: HardState, then: () => void): void {
    const { index, term, confState } = snapshot.metadata;
    assert(!this.#isLogBusy, 'raft loop: two have the log');
    this.#isLogBusy = true;
    this.#host.saveSnapshotFile(snapshot, (fileError) => {
      if (fileError !== null) return this.#fail(fileError);
      const record = new WalSnapshot({ index, term, confState });
      this.#wal.saveReceivedSnapshotThen(record, hardState, (error) => {
        this.#isLogBusy = false;
        if (error !== null) return this.#fail(error);
        then();
        this.#run();
      });
    });
  }

  #send(messages: readonly Message[]): void {
    if (messages.length > 0) this.#host.send(messages);
  }

  #apply(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    assert(last.index <= this.#durableIndex, 'raft loop: applied before it is durable');
    assert(last.index === this.#handedIndex + entries.length, 'raft loop: a gap between what is applied');
    this.#handedIndex = last.index;
    this.phases.committed(last.index, this.#clock.now());
    if (this.#held === null) return this.#host.apply(entries);
    for (const entry of entries) {
      this.#held.push(entry);
      this.#heldBytes += entry.data.length;
    }
  }

  /** Makes the batch durable, then calls `then`: at once, or when the thread pool is done. */
  #save(ready: Ready, then: () => void): void {
    const { snapshot, hardState } = ready;
    if (snapshot === null) return this.#saveEntries(ready, then);
    // Taking a snapshot over commits it.
    assert(hardState !== null, 'raft loop: a snapshot without a hard state');
    this.#saveSnapshot(snapshot, hardState, () => this.#saveEntries(ready, then));
  }

  #saveEntries({ hardState, entries }: Ready, then: () => void): void {
    const wal = this.#wal;
    assert(!this.#isLogBusy, 'raft loop: two have the log');
    const startMs = this.#clock.now();
    if (wal.prefersInline) {
      try {
        wal.save(hardState, entries);
      } catch (error) {
        return this.#fail(error as DiskError);
      }
      // The event loop stood still: what else held it up can't be told apart, if it took longer than a tick.
      const tookMs = this.#clock.now() - startMs;
      this.#notePhase(entries, startMs, startMs + tookMs);
      if (tookMs < this.#heartbeatIntervalMs) this.#reportSaved(tookMs, entries);
      return then();
    }
    const startLateMs = this.#latenessMs;
    const isSaving = wal.saveThen(hardState, entries, (error) => {
      this.#isLogBusy = false;
      if (error !== null) return this.#fail(error);
      const lateMs = this.#latenessMs - startLateMs;
      this.#notePhase(entries, startMs, this.#clock.now());
      this.#reportSaved(this.#clock.now() - startMs - lateMs, entries);
      then();
      this.#run();
    });
    if (!isSaving) return then();
    this.#isLogBusy = true;
  }

  #notePhase(entries: readonly Entry[], savingMs: number, savedMs: number): void {
    const last = entries.at(-1);
    if (last !== undefined) this.phases.saved(last.index, savingMs, savedMs);
  }

  #reportSaved(waitedMs: number, entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last !== undefined) this.#host.onSaved(waitedMs, last.index);
  }

  /** For how long in all the clock's ticks have been kept waiting: for a processor, or by turns of this very loop. */
  get #latenessMs(): number {
    return this.#lateMs + Math.max(0, this.#clock.now() - this.#tickDueMs);
  }

  #fail(error: DiskError): void {
    this.#isStopped = true;
    this.#host.onFatal(error);
  }

  #maybeIdle(): void {
    if (!this.#isStopped || this.#isLogBusy || this.#onIdle === null) return;
    const done = this.#onIdle;
    this.#onIdle = null;
    done();
  }

  #scheduleTick(): void {
    this.#tickDueMs = this.#clock.now() + this.#heartbeatIntervalMs;
    this.#timer = this.#clock.setTimer(this.#heartbeatIntervalMs, () => {
      if (this.#isStopped) return;
      // A process that was paused ticks once, not once for each interval that it missed: elections would follow.
      this.#lateMs += Math.max(0, this.#clock.now() - this.#tickDueMs);
      this.#node.tick();
      this.#host.onTick();
      this.#scheduleTick();
      this.wake();
    });
  }
}
