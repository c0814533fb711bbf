/** The runtime's compressors by their names. */
import { createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Compression } from './metadata.ts';
import { PIECE_BYTES } from './stream-sizes.ts';

const SIZES = { chunkSize: PIECE_BYTES };

export function compressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGzip({ ...SIZES, level: 1 })];
  return compression === 'zstd' ? [createZstdCompress(SIZES)] : [];
}

export function decompressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGunzip(SIZES)];
  return compression === 'zstd' ? [createZstdDecompress(SIZES)] : [];
}
