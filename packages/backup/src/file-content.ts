/** What a file holds, read ahead. */
import { open } from 'node:fs/promises';
import { BackupError } from './backup-error.ts';
import { PIECE_BYTES } from './stream-sizes.ts';

/** Throws {@link BackupError} where there is no such file. */
export async function* fileContent(path: string): AsyncGenerator<Uint8Array, void, void> {
  const file = await open(path).catch((error: Error) => {
    throw new BackupError(error.message);
  });
  let [here, next] = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  let reading = file.read(here, 0, PIECE_BYTES, null);
  try {
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) return;
      [here, next] = [next, here];
      reading = file.read(here, 0, PIECE_BYTES, null);
      // Told to whoever asks for the next piece, if anybody does.
      reading.catch(() => {});
      yield next.subarray(0, bytesRead);
    }
  } finally {
    await reading.catch(() => {});
    await file.close();
  }
}
