/**
 * A segment of the change log: a line that says what it is, then records of a kind, a time and a content, at the end the SHA-256 of all
 * before it. What changed are `events` fields of WatchResponse as a member sends them to watchers; leases that keys were put under stand
 * before them, since no watcher hears of those.
 */
import { createHash } from 'node:crypto';
import type { LeaseId, Revision } from '@etcd/api';
import {
  encodeLeaseGrantRequest,
  LeaseGrantRequest,
  LeaseGrantRequestCodec,
  type WatchResponse,
  WatchResponseCodec,
} from '@etcd/api/etcdserverpb';
import type { Event } from '@etcd/api/mvccpb';
import { BackupError } from './backup-error.ts';

const MAGIC = Buffer.from('etcd-changes 1\n');
const KIND = { events: 1, lease: 2, end: 3 } as const;
/** One byte of kind, eight of time, four of length. */
const HEAD_BYTES = 13;
const DIGEST_BYTES = 32;

/** In the order in which they became. Times are milliseconds since 1970, on the clock of the member that led. */
export type ChangeRecord =
  | { readonly kind: 'events'; readonly timeMs: number; readonly events: readonly Event[] }
  | { readonly kind: 'lease'; readonly timeMs: number; readonly id: LeaseId; readonly ttl: number };

export class ChangesWriter {
  readonly #pieces: Buffer[] = [MAGIC];
  byteCount = MAGIC.length;

  /** @param fields encoded `events` fields of a WatchResponse, which are kept. */
  events(timeMs: number, fields: Buffer): void {
    this.#add(KIND.events, timeMs, fields);
  }

  lease(timeMs: number, id: LeaseId, ttl: number): void {
    this.#add(KIND.lease, timeMs, encode(id, ttl));
  }

  /** All of it. To be asked once. */
  finish(): Buffer[] {
    const hash = createHash('sha256');
    for (const piece of this.#pieces) hash.update(piece);
    this.#add(KIND.end, 0, hash.digest());
    return this.#pieces;
  }

  #add(kind: number, timeMs: number, content: Buffer): void {
    const head = Buffer.alloc(HEAD_BYTES);
    head[0] = kind;
    head.writeBigUInt64BE(BigInt(Math.round(timeMs)), 1);
    head.writeUInt32BE(content.length, 9);
    this.#pieces.push(head, content);
    this.byteCount += head.length + content.length;
  }
}

/** Throws {@link BackupError} for what is no whole segment. */
export function parseChanges(bytes: Buffer): ChangeRecord[] {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new BackupError('not a segment of changes');
  const records: ChangeRecord[] = [];
  let position = MAGIC.length;
  while (position + HEAD_BYTES <= bytes.length) {
    const start = position;
    const kind = bytes[position];
    const timeMs = Number(bytes.readBigUInt64BE(position + 1));
    const end = position + HEAD_BYTES + bytes.readUInt32BE(position + 9);
    const content = bytes.subarray(position + HEAD_BYTES, end);
    position = end;
    if (end > bytes.length) break;
    if (kind === KIND.end) {
      const isWhole = createHash('sha256').update(bytes.subarray(0, start)).digest().equals(content);
      if (timeMs !== 0 || content.length !== DIGEST_BYTES || !isWhole || end !== bytes.length) break;
      return records;
    }
    if (kind === KIND.events) records.push({ kind: 'events', timeMs, events: eventsOf(content) });
    else if (kind === KIND.lease) records.push({ kind: 'lease', timeMs, ...decode(content) });
    else throw new BackupError(`a record of kind ${kind} is not known here`);
  }
  throw new BackupError('the segment is damaged or cut off: it is not what its digest says');
}

/** Throws {@link BackupError}. */
export function eventsOf(fields: Buffer): Event[] {
  return decoded(() => (WatchResponseCodec.decode(fields) as WatchResponse).events);
}

/** The revision of an event, be it a put or a deletion. */
export function revisionOf({ kv }: Event): Revision {
  return kv?.modRevision ?? 0;
}

function encode(id: LeaseId, ttl: number): Buffer {
  return Buffer.from(encodeLeaseGrantRequest(new LeaseGrantRequest({ id, ttl })));
}

function decode(content: Buffer): { readonly id: LeaseId; readonly ttl: number } {
  const { id, ttl } = decoded(() => LeaseGrantRequestCodec.decode(content));
  return { id, ttl: Number(ttl) };
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new BackupError(`a record of changes can not be read: ${(error as Error).message}`);
  }
}
