/** Segments of the change log in a store: how they get there, and how what they tell comes back in one piece. */
import { Readable } from 'node:stream';
import type { Revision } from '@etcd/api';
import { makeHeader, type SealedHeader, type Sealing, type Secrets } from './age-header.ts';
import { opened, sealed } from './age-payload.ts';
import { BackupError } from './backup-error.ts';
import { type ChangeRecord, parseChanges, revisionOf } from './changes-format.ts';
import { type ChangesSegment, changesName, segmentsOf } from './changes-name.ts';
import { compressed, decompressed } from './compression.ts';
import { collect } from './content.ts';
import type { BackupMetadata, Compression } from './metadata.ts';
import type { ObjectStore } from './object-store.ts';

/** Of a segment as it lies in the store; writers make theirs much smaller. */
const MAX_SEGMENT_BYTES = 512 << 20;
/** Clocks of members differ by less. */
const CLOCK_SLACK_MS = 10 * 60_000;

export type Stretch = Pick<ChangesSegment, 'firstRevision' | 'lastRevision' | 'writtenMs'>;

export interface ChangesSinkOptions {
  readonly clusterId: string;
  readonly compression: Compression;
  readonly sealing: Sealing | null;
}

/** Where segments of one cluster go. */
export class ChangesSink {
  readonly #objects: ObjectStore;
  readonly #options: ChangesSinkOptions;
  /** The same for all that this sink writes: what a passphrase costs is paid once. Each file's own key comes from its nonce. */
  readonly #header: SealedHeader | null;

  private constructor(objects: ObjectStore, options: ChangesSinkOptions, header: SealedHeader | null) {
    this.#objects = objects;
    this.#options = options;
    this.#header = header;
  }

  /** Throws {@link BackupError}. */
  static async open(objects: ObjectStore, options: ChangesSinkOptions): Promise<ChangesSink> {
    await objects.prepare();
    return new ChangesSink(objects, options, options.sealing && (await makeHeader(options.sealing)));
  }

  /** Resolves when the segment is there to stay. Throws {@link BackupError}. */
  async write(stretch: Stretch, pieces: readonly Buffer[]): Promise<void> {
    const { clusterId, compression } = this.#options;
    const header = this.#header;
    const name = changesName({ ...stretch, clusterId, compression, isSealed: header !== null });
    const content = compressed(Readable.from(pieces, { objectMode: false }), compression);
    await this.#objects.write(name, header === null ? content : sealed(content, header));
  }
}

/** The last revision that the segments of a cluster reach to; 0: there are none. */
export async function changesReachTo(objects: ObjectStore, clusterId: string): Promise<Revision> {
  const segments = segmentsOf((await objects.files()).keys(), clusterId);
  return segments.reduce((last, { lastRevision }) => Math.max(last, lastRevision), 0);
}

/** Removes segments that tell of nothing after `revision`: no backup that is left needs them. Says how many. */
export async function pruneChanges(
  objects: ObjectStore,
  clusterId: string,
  revision: Revision,
): Promise<number> {
  const old = segmentsOf((await objects.files()).keys(), clusterId).filter(
    ({ lastRevision }) => lastRevision <= revision,
  );
  for (const { name } of old) await objects.remove(name);
  return old.length;
}

/** How far to go on: to a revision, or to what was known at a moment (milliseconds since 1970), both included. */
export type Until =
  | { readonly kind: 'revision'; readonly revision: Revision }
  | { readonly kind: 'time'; readonly timeMs: number };

export interface ReadChangesOptions {
  /** What the changes are to follow. */
  readonly base: BackupMetadata;
  readonly until: Until;
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
}

/**
 * What changed after a backup, in order; a record may tell again of what is in the backup already, or in one before. Throws {@link BackupError}
 * where something is missing or damaged before the end.
 */
export async function* readChanges(
  objects: ObjectStore,
  { base, until, secrets, signal }: ReadChangesOptions,
): AsyncGenerator<ChangeRecord, void, void> {
  const earliestMs = Date.parse(base.createdAt) - CLOCK_SLACK_MS;
  const segments = segmentsOf((await objects.files()).keys(), base.clusterId).filter(
    ({ lastRevision, writtenMs }) => lastRevision > base.revision && writtenMs >= earliestMs,
  );
  let reached = base.revision;
  for (const segment of segments) {
    signal.throwIfAborted();
    if (segment.lastRevision <= reached) continue;
    if (until.kind === 'revision' && reached >= until.revision) return;
    if (segment.firstRevision > reached + 1) {
      const gap = `${reached + 1} to ${segment.firstRevision - 1}`;
      throw new BackupError(`${objects.address}: no changes of revisions ${gap} are there`);
    }
    for (const record of await readSegment(objects, segment, secrets)) {
      if (until.kind === 'time' && record.timeMs > until.timeMs) return;
      if (record.kind === 'lease' || until.kind === 'time') {
        yield record;
        continue;
      }
      const events = record.events.filter((event) => revisionOf(event) <= until.revision);
      yield { ...record, events };
      if (events.length < record.events.length) return;
    }
    reached = segment.lastRevision;
  }
}

async function readSegment(
  objects: ObjectStore,
  segment: ChangesSegment,
  secrets: Secrets,
): Promise<ChangeRecord[]> {
  const { name, isSealed, compression } = segment;
  try {
    const stored = await objects.read(name);
    const content = decompressed(isSealed ? opened(stored, secrets) : stored, compression);
    return parseChanges(await collect(content, MAX_SEGMENT_BYTES));
  } catch (error) {
    throw new BackupError(`${name}: ${(error as Error).message}`);
  }
}
