/** Whether a backup is good: a rehearsal up to the point where a member would start with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Verified } from '@etcd/etcdutl/snapshot';
import type { Secrets } from './age-header.ts';
import { BackupError } from './backup-error.ts';
import type { DirectoryStore } from './directory-store.ts';
import type { BackupMetadata } from './metadata.ts';
import { readBackup } from './read-backup.ts';

export interface BackupReport {
  readonly found: Verified;
  /** False where a compaction came between the hash and the snapshot: then the hashes say nothing about each other. */
  readonly isHashCompared: boolean;
}

/**
 * Reads the snapshot into a directory that is removed afterwards, and every record of it. Throws {@link BackupError}, or what is wrong with
 * the snapshot.
 *
 * @param scratch where there is room for the snapshot in the clear; empty: the system's directory for such things.
 */
export async function verifyBackup(
  store: DirectoryStore,
  metadata: BackupMetadata,
  secrets: Secrets,
  scratch: string,
  signal: AbortSignal,
): Promise<BackupReport> {
  const directory = mkdtempSync(join(scratch || tmpdir(), 'etcd-backup-'));
  try {
    const path = join(directory, 'snapshot.db');
    await readBackup(store, metadata, secrets, path, signal);
    const { verifySnapshotFile } = await import('@etcd/etcdutl/snapshot');
    signal.throwIfAborted();
    const found = await verifySnapshotFile(path, metadata.revision);
    const isHashCompared = found.hashCompactRevision === metadata.hashCompactRevision;
    if (isHashCompared && found.hash !== metadata.hash) {
      const what = `the hash at revision ${metadata.revision}`;
      throw new BackupError(
        `${metadata.name}: ${what} is ${found.hash}, not ${metadata.hash} as its member said`,
      );
    }
    return { found, isHashCompared };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
