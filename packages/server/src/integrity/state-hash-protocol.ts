/**
 * The question by which members compare what they have applied, on the peer URLs, and its answer. A real etcd answers 404.
 *
 *   GET /members/statehash?from=2049&to=4000
 *   {"format":1,"first":2049,"last":4000,"blocks":[3061277421,77283401]}
 *
 *   GET /members/statehash?from=2049&to=3071&each=true
 *   {"format":1,"first":2049,"last":3071,"revisions":[1203334522,…]}
 *
 * The answer is about those of the revisions asked for whose hashes the member knows, [first, last]: none if `first` is
 * behind `last`. POST to the same path says: compare your whole store, it may differ.
 */
import type { PeerResponse } from '../peer/index.ts';
import { BLOCK_REVISIONS, blockEnd, type ChangeHashes } from './change-hashes.ts';

export const STATE_HASH_PATH = '/members/statehash';
/** How hashes are computed. Another format's are not comparable. */
const FORMAT = 1;
/** Of one answer; as many as a member ever knows. */
const MAX_BLOCKS = 512;
const MAX_UINT32 = 0xffff_ffff;

export interface StateHashQuestion {
  readonly from: number;
  readonly to: number;
  /** Revision by revision, within one block. */
  readonly each: boolean;
}

export interface StateHashAnswer {
  readonly first: number;
  readonly last: number;
  /** One per block, or one per revision. */
  readonly hashes: readonly number[];
}

export function stateHashPath({ from, to, each }: StateHashQuestion): string {
  return `${STATE_HASH_PATH}?from=${from}&to=${to}${each ? '&each=true' : ''}`;
}

/** null: not a question. */
export function parseStateHashQuestion(path: string): StateHashQuestion | null {
  const query = new URLSearchParams(path.slice(path.indexOf('?') + 1));
  const from = Number(query.get('from') ?? Number.NaN);
  const to = Number(query.get('to') ?? Number.NaN);
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 1) return null;
  return { from, to, each: query.get('each') === 'true' };
}

export function answerStateHash(hashes: ChangeHashes, { from, to, each }: StateHashQuestion): string {
  const first = Math.max(from, hashes.first);
  const limit = each ? blockEnd(first) : blockEnd(first) + (MAX_BLOCKS - 1) * BLOCK_REVISIONS;
  const last = Math.min(to, hashes.last, limit);
  const found = each ? hashes.each(first, Math.max(last, first - 1)) : hashes.blocks(first, last);
  return JSON.stringify({ format: FORMAT, first, last, [each ? 'revisions' : 'blocks']: found });
}

/** null: no answer to `question` that we could compare with. */
export function parseStateHashAnswer(
  { from, to, each }: StateHashQuestion,
  { body }: PeerResponse,
): StateHashAnswer | null {
  const value = parseObject(body);
  if (value === null || value.format !== FORMAT) return null;
  const { first, last } = value;
  const hashes: unknown = each ? value.revisions : value.blocks;
  if (typeof first !== 'number' || typeof last !== 'number' || !isHashes(hashes)) return null;
  if (first > last) return { first: from, last: from - 1, hashes: [] };
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first < from || last > to) return null;
  const blockCount = Math.floor(last / BLOCK_REVISIONS) - Math.floor(first / BLOCK_REVISIONS) + 1;
  return hashes.length === (each ? last - first + 1 : blockCount) ? { first, last, hashes } : null;
}

function isHashes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((hash) => isUint32(hash));
}

function isUint32(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_UINT32;
}

/** The JSON object in `body`; null if it is none. */
export function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
