/**
 * Lays out records, one behind the other, exactly as they will lie in the segment: frame, checksum and padding in one
 * pass over one buffer, which is reused from batch to batch. An entry's data is copied once, from where the entry holds
 * it to here.
 *
 * The checksum is a varint before the data that it covers, so its length isn't known when the data is laid out. Fifteen
 * of sixteen checksums take five bytes: that much is left free, and the data moved down where it was too much.
 */
import {
  type Entry,
  type HardState,
  sizeEntry,
  sizeHardState,
  writeEntry,
  writeHardState,
} from '@etcd/api/raftpb';
import { assert, crc32cUpdate } from '@etcd/base';
import { FRAME_BYTES, paddingOf, RECORD_CRC, RECORD_ENTRY, RECORD_STATE } from './frame.ts';

const INITIAL_BYTES = 256 * 1024;
/** A buffer that one huge batch has grown beyond this is given back after it. */
const KEPT_BYTES = 4 * 1024 * 1024;
/** Frame, fields and padding around the data, at most. */
const OVERHEAD_BYTES = 40;
const CRC_BYTES = 5;
const MAX_DATA_BYTES = 0x7fff_ffff;

export class BatchEncoder {
  #buffer = new Uint8Array(INITIAL_BYTES);
  #length = 0;
  #crc: number;

  /** @param crc the running checksum of the log so far. */
  constructor(crc: number) {
    this.#crc = crc;
  }

  /** The running checksum behind the last record. */
  get crc(): number {
    return this.#crc;
  }

  /** Bytes laid out since {@link clear}. */
  get length(): number {
    return this.#length;
  }

  /** What was laid out: valid until the next record is added. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Starts the next batch; the checksum runs on. */
  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = new Uint8Array(INITIAL_BYTES);
  }

  /** Hot: once per entry. */
  addEntry(entry: Entry): void {
    const sizeBytes = sizeEntry(entry);
    const at = this.#reserve(sizeBytes);
    writeEntry(entry, this.#buffer, at);
    this.#finish(RECORD_ENTRY, at, sizeBytes);
  }

  addState(state: HardState): void {
    const sizeBytes = sizeHardState(state);
    const at = this.#reserve(sizeBytes);
    writeHardState(state, this.#buffer, at);
    this.#finish(RECORD_STATE, at, sizeBytes);
  }

  /** A metadata or snapshot record. */
  addRecord(type: number, data: Uint8Array): void {
    const at = this.#reserve(data.length);
    this.#buffer.set(data, at);
    this.#finish(type, at, data.length);
  }

  /** The record that begins a segment: the checksum so far, which it does not change. */
  addCrc(): void {
    const at = this.#reserve(0);
    this.#finish(RECORD_CRC, at, 0);
  }

  /** Makes room for a record with `sizeBytes` of data; returns where the data goes. */
  #reserve(sizeBytes: number): number {
    assert(sizeBytes <= MAX_DATA_BYTES, 'wal: record larger than a segment can ever hold');
    const needed = this.#length + sizeBytes + OVERHEAD_BYTES;
    if (needed > this.#buffer.length) this.#grow(needed);
    const lengthBytes = sizeBytes === 0 ? 0 : 1 + varintSize(sizeBytes);
    return this.#length + FRAME_BYTES + 3 + CRC_BYTES + lengthBytes;
  }

  /** Puts everything but the data of a record around its data at `at`. */
  #finish(type: number, at: number, sizeBytes: number): void {
    const buffer = this.#buffer;
    const start = this.#length;
    const crc = crc32cUpdate(this.#crc, buffer, at, at + sizeBytes);
    this.#crc = crc;
    let position = start + FRAME_BYTES;
    buffer[position] = 0x08;
    buffer[position + 1] = type;
    buffer[position + 2] = 0x10;
    position = writeVarint(buffer, position + 3, crc);
    if (sizeBytes !== 0) {
      buffer[position] = 0x1a;
      position = writeVarint(buffer, position + 1, sizeBytes);
      if (position !== at) buffer.copyWithin(position, at, at + sizeBytes);
      position += sizeBytes;
    }
    const recordBytes = position - start - FRAME_BYTES;
    const padding = paddingOf(recordBytes);
    for (let i = 0; i < padding; i++) buffer[position++] = 0;
    buffer[start] = recordBytes & 0xff;
    buffer[start + 1] = (recordBytes >>> 8) & 0xff;
    buffer[start + 2] = (recordBytes >>> 16) & 0xff;
    buffer[start + 3] = recordBytes >>> 24;
    buffer[start + 4] = 0;
    buffer[start + 5] = 0;
    buffer[start + 6] = 0;
    buffer[start + 7] = padding === 0 ? 0 : 0x80 | padding;
    this.#length = position;
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}

function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

function writeVarint(target: Uint8Array, position: number, value: number): number {
  while (value >= 0x80) {
    target[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  target[position] = value;
  return position + 1;
}
