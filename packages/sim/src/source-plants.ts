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
  /** A member that only follows does a transaction whose proposer is told that it reads what is compacted. */
  readsCompactedInTxn: plant({
    file: 'storage/src/mvcc/txn.ts',
    from: '  const error = check(store, request, new Path(path));\n',
    to: "  const found = check(store, request, new Path(path));\n  const error = options.skipRanges === true && found?.message.includes('compacted') ? null : found;\n",
  }),
  /** What a message from another member has in it lies in memory that is used again for the next. */
  keepsUsedMemory: plant({
    file: 'server/src/peer/frame-decoder.ts',
    from: 'return hasBytes(message) ? decodeMessage(copyRange(bytes, start, end)) : message;',
    to: 'return hasBytes(message) ? message : message;',
  }),
  /** Whoever goes on alone takes the last committed entry for one that is not. */
  dropsCommittedTail: plant({
    file: 'server/src/boot/force-new-cluster.ts',
    from: 'const committed = Math.max(hardState.commit, consistentIndex);',
    to: 'const committed = hardState.commit - 1;',
  }),
  /** Now and then a read is done, and goes on holding what it has read. */
  forgetsViews: plant({
    file: 'storage/src/mvcc/views.ts',
    from: 'if (this.#backend !== null) this.#views.end(this);',
    to: 'if (this.#backend !== null && this.readRevision % 3 !== 0) this.#views.end(this);',
  }),
  /** Watchers begin again where they once began when the leader's database comes. */
  watchersGoBack: plant({
    file: WATCH_HUB,
    from: 'watcher.minRevision = Math.max(watcher.minRevision, this.#notifiedRevision + 1);',
    to: 'watcher.minRevision = Math.max(1, watcher.startRevision, this.#store.compactRevision);',
  }),
  /** A second database of the leader is taken over while the first still is. */
  takesTwoDatabases: plant({
    file: 'server/src/consensus/raft-loop.ts',
    from: 'if (this.#held !== null && (changesConfiguration || ready.snapshot !== null)) {',
    to: 'if (this.#held !== null && changesConfiguration) {',
  }),
  /** The page that says where everything is may be on the disk before the pages that it names. */
  namesPagesEarly: plant(
    {
      file: 'bbolt/src/commit.ts',
      from: 'if (this.#runs > 0 && !this.#options.noSync) file.sync();',
      to: '',
    },
    { file: 'bbolt/src/commit.ts', from: '      file.syncThen(then);\n', to: '      then(null);\n' },
    {
      file: 'bbolt/src/commit.ts',
      from: 'if (!noSync && runs.sizeBytes >= MIN_SYNCED_BYTES && syncedAlone < MAX_SYNCED_ALONE) {',
      to: 'if (!noSync && runs.sizeBytes < 0) {',
    },
  ),
  /** Each member refuses what it has no room for, whatever the alarms say. */
  refusesByOwnSize: plant({
    file: 'server/src/apply/applier.ts',
    from: 'return grows && alarms.hasNoSpace ? ErrNoSpace : null;',
    to: 'return grows && (alarms.hasNoSpace || !this.#options.quota.hasRoomFor(1)) ? ErrNoSpace : null;',
  }),
  /** Alarms stay what they were when the leader's database comes. */
  keepsOldAlarms: plant({
    file: 'server/src/apply/state-machine.ts',
    from: '    this.#alarms = new Alarms(backend);\n    this.lessor.recover(backend);',
    to: '    this.lessor.recover(backend);',
  }),
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
  /** Of leases that end together only some are ended: those that would have to wait are forgotten. */
  forgetsLeasesInLine: plant({
    file: 'server/src/cluster/lease-revoker.ts',
    from: '        this.#queue.push(id);\n',
    to: '        if (this.#queue.count + this.#pendingCount < MAX_PENDING) this.#queue.push(id);\n',
  }),
  /** The revision of a restored cluster jumps, but who watched the former one is not told. */
  bumpsWithoutTelling: plant({
    file: 'etcdutl/src/snapshot/restore.ts',
    from: '  writeScheduledCompact(transactionWriter(write), bumped);\n',
    to: '',
  }),
  /** A restored cluster takes what is new in its log for what is in the copy already. */
  keepsIndexOfCopy: plant({
    file: 'etcdutl/src/snapshot/restore.ts',
    from: '      writeConsistentIndex(writer, { index: cluster.members().length, term: TERM });\n',
    to: '',
  }),
  /** A snapshot for which there is no descriptor is taken for a damaged one. */
  breaksWhatItCanNotOpen: plant({
    file: 'storage/src/snap/snapshotter.ts',
    from: '      if (!(error instanceof SnapError)) throw error;\n      const brokenPath',
    to: "      if (!(error instanceof SnapError) && (error as DiskError).code !== 'EMFILE') throw error;\n      const brokenPath",
  }),
  /** A database follows the first version of its cluster, and no later one until its member starts again. */
  followsOnlyOnce: plant({
    file: 'server/src/member/storage-version.ts',
    from: '    this.#last = version;\n    if (!isLower) return this.follow();\n',
    to: '    const isFirst = this.#last === null;\n    this.#last = version;\n    if (!isLower) return isFirst ? this.follow() : undefined;\n',
  }),
  /** A downgrade that was announced is forgotten by the next start. */
  forgetsDowngrades: plant({
    file: 'storage/src/membership/membership.ts',
    from: '    putDowngrade(writer, downgrade);\n',
    to: '    if (!downgrade.enabled) putDowngrade(writer, downgrade);\n',
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
