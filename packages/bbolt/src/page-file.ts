/**
 * Single pages of a file as they lie there, whatever the tree says of them: for looking into a damaged database. Nothing is locked,
 * and nothing that a page claims is believed before it has been compared with the file.
 */
import type { Disk, DiskFile } from '@etcd/base';
import { BoltError } from './bolt-error.ts';
import {
  BRANCH_PAGE,
  BUCKET_ELEMENT,
  BUCKET_HEADER_BYTES,
  ELEMENT_BYTES,
  FREELIST_LONG_COUNT,
  FREELIST_PAGE,
  LEAF_PAGE,
  META_PAGE,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
  pageOverflow,
  readUint64,
} from './format.ts';
import { META_BYTES, type Meta } from './meta.ts';
import { readMetas } from './open-file.ts';
import { PageBuffer } from './page-buffer.ts';
import { ioError } from './pager.ts';

export type PageType = 'branch' | 'leaf' | 'meta' | 'freelist' | 'unknown';

export interface PageElement {
  readonly key: Uint8Array;
  /** Of a leaf page; a bucket's is its root page and sequence. */
  readonly value: Uint8Array | { readonly rootPgid: bigint; readonly sequence: bigint } | null;
  /** Of a branch page. */
  readonly childPgid: bigint | null;
}

/** The fields of a meta page, as they stand there. */
export interface MetaFields {
  readonly version: number;
  readonly pageSizeBytes: number;
  readonly flags: number;
  readonly rootPgid: bigint;
  readonly freelistPgid: bigint;
  readonly highWaterPgid: bigint;
  readonly txid: bigint;
  readonly checksum: bigint;
}

const META_AT = PAGE_HEADER_BYTES;

/** A page with those that it flows over to. */
export class PageImage {
  readonly pgid: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(pgid: number, { bytes, view }: PageBuffer) {
    this.pgid = pgid;
    this.bytes = bytes;
    this.#view = view;
  }

  get flags(): number {
    return pageFlags(this.#view, 0);
  }

  get type(): PageType {
    switch (this.flags) {
      case BRANCH_PAGE:
        return 'branch';
      case LEAF_PAGE:
        return 'leaf';
      case META_PAGE:
        return 'meta';
      case FREELIST_PAGE:
        return 'freelist';
      default:
        return 'unknown';
    }
  }

  get overflow(): number {
    return pageOverflow(this.#view, 0);
  }

  /** Elements, or free pages. */
  get count(): number {
    const count = pageCount(this.#view, 0);
    if (this.type !== 'freelist' || count !== FREELIST_LONG_COUNT) return count;
    return readUint64(this.#view, PAGE_HEADER_BYTES);
  }

  meta(): MetaFields {
    const view = this.#view;
    return {
      version: view.getUint32(META_AT + 4, true),
      pageSizeBytes: view.getUint32(META_AT + 8, true),
      flags: view.getUint32(META_AT + 12, true),
      rootPgid: view.getBigUint64(META_AT + 16, true),
      freelistPgid: view.getBigUint64(META_AT + 32, true),
      highWaterPgid: view.getBigUint64(META_AT + 40, true),
      txid: view.getBigUint64(META_AT + 48, true),
      checksum: view.getBigUint64(META_AT + 56, true),
    };
  }

  /** Of a branch or leaf page. Throws `corrupt` at the first that reaches beyond the page. */
  *elements(): Generator<PageElement, void, void> {
    for (let i = 0; i < this.count; i++) {
      const at = PAGE_HEADER_BYTES + i * ELEMENT_BYTES;
      if (at + ELEMENT_BYTES > this.bytes.length) throw this.#corrupt(`has no room for element ${i}`);
      yield this.type === 'leaf' ? this.#leafElement(at) : this.#branchElement(at);
    }
  }

  *freePgids(): Generator<number, void, void> {
    const { count } = this;
    const isLong = pageCount(this.#view, 0) === FREELIST_LONG_COUNT;
    let at = PAGE_HEADER_BYTES + (isLong ? 8 : 0);
    if (at + count * 8 > this.bytes.length) throw this.#corrupt(`has no room for ${count} ids`);
    for (let i = 0; i < count; i++, at += 8) yield readUint64(this.#view, at);
  }

  #branchElement(at: number): PageElement {
    const view = this.#view;
    const start = at + view.getUint32(at, true);
    const key = this.#slice(start, view.getUint32(at + 4, true));
    return { key, value: null, childPgid: view.getBigUint64(at + 8, true) };
  }

  #leafElement(at: number): PageElement {
    const view = this.#view;
    const start = at + view.getUint32(at + 4, true);
    const keyBytes = view.getUint32(at + 8, true);
    const key = this.#slice(start, keyBytes);
    const value = this.#slice(start + keyBytes, view.getUint32(at + 12, true));
    const isBucket = (view.getUint32(at, true) & BUCKET_ELEMENT) !== 0;
    return { key, value: isBucket ? this.#bucket(start + keyBytes, value) : value, childPgid: null };
  }

  #bucket(start: number, value: Uint8Array): Exclude<PageElement['value'], Uint8Array | null> {
    if (value.length < BUCKET_HEADER_BYTES) throw this.#corrupt('has a bucket without a head');
    return {
      rootPgid: this.#view.getBigUint64(start, true),
      sequence: this.#view.getBigUint64(start + 8, true),
    };
  }

  #slice(start: number, sizeBytes: number): Uint8Array {
    if (start + sizeBytes > this.bytes.length) throw this.#corrupt('has an element that reaches beyond it');
    return this.bytes.subarray(start, start + sizeBytes);
  }

  #corrupt(problem: string): BoltError {
    return new BoltError('corrupt', `page ${this.pgid} ${problem}`, { pgid: this.pgid });
  }
}

export class PageFile {
  readonly #file: DiskFile;
  readonly #path: string;
  readonly meta: Meta;

  constructor(file: DiskFile, path: string, meta: Meta) {
    this.#file = file;
    this.#path = path;
    this.meta = meta;
  }

  /** Throws {@link BoltError} where neither meta page can be read. */
  static open(disk: Disk, path: string): PageFile {
    try {
      const file = disk.openFile(path, { access: 'read' });
      try {
        return new PageFile(file, path, readMetas(file, path).meta);
      } catch (error) {
        file.close();
        throw error;
      }
    } catch (error) {
      throw ioError(error, path);
    }
  }

  get pageSizeBytes(): number {
    return this.meta.pageSizeBytes;
  }

  /** The bytes of one page, whatever they are. Throws `truncated` for one that the file does not have. */
  readBytes(pgid: number, pages = 1): Uint8Array {
    return this.#read(pgid, pages).bytes;
  }

  /** The page that says of itself that it is this one. */
  read(pgid: number): PageImage {
    const head = this.#read(pgid, 1);
    const named = readUint64(head.view, 0);
    if (named !== pgid) {
      throw new BoltError('corrupt', `page ${pgid} calls itself page ${named}`, { path: this.#path, pgid });
    }
    const overflow = pageOverflow(head.view, 0);
    if (overflow === 0) return new PageImage(pgid, head);
    if (pgid + overflow >= this.meta.highWaterPgid) {
      const problem = `page ${pgid} claims ${overflow} overflow pages of a database of ${this.meta.highWaterPgid}`;
      throw new BoltError('corrupt', problem, { path: this.#path, pgid });
    }
    return new PageImage(pgid, this.#read(pgid, 1 + overflow));
  }

  close(): void {
    this.#file.close();
  }

  #read(pgid: number, pages: number): PageBuffer {
    const offset = pgid * this.pageSizeBytes;
    if (offset + pages * this.pageSizeBytes > this.#file.sizeBytes()) {
      throw new BoltError('truncated', `page ${pgid} is behind the end of the file`, {
        path: this.#path,
        pgid,
      });
    }
    const buffer = new PageBuffer(Math.max(META_BYTES, pages * this.pageSizeBytes));
    this.#file.read(buffer.bytes, 0, buffer.bytes.length, offset);
    return buffer;
  }
}
