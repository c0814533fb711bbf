/** A backup from a store as the snapshot that it was, checked against what is known of it. */
import type { Secrets } from './age-header.ts';
import { opened } from './age-payload.ts';
import { BackupError } from './backup-error.ts';
import type { BackupStore } from './backup-store.ts';
import { decompressed } from './compression.ts';
import { abortable } from './content.ts';
import { fillFile } from './fill-file.ts';
import type { BackupMetadata } from './metadata.ts';
import { Meter, type OnPassed, SnapshotMeter } from './meter.ts';
import { writeNewFile } from './new-file.ts';

export interface ReadOptions {
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  readonly onPassed?: OnPassed;
  /** Compare what lies in the store, too. The snapshot always is compared, and says it all; this says whether somebody has changed the file. */
  readonly comparesFile?: boolean;
}

/** Writes the snapshot to a new file, which is whole or not there. Throws {@link BackupError}, or the signal's reason. */
export async function readBackup(
  store: BackupStore,
  metadata: BackupMetadata,
  path: string,
  { secrets, signal, onPassed, comparesFile }: ReadOptions,
): Promise<void> {
  const stored = comparesFile === true ? new Meter() : null;
  const plain = new SnapshotMeter(onPassed);
  try {
    await writeNewFile(path, async (file) => {
      const inStore = await store.read(metadata.name);
      const read = stored?.measure(inStore) ?? inStore;
      const readable = metadata.encryption === 'age' ? opened(read, secrets) : read;
      const content = plain.measure(decompressed(readable, metadata.compression));
      await fillFile(file, path, abortable(content, signal));
      if (stored !== null) compare('stored bytes', metadata.storedSha256, stored.sha256());
      compare('snapshot', metadata.sha256, plain.sha256());
    });
  } catch (error) {
    signal.throwIfAborted();
    throw explained(error, metadata.name);
  }
}

function compare(what: string, expected: string, found: string): void {
  if (expected !== found) throw new BackupError(`the SHA-256 of the ${what} is ${found}, not ${expected}`);
}

/** What zlib says of damage is of no use to anybody who does not know what was damaged. */
function explained(error: unknown, name: string): unknown {
  if (error instanceof BackupError) return new BackupError(`${name}: ${error.message}`);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return new BackupError(`${name}: ${message}`);
}
