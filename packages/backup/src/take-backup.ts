/** A backup from a member to a store: compressed and sealed as it comes, so that what is on the disk never was in the clear. */
import { Readable } from 'node:stream';
import { makeHeader, type Sealing } from './age-header.ts';
import { AgeSealer } from './age-payload.ts';
import type { BackupStore } from './backup-store.ts';
import { compressors } from './compression.ts';
import { type BackupMetadata, backupName, type Compression } from './metadata.ts';
import { Meter, SnapshotMeter } from './meter.ts';

/** What is known of a member when it is backed up. Ids are hexadecimal. */
export interface SourceFacts {
  /** Where the snapshot is asked for. */
  readonly endpoint: string;
  readonly clusterId: string;
  readonly memberId: string;
  readonly version: string;
  readonly revision: number;
  readonly hash: number;
  readonly hashCompactRevision: number;
  /** At {@link revision}; where counting them is too much to ask, it is left out. */
  readonly keys?: number;
}

/** A member, be it over the network or this process. */
export interface SnapshotSource {
  facts(): Promise<SourceFacts>;
  /** The pieces of a snapshot that is not older than what {@link facts} said before, its digest last. */
  snapshot(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface TakeOptions {
  readonly source: SnapshotSource;
  readonly compression: Compression;
  /** Null: for everybody to read. */
  readonly sealing: Sealing | null;
  readonly signal: AbortSignal;
}

/** Resolves when it is there to stay; leaves nothing behind otherwise. */
export async function takeBackup(
  store: BackupStore,
  options: TakeOptions,
  now: Date = new Date(),
): Promise<BackupMetadata> {
  const { source, compression, sealing, signal } = options;
  await store.prepare();
  const header = sealing === null ? null : await makeHeader(sealing);
  const facts = await source.facts();
  const encryption = header === null ? 'none' : 'age';
  const name = backupName(facts.clusterId, now, facts.revision, compression, encryption);
  const plain = new SnapshotMeter();
  const stored = new Meter();
  const parts = [
    Readable.from(source.snapshot(signal), { objectMode: false }),
    plain,
    ...compressors(compression),
    ...(header === null ? [] : [new AgeSealer(header)]),
    stored,
  ];
  await store.write(name, parts, signal);
  const metadata: BackupMetadata = {
    format: 1,
    name,
    createdAt: now.toISOString(),
    clusterId: facts.clusterId,
    memberId: facts.memberId,
    memberVersion: facts.version,
    source: facts.endpoint,
    revision: facts.revision,
    hash: facts.hash,
    hashCompactRevision: facts.hashCompactRevision,
    ...(facts.keys === undefined ? {} : { keys: facts.keys }),
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
