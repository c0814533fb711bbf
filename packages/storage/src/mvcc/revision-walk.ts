/**
 * Walks revisions in order, over the file and then over what is only in memory yet. Between slices the backend may commit and let
 * go of memory; the walk finds its place again by revision. In a read transaction of its own it sees what that sees, and
 * nothing else.
 */
import { assert } from '@etcd/base';
import type { Cursor, ReadTransaction } from '@etcd/bbolt';
import {
  type Backend,
  isRevision,
  KEY_BUCKET,
  mainOf,
  REVISION_BYTES,
  revisionBytes,
  subOf,
} from '../backend/index.ts';
import { KeyValueView } from './key-value.ts';

/** Without a transaction of its own, a walk also sees what is only in memory. */
type WalkedBackend = Pick<Backend, 'revisionLog' | 'committed'>;

export class RevisionWalk {
  /** Where the walk stands: the revision, and its value in `buffer[start, end)`. */
  main = 0;
  sub = 0;
  isTombstone = false;
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  /** The value's parts. */
  readonly keyValue: KeyValueView = new KeyValueView();
  readonly #backend: WalkedBackend;
  readonly #read: ReadTransaction | null;
  readonly #toMain: number;
  /** The first revision that has not been walked. */
  #nextMain: number;
  #nextSub = 0;
  #cursor: Cursor | null = null;
  #isOn = false;
  /** In memory: the next entry and the one behind the last of its main revision. -1: in the file. */
  #entry = -1;
  #entryEnd = -1;

  /** From the first revision with main >= `fromMain` to the last with main <= `toMain`. */
  constructor(backend: WalkedBackend, read: ReadTransaction | null, fromMain: number, toMain: number) {
    this.#backend = backend;
    this.#read = read;
    this.#nextMain = fromMain;
    this.#toMain = toMain;
  }

  /** The main revision that comes next, or of which the rest comes next. */
  get nextMain(): number {
    return this.#nextMain;
  }

  /** Whether the next revision begins a main revision. */
  get isBetweenMains(): boolean {
    return this.#nextSub === 0;
  }

  /** At the beginning of each slice: finds the place again. */
  resume(): void {
    if (this.#read !== null && this.#cursor !== null) return;
    this.#entry = -1;
    const log = this.#backend.revisionLog;
    if (this.#read === null && this.#nextMain >= log.firstMain) return this.#enterLog();
    const read = this.#read ?? this.#backend.committed;
    this.#cursor = read.bucket(KEY_BUCKET.nameBytes)?.cursor() ?? null;
    this.#isOn = this.#cursor?.seek(revisionBytes(this.#nextMain, this.#nextSub)) ?? false;
  }

  /** Moves to the next revision; false at the end. */
  next(): boolean {
    if (this.#entry < 0 && !this.#nextInFile()) {
      if (this.#read !== null || this.#nextMain > this.#toMain) return false;
      // What the file does not have yet is in memory, which begins no later than where the file ends.
      this.#enterLog();
    } else if (this.#entry < 0) return true;
    return this.#nextInLog();
  }

  #nextInFile(): boolean {
    const cursor = this.#cursor;
    if (cursor === null || !this.#isOn) return false;
    const { bytes, keyStart, keyEnd } = cursor;
    const isValid = isRevision(bytes, keyStart, keyEnd);
    assert(isValid, 'revision walk: a key of the file is not a revision');
    const main = mainOf(bytes, keyStart);
    if (main > this.#toMain) {
      this.#nextMain = this.#toMain + 1;
      return false;
    }
    this.#stand(main, subOf(bytes, keyStart), keyEnd - keyStart > REVISION_BYTES);
    this.#value(bytes, cursor.valueStart, cursor.valueEnd);
    this.#isOn = cursor.next();
    return true;
  }

  #enterLog(): void {
    const log = this.#backend.revisionLog;
    const isBefore = this.#nextMain < log.firstMain;
    const main = isBefore ? log.firstMain : this.#nextMain;
    const sub = isBefore ? 0 : this.#nextSub;
    this.#nextMain = main;
    this.#nextSub = sub;
    this.#entry = main > log.lastMain ? log.nextEntry : log.firstEntryOf(main) + sub;
    this.#entryEnd = main > log.lastMain ? log.nextEntry : log.firstEntryAfter(main);
  }

  #nextInLog(): boolean {
    const log = this.#backend.revisionLog;
    let main = this.#nextMain;
    if (this.#entry === this.#entryEnd && this.#nextSub > 0) {
      main++;
      this.#nextMain = main;
      this.#nextSub = 0;
    }
    if (main > this.#toMain || main > log.lastMain) return false;
    this.#entryEnd = log.firstEntryAfter(main);
    log.select(this.#entry);
    this.#stand(main, this.#nextSub, log.isTombstone);
    this.#value(log.buffer, log.start, log.end);
    this.#entry++;
    return true;
  }

  #stand(main: number, sub: number, isTombstone: boolean): void {
    this.main = main;
    this.sub = sub;
    this.isTombstone = isTombstone;
    this.#nextMain = main;
    this.#nextSub = sub + 1;
  }

  #value(buffer: Uint8Array, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    const isValid = this.keyValue.parse(buffer, start, end);
    assert(isValid, () => `revision walk: the value of ${this.main}.${this.sub} is not a KeyValue`);
  }
}
