/** Takes the database out of a snapshot file: copied and compared with the digest that stands behind it, or moved. */
import { createHash } from 'node:crypto';
import { DIGEST_BYTES, hasDigest } from '@etcd/backup/snapshot-digest';
import { type Disk, DiskError } from '@etcd/base';

const CHUNK_BYTES = 4 << 20;
const PRIVATE_MODE = 0o600;

/** Reads the file in order; yields how far. Throws if it is not what was sent, unless that is not to be looked at. */
export function* readSnapshot(
  disk: Disk,
  path: string,
  skipHashCheck: boolean,
  take: (chunk: Uint8Array, position: number) => void,
): Generator<number, void, void> {
  const file = disk.openFile(path, { access: 'read' });
  try {
    const sizeBytes = file.sizeBytes();
    // etcd fails so at the attempt to go there.
    if (sizeBytes < DIGEST_BYTES) throw new Error(`seek ${path}: invalid argument`);
    const hasHash = hasDigest(sizeBytes);
    if (!hasHash && !skipHashCheck) throw new Error('snapshot missing hash but --skip-hash-check=false');
    const bodyBytes = hasHash ? sizeBytes - DIGEST_BYTES : sizeBytes;
    const hash = createHash('sha256');
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, bodyBytes));
    for (let at = 0; at < bodyBytes; ) {
      const read = file.read(chunk, 0, Math.min(chunk.length, bodyBytes - at), at);
      if (read === 0) throw new Error(`read ${path}: unexpected EOF`);
      const part = chunk.subarray(0, read);
      if (!skipHashCheck) hash.update(part);
      take(part, at);
      at += read;
      yield at;
    }
    if (skipHashCheck) return;
    const expected = new Uint8Array(DIGEST_BYTES);
    file.read(expected, 0, DIGEST_BYTES, bodyBytes);
    const got = hash.digest();
    if (got.equals(expected)) return;
    throw new Error(`expected sha256 [${expected.join(' ')}], got [${[...got].join(' ')}]`);
  } finally {
    file.close();
  }
}

/** {@link readSnapshot} into a new file, which is durable in the end. */
export function* copySnapshot(
  disk: Disk,
  from: string,
  to: string,
  skipHashCheck: boolean,
): Generator<number, void, void> {
  // Opened first: a snapshot that is not there leaves no file.
  const target = disk.openFile(to, {
    access: 'readwrite',
    create: true,
    exclusive: true,
    mode: PRIVATE_MODE,
  });
  try {
    yield* readSnapshot(disk, from, skipHashCheck, (chunk, position) =>
      target.write(chunk, 0, chunk.length, position),
    );
    target.sync();
  } finally {
    target.close();
  }
}

/**
 * Makes the database of a snapshot file that nobody needs afterwards, by its name. False, and nothing is changed, where it lies in another file
 * system. What it holds is not read: whoever wrote the file has compared it with its digest.
 */
export function moveSnapshot(disk: Disk, from: string, to: string): boolean {
  try {
    disk.rename(from, to);
  } catch (error) {
    if (error instanceof DiskError && error.code === 'EXDEV') return false;
    throw error;
  }
  const file = disk.openFile(to, { access: 'readwrite' });
  try {
    const sizeBytes = file.sizeBytes();
    if (hasDigest(sizeBytes)) file.truncate(sizeBytes - DIGEST_BYTES);
    file.sync();
  } finally {
    file.close();
  }
  return true;
}
