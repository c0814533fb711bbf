/** The runtime's compressors by their names. */
import { createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Compression } from './metadata.ts';

export function compressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGzip({ level: 1 })];
  return compression === 'zstd' ? [createZstdCompress()] : [];
}

export function decompressors(compression: Compression): NodeJS.ReadWriteStream[] {
  if (compression === 'gzip') return [createGunzip()];
  return compression === 'zstd' ? [createZstdDecompress()] : [];
}
