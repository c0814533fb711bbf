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

/** Writes the snapshot to a new file, which is whole or not there. Throws {@link BackupError}, or the signal's reason. */
export async function readBackup(
  store: BackupStore,
  metadata: BackupMetadata,
  secrets: Secrets,
  path: string,
  signal: AbortSignal,
  onPassed?: OnPassed,
): Promise<void> {
  const stored = new Meter();
  const plain = new SnapshotMeter(onPassed);
  try {
    await writeNewFile(path, async (file) => {
      const read = stored.measure(await store.read(metadata.name));
      const readable = metadata.encryption === 'age' ? opened(read, secrets) : read;
      const content = plain.measure(decompressed(readable, metadata.compression));
      await fillFile(file, abortable(content, signal));
      compare('stored bytes', metadata.storedSha256, stored.sha256());
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
