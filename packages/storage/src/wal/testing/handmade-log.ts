/** Logs laid out record by record with the generated codec, by the description of the format: what the room writes is compared with them. */
import { encodeRecord, Record } from '@etcd/api/walpb';
import { crc32cUpdate, type Disk, EMPTY_BYTES } from '@etcd/base';
import { RECORD_CRC, RECORD_METADATA } from '../frame.ts';

/** One record: eight bytes of length, the message, zeros up to a multiple of eight. */
export function framed(type: number, data: Uint8Array, crc: number): Buffer {
  const record = encodeRecord(new Record({ type, crc, data }));
  const padding = (8 - (record.length % 8)) % 8;
  const frame = Buffer.alloc(8 + record.length + padding);
  frame.writeUInt32LE(record.length, 0);
  frame[7] = padding === 0 ? 0 : 0x80 | padding;
  frame.set(record, 8);
  return frame;
}

/** Records behind each other, with a checksum that runs on. */
export class HandmadeLog {
  crc: number;
  /** Where each record begins. */
  readonly offsets: number[] = [];
  length = 0;
  readonly #frames: Buffer[] = [];

  constructor(crc = 0) {
    this.crc = crc;
  }

  add(type: number, data: Uint8Array): this {
    this.crc = crc32cUpdate(this.crc, data, 0, data.length);
    return this.#push(framed(type, data, this.crc));
  }

  addCrc(): this {
    return this.#push(framed(RECORD_CRC, EMPTY_BYTES, this.crc));
  }

  /** What every segment begins with. */
  addHead(metadata: Uint8Array = EMPTY_BYTES): this {
    return this.addCrc().add(RECORD_METADATA, metadata);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#frames);
  }

  #push(frame: Buffer): this {
    this.offsets.push(this.length);
    this.#frames.push(frame);
    this.length += frame.length;
    return this;
  }
}

/** Puts files into `directory`, which need not be there. */
export function putFiles(disk: Disk, directory: string, files: ReadonlyMap<string, Uint8Array>): void {
  if (disk.stat(directory) === null) disk.makeDirectory(directory, 0o700);
  for (const [name, content] of files) {
    const path = disk.join(directory, name);
    const file = disk.openFile(path, { access: 'readwrite', create: true, truncate: true });
    file.write(content, 0, content.length, 0);
    file.close();
  }
}
