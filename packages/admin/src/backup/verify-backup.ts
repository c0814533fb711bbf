/** Whether a backup is good: every record of it is read, and a member is started with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BackupError,
  type BackupMetadata,
  type BackupStore,
  type OnPassed,
  readBackup,
  type Secrets,
} from '@etcd/backup';
import type { Verified } from '@etcd/etcdutl/snapshot';
import { type Rehearsal, rehearse } from './rehearse.ts';

export interface BackupReport {
  readonly found: Verified;
  /** False where a compaction came between the hash and the snapshot: then the hashes say nothing about each other. */
  readonly isHashCompared: boolean;
  /** Null: none was asked for. */
  readonly rehearsal: Rehearsal | null;
}

export interface VerifyOptions {
  readonly secrets: Secrets;
  /** Where there is room for the snapshot in the clear; empty: the system's directory for such things. */
  readonly scratch: string;
  /** The program that a member is started with; null: none is. */
  readonly program: string | null;
  readonly signal: AbortSignal;
  readonly onPassed: OnPassed;
}

/**
 * Works in a directory that is removed afterwards. Throws {@link BackupError}, or what is wrong with the snapshot.
 */
export async function verifyBackup(
  store: BackupStore,
  metadata: BackupMetadata,
  { secrets, scratch, program, signal, onPassed }: VerifyOptions,
): Promise<BackupReport> {
  const directory = mkdtempSync(join(scratch || tmpdir(), 'etcd-backup-'));
  try {
    const path = join(directory, 'snapshot.db');
    await readBackup(store, metadata, path, { secrets, signal, onPassed, comparesFile: true });
    const { verifySnapshotFile } = await import('@etcd/etcdutl/snapshot');
    signal.throwIfAborted();
    // It was compared with its digest when it was written.
    const hashWish = program === null ? 'taken' : 'left-to-member';
    const found = await verifySnapshotFile(path, metadata.revision, true, hashWish);
    const isHashCompared = found.hashCompactRevision === metadata.hashCompactRevision;
    if (isHashCompared && found.hash !== null && found.hash !== metadata.hash) {
      const what = `the hash at revision ${metadata.revision}`;
      throw new BackupError(
        `${metadata.name}: ${what} is ${found.hash}, not ${metadata.hash} as its member said`,
      );
    }
    signal.throwIfAborted();
    const options = { snapshotPath: path, metadata, isHashCompared, directory, signal };
    const rehearsal = program === null ? null : await rehearse({ ...options, program });
    if (isHashCompared && (found.hash ?? rehearsal?.hash) !== metadata.hash) {
      throw new BackupError(`${metadata.name}: a member made of it does not tell the hash of its keys`);
    }
    return { found, isHashCompared, rehearsal };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
