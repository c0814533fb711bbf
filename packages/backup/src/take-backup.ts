/** A backup from a member to a store: compressed and sealed as it comes, so that what is on the disk never was in the clear. */
import { makeHeader, type Sealing } from './age-header.ts';
import { sealed } from './age-payload.ts';
import type { BackupStore } from './backup-store.ts';
import { compressed } from './compression.ts';
import type { Content } from './content.ts';
import { type BackupMetadata, backupName, type Compression } from './metadata.ts';
import { Meter, type OnPassed, SnapshotMeter } from './meter.ts';

/** What is known of a member when it is backed up. Ids are hexadecimal. */
export interface SourceFacts {
  /** Where the snapshot is asked for. */
  readonly endpoint: string;
  readonly clusterId: string;
  readonly memberId: string;
  readonly version: string;
  readonly revision: number;
}

/** What the keys are at a revision. */
export interface SourceHash {
  readonly hash: number;
  readonly hashCompactRevision: number;
  /** Where counting them is too much to ask, it is left out. */
  readonly keys?: number;
}

/** A member, be it over the network or this process. */
export interface SnapshotSource {
  facts(): Promise<SourceFacts>;
  /** Of the keys at the revision that {@link facts} said; asked for while the snapshot is under way. */
  hash(revision: number, signal: AbortSignal): Promise<SourceHash>;
  /** The pieces, lent, of a snapshot that is not older than what {@link facts} said before, its digest last. */
  snapshot(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface TakeOptions {
  readonly source: SnapshotSource;
  readonly compression: Compression;
  /** Null: for everybody to read. */
  readonly sealing: Sealing | null;
  readonly signal: AbortSignal;
  readonly onPassed?: OnPassed;
}

/** Resolves when it is there to stay; leaves nothing behind otherwise. */
export async function takeBackup(
  store: BackupStore,
  options: TakeOptions,
  now: Date = new Date(),
): Promise<BackupMetadata> {
  const { source, compression, sealing, signal, onPassed } = options;
  await store.prepare();
  const header = sealing === null ? null : await makeHeader(sealing);
  const facts = await source.facts();
  const encryption = header === null ? 'none' : 'age';
  const name = backupName(facts.clusterId, now, facts.revision, compression, encryption);
  const plain = new SnapshotMeter(onPassed);
  const stored = new Meter();
  const contentOf = (both: AbortSignal): Content => {
    const content = compressed(plain.measure(source.snapshot(both)), compression);
    return header === null ? content : sealed(content, header);
  };
  const hashed = await togetherWith(
    signal,
    (both) => source.hash(facts.revision, both),
    (both) => store.write(name, stored.measure(contentOf(both)), both),
    () => store.discard(name),
  );
  const metadata: BackupMetadata = {
    format: 1,
    name,
    createdAt: now.toISOString(),
    clusterId: facts.clusterId,
    memberId: facts.memberId,
    memberVersion: facts.version,
    source: facts.endpoint,
    revision: facts.revision,
    hash: hashed.hash,
    hashCompactRevision: hashed.hashCompactRevision,
    ...(hashed.keys === undefined ? {} : { keys: hashed.keys }),
    sizeBytes: plain.byteCount,
    sha256: plain.sha256(),
    storedBytes: stored.byteCount,
    storedSha256: stored.sha256(),
    compression,
    encryption,
  };
  try {
    await store.writeMetadata(metadata);
  } catch (error) {
    await store.discard(name);
    throw error;
  }
  return metadata;
}

/** Asks while it writes. Where one fails the other is given up, and what was written is taken back; what failed first is thrown. */
async function togetherWith<T>(
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
  write: (signal: AbortSignal) => Promise<void>,
  takeBack: () => Promise<void>,
): Promise<T> {
  const controller = new AbortController();
  const both = AbortSignal.any([signal, controller.signal]);
  const failures: unknown[] = [];
  const failed = (error: unknown): never => {
    failures.push(error);
    controller.abort(error);
    throw error;
  };
  const [asked, written] = await Promise.allSettled([ask(both).catch(failed), write(both).catch(failed)]);
  if (asked.status === 'fulfilled' && written.status === 'fulfilled') return asked.value;
  if (written.status === 'fulfilled') await takeBack();
  signal.throwIfAborted();
  throw failures[0];
}
