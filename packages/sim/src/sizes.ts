/**
 * How much the members do at a time, hold, or keep: constants of their sources, which a world draws from 1 up, so that what is large enough
 * to need two turns, two pages or two messages in production happens here with twenty keys.
 */
import type { SeededRandom } from '@etcd/base';
import { setSize } from './size-registry.ts';

interface SizeRow {
  /** Below `packages/`. */
  readonly file: string;
  readonly name: string;
  /** What may be drawn in place of what the source says. */
  readonly values: readonly number[];
}

const BYTES = [1, 100, 1024, 16_384] as const;
const COUNTS = [1, 2, 7, 50] as const;

function rows(file: string, values: Readonly<Record<string, readonly number[]>>): SizeRow[] {
  return Object.entries(values).map(([name, drawn]) => ({ file, name, values: drawn }));
}

export const SIZES: readonly SizeRow[] = [
  ...rows('bbolt/src/commit.ts', { MAX_WRITE_BYTES: BYTES }),
  ...rows('bbolt/src/committer.ts', { GROW_STEP_BYTES: [32_768, 65_536], MIN_FILE_BYTES: [1024, 8192] }),
  ...rows('bbolt/src/database.ts', { DEFAULT_CACHE_BYTES: [1, 16_384, 262_144] }),
  ...rows('bbolt/src/freelist-loader.ts', { READ_BYTES: BYTES }),
  ...rows('bbolt/src/migrate.ts', { GROUP_BYTES: [1, 16_384, 65_536], MIN_GROUP_PAGES: [2, 4] }),
  ...rows('bbolt/src/open-file.ts', { DEFAULT_PAGE_BYTES: [1024, 2048, 16_384] }),
  ...rows('bbolt/src/tree.ts', { MAX_NODE_ELEMENTS: [8, 30, 100] }),
  ...rows('bbolt/src/workspace.ts', { MAX_KEPT_ARENAS: [1, 2] }),
  ...rows('storage/src/backend/backend.ts', {
    DEFAULT_RECENT_BYTES: BYTES,
    DEFAULT_MAX_PENDING_BYTES: [65_536, 1_000_000],
    DEFRAGMENT_BYTES_PER_COMMIT: [1, 8192, 65_536],
  }),
  ...rows('storage/src/backend/commit-feed.ts', { SLICE_OPERATIONS: COUNTS, SLICE_BYTES: BYTES }),
  ...rows('storage/src/backend/hash.ts', { SLICE_KEYS: COUNTS, SLICE_BYTES: BYTES }),
  ...rows('storage/src/backend/revision-log.ts', { SLAB_BYTES: BYTES }),
  ...rows('storage/src/lease/lessor.ts', {
    MAX_CHECKPOINT_BATCH: COUNTS,
    PROMOTE_SLICE: COUNTS,
    REVOKE_RATE: [20, 200],
  }),
  ...rows('storage/src/mvcc/compaction-run.ts', { MAX_OLD: COUNTS }),
  ...rows('storage/src/mvcc/compactor.ts', { MAX_PENDING_OPERATIONS: [1, 10, 200] }),
  ...rows('storage/src/mvcc/hash-storage.ts', { SLICE_BYTES: BYTES }),
  ...rows('storage/src/mvcc/output-arena.ts', { ARRAY_BYTES: BYTES }),
  ...rows('storage/src/mvcc/range.ts', { MAX_STEP_BYTES: BYTES }),
  ...rows('storage/src/mvcc/watch/catch-up.ts', { SLICE_BYTES: BYTES }),
  ...rows('storage/src/mvcc/watch/watch-hub.ts', {
    MAX_WATCHERS_PER_CATCH_UP: [1, 2],
    MAX_CHANGES_AT_ONCE: COUNTS,
  }),
  ...rows('storage/src/snap/db-receiver.ts', { SYNC_STEP_BYTES: [1, 10_000, 65_536] }),
  ...rows('storage/src/wal/batch-encoder.ts', { KEPT_BYTES: BYTES }),
  ...rows('storage/src/wal/record-reader.ts', {
    CHUNK_BYTES: [1, 512, 5000],
    TAIL_CHECK_BYTES: [4096, 65_536],
  }),
  ...rows('storage/src/wal/segment-pipeline.ts', { SMALL_BATCH_BYTES: BYTES }),
  ...rows('server/src/consensus/held-proposals.ts', { MAX_HELD_BYTES: [1000, 20_000] }),
  ...rows('server/src/consensus/log-keeper.ts', {
    COMPACT_STEP_BYTES: [1, 1000, 50_000],
    MAX_RETAINED_BYTES: [1000, 50_000],
    MAX_NEEDED_BYTES: [2000, 100_000],
  }),
  ...rows('server/src/consensus/proposal-queue.ts', {
    MAX_BATCH_COUNT: COUNTS,
    MAX_BATCH_BYTES: BYTES,
    MAX_QUEUED_COUNT: [5, 50],
  }),
  ...rows('server/src/consensus/raft-loop.ts', { MAX_HELD_BYTES: [1, 1000, 50_000], MAX_TURN_MS: [1, 5] }),
  ...rows('server/src/request/envelope-memory.ts', { CHUNK_BYTES: [16_384] }),
  ...rows('server/src/rpc/kv-service.ts', { MAX_INLINE_BYTES: BYTES }),
  ...rows('server/src/rpc/maintenance-service.ts', { BLOB_BYTES: [512, 4096] }),
  // Added to the largest request, of 1.5 MiB: what is left is how much a message of a watch may have before it is sent in pieces.
  ...rows('server/src/rpc/watch-service.ts', { OVERHEAD_BYTES: [-1_572_800, -1_570_000] }),
  ...rows('server/src/rpc/range-answer.ts', {
    SLICE_BYTES: BYTES,
    MAX_INLINE_BYTES: BYTES,
    FIRST_CHUNK_KEYS: [1, 3],
  }),
  // Here, so that the other sizes of a seed stay what they were.
  ...rows('bbolt/src/commit.ts', { MIN_SYNCED_BYTES: BYTES }),
  ...rows('transport/src/http2/body.ts', { MIN_REFERRED_BYTES: [1, 10, 100], MIN_VIEW_BYTES: [1, 50] }),
  ...rows('server/src/rpc/range-answer.ts', { MIN_FOUND_BYTES: [1, 30] }),
  ...rows('server/src/cluster/reconfiguration.ts', { LOST_GRACE_MS: [0, 1000] }),
];

export function sizeKey({ file, name }: Pick<SizeRow, 'file' | 'name'>): string {
  return `${file} ${name}`;
}

/** So many of the sizes are not the usual ones, in a world that draws them. */
const DRAWN_SHARE = 0.5;

/** Sets all sizes, until the next world; says which are not the usual ones. */
export function drawSizes(random: SeededRandom): string[] {
  return SIZES.flatMap((row) => {
    const value = random.chance(DRAWN_SHARE) ? random.pick(row.values) : null;
    setSize(sizeKey(row), value);
    return value === null ? [] : [`${row.name} of ${row.file} is ${value}`];
  });
}

export function usualSizes(): void {
  for (const row of SIZES) setSize(sizeKey(row), null);
}
