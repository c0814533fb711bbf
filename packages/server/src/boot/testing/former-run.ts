/** What a member does with the parts of its start, in the order of a real one, for tests of the start that comes after it. */
import {
  type ConfChange,
  type ConfState,
  Entry,
  EntryType,
  HardState,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { confChangeEntry, decodeConfChangeEntry } from '@etcd/raft';
import { confStateOf, membershipWriter } from '@etcd/storage/data';
import { encodeV2Store } from '@etcd/storage/membership';
import { writeConfState, writeConsistentIndex } from '@etcd/storage/schema';
import type { MemberParts } from '../bootstrap.ts';
import { closeParts } from './boot-world.ts';

const TERM = 1;

export class FormerRun {
  readonly parts: MemberParts;
  /** The log behind its last snapshot. */
  readonly #entries: Entry[] = [];
  readonly #firstIndex: number;
  #appliedIndex: number;

  /** @param parts of a start: what one that has founded a cluster has for the log is logged. */
  constructor(parts: MemberParts) {
    this.parts = parts;
    const { raftStorage, consistentIndex, node } = parts;
    this.#firstIndex = raftStorage.firstIndex();
    this.#appliedIndex = consistentIndex.index;
    const logged = raftStorage.entries(
      this.#firstIndex,
      raftStorage.lastIndex() + 1,
      Number.MAX_SAFE_INTEGER,
    );
    this.#entries.push(...(logged ?? []));
    if (!node.hasReady()) return;
    const { hardState, entries } = node.ready();
    parts.wal.save(hardState, entries);
    this.#entries.push(...entries);
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  /** Logs so many entries that change nothing, and says that all up to `commit` is committed; to the last unless told. */
  log(count: number, commit = this.lastIndex + count): this {
    return this.#save(
      Array.from({ length: count }, () => new Entry({ type: EntryType.EntryNormal })),
      commit,
    );
  }

  /** Logs, as committed, changes of who belongs to the cluster. */
  change(...changes: ConfChange[]): this {
    return this.#save(changes.map(confChangeEntry), this.lastIndex + changes.length);
  }

  #save(entries: Entry[], commit: number): this {
    for (const entry of entries) {
      entry.index = this.lastIndex + 1;
      entry.term = TERM;
      this.#entries.push(entry);
    }
    this.parts.wal.save(new HardState({ term: TERM, vote: this.parts.memberId, commit }), entries);
    return this;
  }

  /** Applies what is logged, up to `to`, which may be further than the log: all unless told. */
  apply(to = this.lastIndex): this {
    const { backend, membership } = this.parts;
    const writer = membershipWriter(backend);
    for (const entry of this.#entries.filter(({ index }) => index > this.#appliedIndex && index <= to)) {
      const change = decodeConfChangeEntry(entry);
      if (change !== null) membership.applyConfChange(change as ConfChange, writer);
    }
    writeConfState(backend, confStateOf(membership.state()));
    writeConsistentIndex(backend, { index: to, term: TERM });
    this.#appliedIndex = to;
    return this;
  }

  /** The log begins behind what is applied, as far as the log is concerned; the database is not committed for it. */
  recordSnapshot(index = this.#appliedIndex): this {
    const { snapshotter, wal, membership } = this.parts;
    const confState: ConfState = confStateOf(membership.state());
    const metadata = new SnapshotMetadata({ index, term: TERM, confState });
    snapshotter.saveSnap(new Snapshot({ metadata, data: encodeV2Store(membership.state()) }));
    wal.saveSnapshot(new WalSnapshot({ index, term: TERM, confState }));
    return this;
  }

  /** An end in order: what is applied is committed. */
  end(): void {
    closeParts(this.parts);
  }
}
