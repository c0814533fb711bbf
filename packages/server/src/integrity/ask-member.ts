/** Questions to other members about their data. */
import type { Revision } from '@etcd/api';
import type { Member } from '@etcd/storage/membership';
import type { PeerNetwork, PeerRequest, PeerResponseCallback } from '../peer/index.ts';
import { parseObject } from './state-hash-protocol.ts';

const JSON_TYPE = 'application/json';

/** Asks at one peer URL after the other until somebody answers, whatever it is. `done` may be called at once. */
export function askMember(
  network: PeerNetwork,
  { peerUrls }: Pick<Member, 'peerUrls'>,
  request: PeerRequest,
  timeoutMs: number,
  done: PeerResponseCallback,
): void {
  const ask = (i: number, lastReason: string): void => {
    const url = peerUrls[i];
    if (url === undefined) return done(null, lastReason);
    network.request(url, request, timeoutMs, (response, reason) => {
      if (response === null) ask(i + 1, reason);
      else done(response, reason);
    });
  };
  ask(0, 'no peer URLs');
}

/** What a member says of its whole store at a revision. */
export interface MemberHash {
  readonly member: Member;
  /** null: it has none, because of {@link problem}. */
  readonly answer: HashAnswer | null;
  readonly problem: string;
}

export interface HashAnswer {
  readonly hash: number;
  readonly compactRevision: Revision;
  /** The newest revision of the member. */
  readonly currentRevision: Revision;
}

/** Asks `members`, all at once, for the hash of the key space at `revision`; `done` gets their answers in order. */
export function askHashes(
  network: PeerNetwork,
  members: readonly Member[],
  revision: Revision,
  timeoutMs: number,
  done: (hashes: readonly MemberHash[]) => void,
): void {
  const hashes = new Array<MemberHash>(members.length);
  let openCount = members.length;
  if (openCount === 0) return done(hashes);
  const body = Buffer.from(JSON.stringify({ revision }));
  const request = { method: 'GET', path: '/members/hashkv', contentType: JSON_TYPE, body };
  for (const [i, member] of members.entries()) {
    askMember(network, member, request, timeoutMs, (response, reason) => {
      const answer = response?.status === 200 ? readHash(response.body) : null;
      const problem = response === null ? reason : Buffer.from(response.body).toString().trim();
      hashes[i] = { member, answer, problem };
      if (--openCount === 0) done(hashes);
    });
  }
}

/** Ids in it are numbers too large for JSON.parse; whom we asked we know. */
function readHash(body: Uint8Array): HashAnswer | null {
  const value = parseObject(body);
  if (value === null) return null;
  // Go leaves out what is zero.
  const { hash = 0, compact_revision: compactRevision = 0, header } = value;
  const currentRevision = header instanceof Object && 'revision' in header ? header.revision : 0;
  if (typeof hash !== 'number' || typeof compactRevision !== 'number') return null;
  return typeof currentRevision === 'number' ? { hash, compactRevision, currentRevision } : null;
}
