/**
 * Bugs that are planted into lines of the members' sources, for what no wrapper from outside can make wrong. Most are ways in which etcd, or this
 * program, was wrong once; `corpus.ts` says which, and in which world each is found.
 */

export interface SourceEdit {
  /** Below `packages/`. */
  readonly file: string;
  /** Text that occurs once in the file, and what stands in its place. */
  readonly from: string;
  readonly to: string;
}

export interface SourcePlant {
  readonly edits: readonly SourceEdit[];
}

function plant(...edits: readonly SourceEdit[]): SourcePlant {
  return { edits };
}

const WATCH_HUB = 'storage/src/mvcc/watch/watch-hub.ts';

const dropsTombstones: readonly SourceEdit[] = [
  {
    file: 'storage/src/mvcc/key-index/key-records.ts',
    from: 'if (this.isLive(ref) || main === rev) return true;',
    to: 'if (this.isLive(ref)) return true;',
  },
];

export const SOURCE_PLANTS: Readonly<Record<string, SourcePlant>> = {
  /** A step of the defragmentation packs leaves that a compaction in the same transaction has emptied. */
  emptyLeavesWritten: plant(
    {
      file: 'bbolt/src/rebalance.ts',
      from: 'if (child !== null && child.count === 0) {',
      to: 'if (child !== null && child.shrunk && child.count === 0) {',
    },
    {
      file: 'bbolt/src/spill.ts',
      from: "assert(child.count > 0, 'spill: an empty page below the root, whose separator would have no key');",
      to: 'assert(true);',
    },
  ),
  /** The database says that it has one entry more than it has: the next start leaves that one out. */
  savesIndexAhead: plant({
    file: 'storage/src/schema/consistent-index.ts',
    from: 'writeConsistentIndex(batch, { index: this.#index, term: this.#term });',
    to: 'writeConsistentIndex(batch, { index: this.#index + 1, term: this.#term });',
  }),
  /** Users and roles stay what they were when the leader's database comes. */
  keepsOldUsers: plant({
    file: 'server/src/apply/state-machine.ts',
    from: '    this.auth.recover(backend);\n',
    to: '',
  }),
  /** A watcher that is behind is told how far the store is before the events up to there. */
  tellsProgressEarly: plant({
    file: 'storage/src/mvcc/watch/watch-stream.ts',
    from: 'if (!this.#isUpToDate(watcher)) return false;',
    to: 'if (watcher.startRevision < 0) return false;',
  }),
  /** A watcher that begins later is told of progress before it begins. */
  tellsProgressOfFuture: plant({
    file: 'storage/src/mvcc/watch/watch-stream.ts',
    from: 'return watcher.state === SYNCED && this.#hub.revision >= watcher.startRevision;',
    to: 'return watcher.state === SYNCED;',
  }),
  /** A watcher that begins later is told of events before it begins. */
  tellsEventsOfPast: plant({
    file: WATCH_HUB,
    from: 'const isWhole = watcher.isUnfiltered && watcher.minRevision <= first;',
    to: 'const isWhole = watcher.isUnfiltered;',
  }),
  /** Now and then events are sent twice. */
  tellsTwice: plant({
    file: WATCH_HUB,
    from: 'if (events.count > 0) watcher.stream.sink.sendEvents(watcher, events, revision);',
    to: 'for (let i = revision % 30 === 0 ? 2 : 1; i > 0 && events.count > 0; i--) watcher.stream.sink.sendEvents(watcher, events, revision);',
  }),
  /** What comes while a stream is full is lost to its watchers. */
  starvedStreamsLose: plant({
    file: WATCH_HUB,
    from: '        this.#park(watcher, group, first);\n',
    to: '        if (group !== this.#synced) this.#park(watcher, group, first);\n',
  }),
  /** A compaction removes a deletion that happened at its own revision. */
  dropsTombstones: plant(...dropsTombstones),
  /** The same, and a start takes the newest revision that it finds for the newest that there was. */
  revisionGoesBack: plant(...dropsTombstones, {
    file: 'storage/src/mvcc/restore.ts',
    from: 'this.revision = Math.max(this.revision, this.compactRevision, this.scheduled);',
    to: 'this.revision = Math.max(this.revision, 1);',
  }),
};
