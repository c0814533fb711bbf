/** Message compression: `gzip` is understood, and never sent. */

export const Encoding = { IDENTITY: 0, GZIP: 1, UNSUPPORTED: 2 } as const;

/** What we tell a peer whose encoding we don't understand. */
export const ACCEPTED_ENCODINGS = 'gzip';

/** The encoding that a `grpc-encoding` header names; no header means identity. */
export function encodingOf(value: string | null): number {
  if (value === null || value === '' || value === 'identity') return Encoding.IDENTITY;
  return value === 'gzip' ? Encoding.GZIP : Encoding.UNSUPPORTED;
}

/** A message that would be larger than allowed once decompressed. */
export const TOO_LARGE = 'too large';

/**
 * Decompresses `bytes[start, end)`. Stops at `maxBytes`, so that a few bytes can't make us hold gigabytes.
 * Returns the message, {@link TOO_LARGE}, or another text that says what is wrong with the bytes.
 */
export function gunzip(bytes: Uint8Array, start: number, end: number, maxBytes: number): Uint8Array | string {
  if (start === end) return 'unexpected EOF';
  try {
    // Loaded by the first compressed message: few programs ever get one, and short ones should start quickly.
    const { gunzipSync } = process.getBuiltinModule('node:zlib');
    return gunzipSync(bytes.subarray(start, end), { maxOutputLength: Math.max(1, maxBytes) });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : message;
  }
}
