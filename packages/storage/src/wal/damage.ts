/**
 * Tells an interrupted write from damage. Both look alike where they are met: a record of the last segment whose
 * checksum is wrong, or a hole. But what a crash can cut off is one unsynced batch at the most, and a batch has a
 * shape: hard states that were not worth a sync, then entries, then a hard state; or a snapshot record, and behind one of the
 * leader's the hard state that makes it count. Where intact
 * records behind the damaged place can't all be of the same batch, the place was synced before they were written: an
 * acknowledged write has been lost, and cutting it off would lose all behind it as well.
 *
 * (etcd itself takes every damaged record for torn that has a sector of zeros, which values full of zeros have too. With
 * `--unsafe-no-fsync` several batches may be unsynced, and a log that a power failure cut may be refused.)
 */
import { crc32cUpdate, type DiskFile } from '@etcd/base';
import {
  FRAME_BYTES,
  isZero,
  paddingOf,
  parseLengthWord,
  parseRecord,
  RECORD_ENTRY,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  RecordFields,
  SECTOR_BYTES,
} from './frame.ts';

/** What is at `offset` of the last segment, where a record should be and no intact one is. */
export function classifyDamage(file: DiskFile, fileBytes: number, offset: number): 'torn' | 'corrupt' {
  const rest = new Uint8Array(Math.max(0, fileBytes - offset));
  const count = file.read(rest, 0, rest.length, offset);
  const scan = new DamageScan(rest.subarray(0, count));
  if (scan.findsLaterBatch()) return 'corrupt';
  return scan.startsTorn(offset) ? 'torn' : 'corrupt';
}

// How far into the shape of a batch the records have come.
const IN_STATES = 0;
const IN_ENTRIES = 1;
const BEHIND_SNAPSHOT = 2;
const AT_END = 3;

class DamageScan {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fields = new RecordFields();
  #shape = IN_STATES;
  #isLaterBatch = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Whether behind the damage stand records that can't be of the batch that the damage is in. */
  findsLaterBatch(): boolean {
    let position = 0;
    while (position + FRAME_BYTES <= this.#bytes.length && !this.#isLaterBatch) {
      // Where a frame is intact, only what follows is looked at: a value may hold anything, another log too.
      if (this.#frameEnd(position) < 0) position += FRAME_BYTES;
      else position = this.#walkChain(position);
    }
    return this.#isLaterBatch;
  }

  /** Whether the bytes at the start look as if not all sectors of a write had reached the disk. */
  startsTorn(offset: number): boolean {
    if (this.#bytes.length < FRAME_BYTES) return true;
    const sizeBytes = parseLengthWord(this.#view, 0);
    // No writer writes such a length, and the word lies in one sector: it has been changed.
    if (sizeBytes < 0) return false;
    if (sizeBytes === 0) return true;
    const end = FRAME_BYTES + sizeBytes + paddingOf(sizeBytes);
    if (end > this.#bytes.length) return true;
    for (let at = FRAME_BYTES; at < end; ) {
      const sectorEnd = at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES);
      const sliceEnd = Math.min(end, sectorEnd);
      if (isZero(this.#bytes, at, sliceEnd)) return true;
      at = sliceEnd;
    }
    return false;
  }

  /** Takes in the records from `position` on for as long as each continues the checksum of the one before. */
  #walkChain(position: number): number {
    let end = this.#frameEnd(position);
    let { type, crc } = this.#fields;
    let isChain = false;
    for (;;) {
      const nextEnd = this.#frameEnd(end);
      if (nextEnd < 0 || !this.#continues(crc)) return end;
      // The successor vouches for the checksum of the first, and so for its being a record.
      if (!isChain) this.#takeIn(type);
      isChain = true;
      ({ type, crc } = this.#fields);
      this.#takeIn(type);
      end = nextEnd;
    }
  }

  /** Where the record at `position` ends, its padding included, or -1 if there is none; its fields are in `#fields`. */
  #frameEnd(position: number): number {
    if (position + FRAME_BYTES > this.#bytes.length) return -1;
    const sizeBytes = parseLengthWord(this.#view, position);
    if (sizeBytes <= 0) return -1;
    const start = position + FRAME_BYTES;
    const end = start + sizeBytes + paddingOf(sizeBytes);
    if (end > this.#bytes.length) return -1;
    return parseRecord(this.#bytes, start, start + sizeBytes, this.#fields) ? end : -1;
  }

  /** Whether the record in `#fields` follows one with checksum `crc`. */
  #continues(crc: number): boolean {
    const { dataStart, dataEnd } = this.#fields;
    return crc32cUpdate(crc, this.#bytes, dataStart, dataEnd) === this.#fields.crc;
  }

  #takeIn(type: number): void {
    const shape = this.#shape;
    if (type === RECORD_STATE && shape !== AT_END) this.#shape = shape === IN_STATES ? IN_STATES : AT_END;
    else if (type === RECORD_ENTRY && shape <= IN_ENTRIES) this.#shape = IN_ENTRIES;
    else if (type === RECORD_SNAPSHOT && shape === IN_STATES) this.#shape = BEHIND_SNAPSHOT;
    else this.#isLaterBatch = true;
  }
}
