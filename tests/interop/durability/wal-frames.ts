/** Finds the records of a log segment by their frames alone, to damage them precisely. */

export interface Frame {
  readonly offset: number;
  /** Length of the record after its 8-byte frame header, with padding. */
  readonly length: number;
  /** The same without padding. */
  readonly recordBytes: number;
}

/**
 * A frame header is a little-endian 64-bit integer: the length in the lower 56 bits, and, if the top bit is set, the
 * number of padding bytes in the lowest three bits of the top byte. Zero is the end.
 */
export function walFrames(segment: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let offset = 0; offset + 8 <= segment.length; ) {
    const low = segment.readUIntLE(offset, 6);
    const top = segment[offset + 7]!;
    if (low === 0 && top === 0) break;
    const length = low + ((top & 0x80) !== 0 ? top & 0x7 : 0);
    frames.push({ offset, length, recordBytes: low });
    offset += 8 + length;
  }
  return frames;
}

/** Where the next record will be written. */
export function walEnd(segment: Buffer): number {
  const last = walFrames(segment).at(-1);
  return last === undefined ? 0 : last.offset + 8 + last.length;
}
