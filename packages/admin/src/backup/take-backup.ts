/** A backup from a member to a store: compressed and sealed as it comes, so that what is on the disk never was in the clear. */
import { Readable } from 'node:stream';
import { createGzip, createZstdCompress } from 'node:zlib';
import { type ConnectOptions, connect } from '@etcd/client/node';
import { makeHeader, type Sealing } from './age-header.ts';
import { AgeSealer } from './age-payload.ts';
import type { DirectoryStore } from './directory-store.ts';
import { type BackupMetadata, backupName, type Compression } from './metadata.ts';
import { Meter, SnapshotMeter } from './meter.ts';
import { factsOf, snapshotOf } from './snapshot-source.ts';

export interface TakeOptions {
  readonly endpoint: string;
  readonly connection: ConnectOptions;
  readonly compression: Compression;
  /** Null: for everybody to read. */
  readonly sealing: Sealing | null;
  readonly signal: AbortSignal;
}

/** Resolves when it is there to stay; leaves nothing behind otherwise. */
export async function takeBackup(
  store: DirectoryStore,
  options: TakeOptions,
  now: Date = new Date(),
): Promise<BackupMetadata> {
  const { endpoint, connection, compression, sealing, signal } = options;
  store.prepare();
  const header = sealing === null ? null : await makeHeader(sealing);
  const client = connect({ ...connection, endpoints: [endpoint] });
  try {
    await client.authenticate();
    const facts = await factsOf(client, endpoint);
    const encryption = header === null ? 'none' : 'age';
    const name = backupName(facts.clusterId, now, facts.revision, compression, encryption);
    const plain = new SnapshotMeter();
    const stored = new Meter();
    await store.write(name, [
      Readable.from(snapshotOf(client, signal), { objectMode: false }),
      plain,
      ...compressors(compression),
      ...(header === null ? [] : [new AgeSealer(header)]),
      stored,
    ]);
    const metadata: BackupMetadata = {
      format: 1,
      name,
      createdAt: now.toISOString(),
      clusterId: facts.clusterId,
      memberId: facts.memberId,
      memberVersion: facts.version,
      source: endpoint,
      revision: facts.revision,
      hash: facts.hash,
      hashCompactRevision: facts.hashCompactRevision,
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
  } finally {
    client.close();
  }
}

function compressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGzip({ level: 1 })];
  return compression === 'zstd' ? [createZstdCompress()] : [];
}
