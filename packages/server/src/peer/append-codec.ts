/**
 * The stream of MsgApp (`msgappv2`), made so that entries which continue the last message cost little more than themselves.
 * A frame begins with a byte:
 *
 *   0   keeps the link alive; nothing follows
 *   1   entries that continue: u64 count; for each u64 length, raftpb.Entry; u64 commit index
 *   2   u64 length, raftpb.Message
 *
 * All integers are big-endian. Both ends remember the term and the last index: a frame of type 2 sets them, and one of type
 * 1 is a MsgApp of that term, which follows that index.
 */

import type { MemberId } from '@etcd/api';
import {
  Entry,
  Message,
  MessageType,
  mergeEntry,
  sizeEntry,
  sizeMessage,
  writeEntry,
  writeMessage,
} from '@etcd/api/raftpb';
import { readU64, U64_BYTES, writeU64 } from './big-endian.ts';
import { PeerCodecError } from './codec-error.ts';
import {
  checkFrameLength,
  copyRange,
  decodeOwnMessage,
  type FrameFormat,
  malformed,
} from './frame-decoder.ts';
import type { FrameEncoder, FrameTarget } from './frame-target.ts';

const LINK_HEARTBEAT = 0;
const APPEND_ENTRIES = 1;
const APPEND_MESSAGE = 2;
const TYPE_BYTES = 1;

/**
 * Entries in one frame. A leader sends at most 1 MiB in a message, unless it is a single entry; and a peer must not make
 * us build records that take many times the bytes that it sends.
 */
const MAX_ENTRIES = 1024 * 1024;

/** What both ends remember. */
class Progress {
  term = 0;
  index = 0;

  set(message: Message): void {
    this.term = message.term;
    this.index = message.entries.at(-1)?.index ?? message.index;
  }
}

export class AppendEncoder implements FrameEncoder {
  readonly #last = new Progress();

  encode(message: Message, target: FrameTarget): number {
    const { term, index } = this.#last;
    const continues = message.index === index && message.logTerm === term && message.term === term;
    return continues ? this.#encodeEntries(message, target) : this.#encodeMessage(message, target);
  }

  encodeHeartbeat(target: FrameTarget): number {
    const at = target.reserve(TYPE_BYTES);
    target.bytes[at] = LINK_HEARTBEAT;
    return TYPE_BYTES;
  }

  #encodeEntries({ entries, commit }: Message, target: FrameTarget): number {
    let length = TYPE_BYTES + 2 * U64_BYTES + entries.length * U64_BYTES;
    for (const entry of entries) length += sizeEntry(entry);
    let at = target.reserve(length);
    const { bytes } = target;
    bytes[at] = APPEND_ENTRIES;
    at = writeU64(bytes, at + TYPE_BYTES, entries.length);
    for (const entry of entries) {
      const end = writeEntry(entry, bytes, at + U64_BYTES);
      writeU64(bytes, at, end - at - U64_BYTES);
      at = end;
    }
    writeU64(bytes, at, commit);
    this.#last.index += entries.length;
    return length;
  }

  #encodeMessage(message: Message, target: FrameTarget): number {
    const size = sizeMessage(message);
    const length = TYPE_BYTES + U64_BYTES + size;
    const at = target.reserve(length);
    const { bytes } = target;
    bytes[at] = APPEND_MESSAGE;
    writeMessage(message, bytes, writeU64(bytes, at + TYPE_BYTES, size));
    this.#last.set(message);
    return length;
  }
}

export class AppendFormat implements FrameFormat {
  readonly #local: MemberId;
  readonly #remote: MemberId;
  readonly #last = new Progress();
  /** Bytes of an unfinished frame of type 1 that were walked over, up to the length of its next entry; 0: none. */
  #walked = 0;
  #entriesLeft = 0;

  /** @param remote who writes the stream. */
  constructor(local: MemberId, remote: MemberId) {
    this.#local = local;
    this.#remote = remote;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    const type = bytes[start]!;
    if (type === LINK_HEARTBEAT) return TYPE_BYTES;
    if (type !== APPEND_ENTRIES && type !== APPEND_MESSAGE) {
      throw new PeerCodecError('frame-type', `failed to parse type ${type} in msgappv2 stream`);
    }
    const head = TYPE_BYTES + U64_BYTES;
    if (end - start < head) return -head;
    if (type === APPEND_MESSAGE) return checkFrameLength(head + readU64(bytes, start + TYPE_BYTES));
    if (this.#walked === 0) this.#beginWalk(readU64(bytes, start + TYPE_BYTES));
    return this.#walkEntries(bytes, start, end);
  }

  decodeFrame(bytes: Uint8Array, start: number, end: number, isOwn: boolean): Message | null {
    switch (bytes[start]) {
      case LINK_HEARTBEAT:
        return null;
      case APPEND_ENTRIES:
        // Copied in one piece: an array for each of many small entries would cost more than all the rest.
        return isOwn
          ? this.#decodeEntries(bytes, start)
          : this.#decodeEntries(copyRange(bytes, start, end), 0);
      default: {
        const message = decodeOwnMessage(bytes, start + TYPE_BYTES + U64_BYTES, end, isOwn);
        this.#last.set(message);
        return message;
      }
    }
  }

  #beginWalk(count: number): void {
    if (count > MAX_ENTRIES) throw new PeerCodecError('too-large', `a message of ${count} entries`);
    this.#walked = TYPE_BYTES + U64_BYTES;
    this.#entriesLeft = count;
  }

  #walkEntries(bytes: Uint8Array, start: number, end: number): number {
    const available = end - start;
    while (this.#entriesLeft > 0) {
      const entryStart = this.#walked + U64_BYTES;
      if (entryStart > available) return -entryStart;
      const next = checkFrameLength(entryStart + readU64(bytes, start + this.#walked));
      if (next > available) return -next;
      this.#walked = next;
      this.#entriesLeft--;
    }
    const length = this.#walked + U64_BYTES;
    // While bytes are missing it is asked again, and finds no entry left.
    if (length <= available) this.#walked = 0;
    return length;
  }

  #decodeEntries(bytes: Uint8Array, start: number): Message {
    const { term, index } = this.#last;
    const message = new Message();
    message.type = MessageType.MsgApp;
    message.from = this.#remote;
    message.to = this.#local;
    message.term = term;
    message.logTerm = term;
    message.index = index;
    const count = readU64(bytes, start + TYPE_BYTES);
    const { entries } = message;
    let at = start + TYPE_BYTES + U64_BYTES;
    try {
      for (let i = 0; i < count; i++) {
        const entryStart = at + U64_BYTES;
        at = entryStart + readU64(bytes, at);
        entries.push(mergeEntry(new Entry(), bytes, entryStart, at));
      }
    } catch (error) {
      throw malformed(error);
    }
    message.commit = readU64(bytes, at);
    this.#last.index += count;
    return message;
  }
}
