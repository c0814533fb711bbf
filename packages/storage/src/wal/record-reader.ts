/**
 * Reads the records of a log one by one, across its segments, with every check that the format allows: length words,
 * padding, the running checksum, its continuation from segment to segment, the two records that begin each segment.
 * Types are not covered by the checksum; whether a record of its type makes sense here is for who asked for it.
 *
 * Memory: one chunk of a segment at a time. The data of the current record is a view of the chunk. A reader that was made
 * with `keepData` never writes to a chunk that was handed out, so views may be kept (each keeps its chunk alive).
 */
import type { LogIndex } from '@etcd/api';
import { assert, crc32cUpdate, type Disk, type DiskFile } from '@etcd/base';
import { classifyDamage } from './damage.ts';
import {
  BAD_LENGTH,
  FRAME_BYTES,
  isZero,
  paddingOf,
  parseLengthWord,
  parseRecord,
  RECORD_CRC,
  RECORD_METADATA,
  RecordFields,
} from './frame.ts';
import { WalError } from './wal-error.ts';

export interface ReadableSegment {
  readonly path: string;
  /** Open already, and whoever opened it closes it; else null. */
  readonly file: DiskFile | null;
}

const CHUNK_BYTES = 1024 * 1024;
/** How far behind the end of the last segment's data is looked for signs of damage. */
const TAIL_CHECK_BYTES = 4 * 1024 * 1024;

export class RecordReader {
  readonly #disk: Disk;
  readonly #segments: readonly ReadableSegment[];
  readonly #keepData: boolean;
  readonly #fields = new RecordFields();
  #segmentIndex = -1;
  #file: DiskFile | null = null;
  #fileBytes = 0;
  /** Records of the current segment so far. */
  #recordCount = 0;
  /** The chunk is `#chunk[#start, #end)`; `#start` is what lies at `#offset` in the file. */
  #chunk: Uint8Array;
  #view: DataView;
  #start = 0;
  #end = 0;
  #offset = 0;
  #recordOffset = 0;
  #crc = 0;
  /** Where the previous segment's records end. */
  #previousEnd = 0;
  /** Where damage was met once and read again: a log that is being written may have been caught half way. */
  #rereadOffset = -1;

  constructor(disk: Disk, segments: readonly ReadableSegment[], options: { readonly keepData: boolean }) {
    assert(segments.length > 0, 'wal: nothing to read');
    this.#disk = disk;
    this.#segments = segments;
    this.#keepData = options.keepData;
    this.#chunk = newChunk(CHUNK_BYTES);
    this.#view = viewOf(this.#chunk);
  }

  /** Type of the current record. */
  get type(): number {
    return this.#fields.type;
  }

  /** The running checksum behind the current record. */
  get crc(): number {
    return this.#crc;
  }

  /** What holds the current record's data, `bytes[dataStart, dataEnd)`. */
  get bytes(): Uint8Array {
    return this.#chunk;
  }

  get dataStart(): number {
    return this.#fields.dataStart;
  }

  get dataEnd(): number {
    return this.#fields.dataEnd;
  }

  /** A view of the current record's data. */
  data(): Uint8Array {
    return this.#chunk.subarray(this.#fields.dataStart, this.#fields.dataEnd);
  }

  /** The segment of the current record. */
  get path(): string {
    return this.#segments[this.#segmentIndex]!.path;
  }

  /** Where in the segment the current record begins. */
  get recordOffset(): number {
    return this.#recordOffset;
  }

  /** Where in the segment the next record begins, or would. */
  get endOffset(): number {
    return this.#offset;
  }

  /**
   * Moves to the next record; false at the end of the log. Throws {@link WalError}: `torn` where the last write is
   * incomplete, `corrupt` where durable records changed.
   */
  next(): boolean {
    if (this.#segmentIndex < 0) this.#openSegment(0);
    const crc = this.#crc;
    try {
      return this.#advance();
    } catch (error) {
      if (!(error instanceof WalError) || !this.#reread()) throw error;
      this.#crc = crc;
      return this.#advance();
    }
  }

  /** An error about the current record. */
  error(
    code: 'corrupt' | 'metadata' | 'unknown-record' | 'slice-out-of-range' | 'snapshot-mismatch',
    problem: string,
  ): WalError {
    return new WalError(code, this.path, this.#recordOffset, problem);
  }

  /** Closes what the reader opened. */
  close(): void {
    if (this.#file !== null && this.#segments[this.#segmentIndex]!.file === null) this.#file.close();
    this.#file = null;
  }

  #advance(): boolean {
    for (;;) {
      const sizeBytes = this.#nextLength();
      if (sizeBytes !== 0) {
        this.#readRecord(sizeBytes);
        return true;
      }
      if (this.#recordCount === 0) this.#damaged('a segment without records');
      if (this.#isLast) return false;
      this.#openSegment(this.#segmentIndex + 1);
    }
  }

  /** Forgets what was read from the current position on; false if that was done here before, or makes no sense. */
  #reread(): boolean {
    if (!this.#isLast || this.#rereadOffset === this.#offset) return false;
    this.#rereadOffset = this.#offset;
    this.#start = this.#end;
    this.#fileBytes = this.#file!.sizeBytes();
    return true;
  }

  get #isLast(): boolean {
    return this.#segmentIndex === this.#segments.length - 1;
  }

  /** The size of the next record; 0 at the end of the segment's data. */
  #nextLength(): number {
    const available = this.#require(FRAME_BYTES);
    if (available === 0) return 0;
    if (available < FRAME_BYTES) this.#damaged('the file ends inside a record');
    const sizeBytes = parseLengthWord(this.#view, this.#start);
    if (sizeBytes === 0) this.#checkTail();
    if (sizeBytes === BAD_LENGTH) this.#damaged('impossible record length');
    return sizeBytes;
  }

  #readRecord(sizeBytes: number): void {
    const frameBytes = FRAME_BYTES + sizeBytes + paddingOf(sizeBytes);
    // Before anything of that size is allocated: a damaged length must not cost more memory than the file is long.
    if (frameBytes > this.#fileBytes - this.#offset)
      this.#damaged('a record reaches beyond the end of the file');
    const available = this.#require(frameBytes);
    if (available < frameBytes) this.#damaged('the file ends inside a record');
    const start = this.#start + FRAME_BYTES;
    const end = start + sizeBytes;
    const fields = this.#fields;
    if (!parseRecord(this.#chunk, start, end, fields)) this.#damaged('a record that can not be decoded');
    if (!isZero(this.#chunk, end, this.#start + frameBytes)) this.#damaged('padding that is not zero');
    this.#checkCrc();
    this.#checkHeader();
    this.#recordOffset = this.#offset;
    this.#recordCount++;
    this.#start += frameBytes;
    this.#offset += frameBytes;
  }

  #checkCrc(): void {
    const { type, crc, dataStart, dataEnd } = this.#fields;
    if (type === RECORD_CRC && this.#recordCount === 0) {
      if (dataStart !== dataEnd) this.#damaged('a checksum record with data');
      if (this.#segmentIndex > 0 && crc !== this.#crc) this.#discontinued(crc);
      this.#crc = crc;
      return;
    }
    const computed = crc32cUpdate(this.#crc, this.#chunk, dataStart, dataEnd);
    if (computed !== crc)
      this.#damaged(`crc mismatch: expected ${crc.toString(16)}, computed ${computed.toString(16)}`);
    this.#crc = computed;
  }

  /** Every segment begins with a checksum and the metadata, and has no other checksum record. */
  #checkHeader(): void {
    const type = this.#fields.type;
    if (this.#recordCount === 0 && type !== RECORD_CRC)
      this.#damaged('a segment that does not begin with a checksum');
    if (this.#recordCount === 1 && type !== RECORD_METADATA) this.#damaged('a segment without metadata');
    if (this.#recordCount > 0 && type === RECORD_CRC) this.#damaged('a checksum record inside a segment');
  }

  /** The previous segment does not end where this one says it does. */
  #discontinued(crc: number): never {
    const previous = this.#segments[this.#segmentIndex - 1]!;
    const offset = this.#previousEnd;
    const problem = `crc mismatch: the records end with ${this.#crc.toString(16)}, but the next segment continues from ${crc.toString(16)}`;
    throw new WalError('corrupt', previous.path, offset, problem);
  }

  #openSegment(index: LogIndex): void {
    this.close();
    const segment = this.#segments[index]!;
    this.#previousEnd = this.#offset;
    this.#segmentIndex = index;
    this.#file = segment.file ?? this.#disk.openFile(segment.path, { access: 'read' });
    this.#fileBytes = this.#file.sizeBytes();
    this.#recordCount = 0;
    this.#offset = 0;
    // What is left of the last chunk was the zeros behind the previous segment's data.
    this.#start = this.#end;
  }

  /** Makes `count` bytes from the current position on available; returns how many are, fewer only at end of file. */
  #require(count: number): number {
    const available = this.#end - this.#start;
    if (available >= count) return available;
    this.#refill(count);
    return this.#end - this.#start;
  }

  #refill(count: number): void {
    const left = this.#chunk.subarray(this.#start, this.#end);
    const behind = this.#fileBytes - this.#offset;
    if (this.#keepData || this.#chunk.length < count) {
      const target = newChunk(Math.max(count, Math.min(CHUNK_BYTES, behind)));
      target.set(left);
      this.#chunk = target;
      this.#view = viewOf(target);
    } else {
      this.#chunk.copyWithin(0, this.#start, this.#end);
    }
    this.#start = 0;
    this.#end = left.length;
    const wanted = Math.min(this.#chunk.length - this.#end, behind - this.#end);
    if (wanted <= 0) return;
    this.#end += this.#file!.read(this.#chunk, this.#end, wanted, this.#offset + this.#end);
  }

  /** Behind the last record of the log only zeros may follow: anything else is left from an interrupted write, or worse. */
  #checkTail(): void {
    if (!this.#isLast) return;
    const buffer = newChunk(Math.min(CHUNK_BYTES, Math.max(0, this.#fileBytes - this.#offset)));
    const until = Math.min(this.#fileBytes, this.#offset + TAIL_CHECK_BYTES);
    for (let at = this.#offset; at < until; ) {
      const count = this.#file!.read(buffer, 0, Math.min(buffer.length, until - at), at);
      if (count === 0) return;
      if (!isZero(buffer, 0, count)) this.#damaged('data behind the end of the records');
      at += count;
    }
  }

  /** Throws what the bytes at the current position are: a torn write, which only the last segment can have, or damage. */
  #damaged(problem: string): never {
    const isHeader = this.#recordCount < 2;
    const code =
      this.#isLast && !isHeader ? classifyDamage(this.#file!, this.#fileBytes, this.#offset) : 'corrupt';
    throw new WalError(code, this.path, this.#offset, problem);
  }
}

/** Not zeroed: it is read into before anything looks at it. */
function newChunk(sizeBytes: number): Uint8Array {
  const buffer = Buffer.allocUnsafeSlow(sizeBytes);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, sizeBytes);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
