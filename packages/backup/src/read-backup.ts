/** A backup from a store as the snapshot that it was, checked against what is known of it. */
import { pipeline } from 'node:stream/promises';
import type { Secrets } from './age-header.ts';
import { AgeOpener } from './age-payload.ts';
import { BackupError } from './backup-error.ts';
import type { BackupStore } from './backup-store.ts';
import { decompressors } from './compression.ts';
import type { BackupMetadata } from './metadata.ts';
import { Meter, type OnPassed, SnapshotMeter } from './meter.ts';
import { writeNewFile } from './new-file.ts';
import { QUEUE_BYTES } from './stream-sizes.ts';

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
      const parts = [
        await store.read(metadata.name),
        stored,
        ...(metadata.encryption === 'age' ? [new AgeOpener(secrets)] : []),
        ...decompressors(metadata.compression),
        plain,
        file.createWriteStream({ flush: true, highWaterMark: QUEUE_BYTES }),
      ];
      await pipeline(parts as never, { signal } as never);
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
