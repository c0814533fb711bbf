/**
 * Keeps the log short. In memory raft needs the entries that a slow member might still ask for; on disk the log begins at
 * the last snapshot, which is written when enough has been applied since the one before.
 *
 * A snapshot is a `.snap` file (position, voters, and the membership in the form that etcd up to 3.5 reads) and a record in
 * the log. Both come after a commit of the backend that reaches the same position: a log must never begin behind its database.
 *
 * Invariants: one snapshot is written at a time; where the log begins only moves on, on disk and in memory, and never beyond what is
 * applied; the committed database reaches to where the log is about to begin.
 */

import type { LogIndex, Term } from '@etcd/api';
import { type ConfState, type Entry, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { assert, type DiskError } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import { type Backend, transactionReader } from '@etcd/storage/backend';
import { compareVersions, encodeV2Store, formatId } from '@etcd/storage/membership';
import { readConsistentIndex, writeConsistentIndex } from '@etcd/storage/schema';
import { FIRST_WITHOUT_V2 } from '../request/index.ts';
import type { MemberEnvironment } from './member-environment.ts';
import type { RaftLoop } from './raft-loop.ts';

export interface LogKeeperOptions
  extends Pick<MemberEnvironment, 'logger' | 'membership' | 'raftStorage' | 'snapshotter' | 'memberId'> {
  readonly backend: () => Backend;
  readonly loop: RaftLoop;
  /** Entries applied between two snapshots on disk: etcd's `--snapshot-count`. */
  readonly snapshotCount: number;
  /** Entries kept in memory behind the applied one, for slow members. */
  readonly catchUpEntries: number;
  /** The first entry that a connected member is yet to get from this one; Infinity when there is none. */
  readonly neededFrom: () => LogIndex;
  /** Where the last snapshot stands. */
  readonly snapshotIndex: LogIndex;
  /** Of the log that was found: up to here there are entries that a member which comes now might not read; 0: none. */
  readonly unreadableTo: LogIndex;
  /** These entries are not in memory any more. */
  readonly onForgotten: (entries: readonly Entry[]) => void;
  readonly onFatal: (error: DiskError | BoltError) => void;
}

/** The position that a snapshot describes. */
export interface AppliedPosition {
  readonly index: LogIndex;
  readonly term: Term;
  readonly confState: ConfState;
}

/** How often the log in memory is looked at, in entries and in bytes; more often where fewer entries are kept. */
const COMPACT_STEP = 256;
const COMPACT_STEP_BYTES = 8 * 1024 * 1024;
/**
 * A member that is alone keeps this many: whoever is added gets the database anyway, once the log does not begin at its first entry. Entries
 * that go this soon die young; those that wait for thousands more grow old, and are garbage for V8's full collections alone.
 */
const MAX_ENTRIES_ALONE = 256;
/** Entries in memory are let go earlier when they are large: a bound on memory that their number alone does not give. */
const MAX_RETAINED_BYTES = 64 * 1024 * 1024;
/** And this bound holds even for what a member that is catching up still needs: beyond it, it gets another snapshot. */
const MAX_NEEDED_BYTES = 512 * 1024 * 1024;

export class LogKeeper {
  readonly #options: LogKeeperOptions;
  readonly #compactStep: number;
  #diskIndex: number;
  #isSaving = false;
  #isForced = false;
  #onForced: (() => void)[] = [];
  /** Entries up to here are not for members that come now: one of them is of a release, or for one, that is no more. */
  #unreadableTo: LogIndex;
  #isNewcomerDue = false;
  /** Applied bytes in all, and for every step where they stood. */
  #appliedBytes = 0;
  #marks: { readonly index: LogIndex; readonly bytes: number }[] = [];

  constructor(options: LogKeeperOptions) {
    this.#options = options;
    this.#diskIndex = options.snapshotIndex;
    this.#unreadableTo = options.unreadableTo;
    this.#compactStep = Math.min(COMPACT_STEP, Math.max(1, options.catchUpEntries));
  }

  /** A snapshot on disk is taken as soon as possible, whatever the count says; `done` when one reaches at least to here. */
  force(done: () => void = () => {}): void {
    this.#isForced = true;
    this.#onForced.push(done);
  }

  /** There is an entry at `index`, or before, that could end a member of another release. */
  onUnreadable(index: LogIndex): void {
    this.#unreadableTo = index;
  }

  /** A member was added, of whatever release: it gets no entry from memory that would end it. */
  onMemberAdded(): void {
    this.#isNewcomerDue = this.#isOpenToAll;
  }

  /** Entries of `bytes` together have been applied, up to `position`. */
  onApplied(position: AppliedPosition, bytes: number): void {
    assert(position.index >= this.#diskIndex, 'log keeper: the log begins behind what is applied');
    this.#appliedBytes += bytes;
    this.#compactMemory(position);
    const isLong = position.index - this.#diskIndex > this.#options.snapshotCount;
    // Etcd reads the log from its last snapshot on: nothing that another release does not read may be behind it.
    const isOpenLog = this.#unreadableTo > this.#diskIndex && this.#isOpenToAll;
    const isDue = isLong || this.#isForced || isOpenLog;
    if (isDue && !this.#isSaving && position.index > this.#diskIndex) this.#save(position);
  }

  /** Everything up to `index` has come as a snapshot from the leader. */
  onInstalled(index: LogIndex): void {
    assert(index > this.#diskIndex, 'log keeper: a snapshot of the leader that is older than our own');
    this.#diskIndex = index;
    this.#marks = [];
    this.#options.snapshotter.releaseSnapDbs(index);
  }

  #compactMemory(position: AppliedPosition): void {
    const { index } = position;
    const marks = this.#marks;
    const last = marks.at(-1);
    const forgetTo = this.#isNewcomerDue ? this.#unreadableTo : 0;
    const isStep =
      last === undefined ||
      index >= last.index + this.#compactStep ||
      this.#appliedBytes >= last.bytes + COMPACT_STEP_BYTES;
    if (!isStep && forgetTo === 0) return;
    marks.push({ index, bytes: this.#appliedBytes });
    let keepFrom = index - this.#options.catchUpEntries;
    if (keepFrom > 0 && isAlone(position.confState)) keepFrom = Math.max(keepFrom, index - MAX_ENTRIES_ALONE);
    const tooOld = marks.findLast(({ bytes }) => this.#appliedBytes - bytes > MAX_RETAINED_BYTES);
    if (tooOld !== undefined && tooOld.index > keepFrom) keepFrom = tooOld.index;
    const outOfBounds = marks.findLast(({ bytes }) => this.#appliedBytes - bytes > MAX_NEEDED_BYTES);
    keepFrom = Math.max(
      Math.min(keepFrom, this.#options.neededFrom() - 1),
      outOfBounds?.index ?? 0,
      forgetTo,
    );
    if (keepFrom <= 0) return;
    assert(keepFrom <= index, 'log keeper: what is not applied must not be forgotten');
    this.#marks = marks.filter((mark) => mark.index >= keepFrom);
    if (this.#isSaving) return;
    this.#isNewcomerDue = false;
    const { raftStorage, membership } = this.#options;
    if (keepFrom < raftStorage.firstIndex()) return;
    // Whoever needs what is let go gets a snapshot: the one that raft knows of must reach to where the log begins.
    if (keepFrom > raftStorage.snapshot().metadata.index) {
      raftStorage.createSnapshot(index, position.confState, encodeV2Store(membership.state()));
    }
    const forgotten = raftStorage.entries(raftStorage.firstIndex(), keepFrom + 1, Number.POSITIVE_INFINITY);
    raftStorage.compact(keepFrom);
    if (forgotten !== null) this.#options.onForgotten(forgotten);
  }

  /** A cluster of 3.4 is one for 3.4: what only that and its like read stays in the log. */
  get #isOpenToAll(): boolean {
    const { version } = this.#options.membership;
    return version !== null && compareVersions(version, FIRST_WITHOUT_V2) >= 0;
  }

  #save(position: AppliedPosition): void {
    const { logger, memberId, snapshotCount, onFatal } = this.#options;
    const backend = this.#options.backend();
    this.#isSaving = true;
    logger.info('triggering snapshot', {
      'local-member-id': formatId(memberId),
      'local-member-applied-index': position.index,
      'local-member-snapshot-index': this.#diskIndex,
      'local-member-snapshot-count': snapshotCount,
      'snapshot-forced': this.#isForced,
    });
    this.#isForced = false;
    const onForced = this.#onForced;
    this.#onForced = [];
    const data = encodeV2Store(this.#options.membership.state());
    // Entries that changed nothing leave nothing to commit; the position must be in the database all the same.
    writeConsistentIndex(backend, position);
    backend.commitNowThen((error) => {
      if (error !== null) return onFatal(error);
      const committed = readConsistentIndex(transactionReader(backend.committed));
      assert(committed.index >= position.index, 'log keeper: the log would begin behind its database');
      this.#saveFiles(position, data, onForced);
    });
  }

  #saveFiles(
    { index, term, confState }: AppliedPosition,
    data: Uint8Array,
    onForced: readonly (() => void)[],
  ): void {
    const { snapshotter, raftStorage, loop, logger, onFatal } = this.#options;
    const snapshot = new Snapshot({ data, metadata: new SnapshotMetadata({ index, term, confState }) });
    snapshotter.saveSnapThen(snapshot, (error) => {
      if (error !== null) return onFatal(error);
      loop.saveSnapshotRecord(new WalSnapshot({ index, term, confState }), (failed, isRecorded) => {
        if (failed !== null) return onFatal(failed);
        assert(this.#isSaving, 'log keeper: a snapshot was recorded twice');
        this.#isSaving = false;
        for (const done of onForced) done();
        if (!isRecorded)
          return logger.info('snapshot overtaken by one of the leader', { 'snapshot-index': index });
        raftStorage.createSnapshot(index, confState, data);
        snapshotter.releaseSnapDbs(index);
        this.#diskIndex = Math.max(this.#diskIndex, index);
        logger.info('saved snapshot to disk', { 'snapshot-index': index });
      });
    });
  }
}

function isAlone({ voters, votersOutgoing, learners, learnersNext }: ConfState): boolean {
  return voters.length + votersOutgoing.length + learners.length + learnersNext.length === 1;
}
