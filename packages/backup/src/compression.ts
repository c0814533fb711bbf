/** The runtime's compressors by their names, each of which works on a thread of its own. */
import type { Transform } from 'node:stream';
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { BackupError } from './backup-error.ts';
import type { Content } from './content.ts';
import type { Compression } from './metadata.ts';
import { PIECE_BYTES } from './stream-sizes.ts';

const SIZES = { chunkSize: PIECE_BYTES };
/** Little is gained by more of it, and it is what takes the time. */
const LEVEL = 1;
const ZSTD = { ...SIZES, params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };

export function compressed(content: Content, compression: Compression): Content {
  if (compression === 'gzip') return through(createGzip({ ...SIZES, level: LEVEL }), content);
  return compression === 'zstd' ? through(createZstdCompress(ZSTD), content) : content;
}

export function decompressed(content: Content, compression: Compression): Content {
  if (compression === 'gzip') return through(createGunzip(SIZES), content);
  return compression === 'zstd' ? through(createZstdDecompress(SIZES), content) : content;
}

async function* through(transform: Transform, content: Content): AsyncGenerator<Uint8Array, void, void> {
  // What goes wrong there is told here, by the transform.
  const fed = feed(transform, content);
  try {
    yield* transform as AsyncIterable<Buffer>;
  } finally {
    transform.destroy();
    await fed;
  }
}

/** One piece is worked on while the next one is made; both are copies, since pieces are lent. */
async function feed(transform: Transform, content: Content): Promise<void> {
  let taken: Promise<void> = Promise.resolve();
  let [next, under] = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  try {
    for await (const piece of content) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) {
        const part = piece.subarray(at, at + PIECE_BYTES);
        next.set(part);
        await taken;
        taken = write(transform, next.subarray(0, part.length));
        taken.catch(() => {});
        [next, under] = [under, next];
      }
    }
    await taken;
    transform.end();
  } catch (error) {
    transform.destroy(error as Error);
  }
}

/** A compressor that is destroyed while what it has made waits for its reader says nothing any more of what it was given. */
function write(transform: Transform, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new BackupError('given up'));
    transform.once('close', onClose);
    transform.write(bytes, (error) => {
      transform.off('close', onClose);
      if (error) reject(error);
      else resolve();
    });
  });
}
