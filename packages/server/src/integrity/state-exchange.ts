/**
 * Compares, every few seconds, what this member has applied since the last time with what each of the others has. A difference is
 * traced to its first revision, and put before all members at once: the majority's hash of that revision is right.
 */
import type { MemberId, Revision } from '@etcd/api';
import type { Timer } from '@etcd/base';
import { formatId, type Member } from '@etcd/storage/membership';
import { askMember } from './ask-member.ts';
import { blockEnd, type ChangeHashes } from './change-hashes.ts';
import type { Findings } from './findings.ts';
import { type IntegrityHost, otherMembers, voterIds } from './integrity-host.ts';
import {
  parseStateHashAnswer,
  type StateHashAnswer,
  type StateHashQuestion,
  stateHashPath,
} from './state-hash-protocol.ts';
import { hashText, judge } from './verdict.ts';

export interface StateExchangeOptions {
  readonly host: IntegrityHost;
  readonly hashes: ChangeHashes;
  readonly findings: Findings;
  /** Members differ, and those that can be asked for a revision are no majority: the whole stores may tell. */
  readonly onUndecided: () => void;
}

const INTERVAL_MS = 5000;
/** So that members that were started together don't ask together. */
const JITTER_MS = 1000;
const TIMEOUT_MS = 5000;
/** A member that can't answer is asked again after this: it may have been replaced by another release. */
const FOREIGN_MS = 5 * 60_000;
/** A member that lags may have the revision in question soon: so many rounds it is waited for. */
const MAX_ATTEMPTS = 3;

class Peer {
  /** Up to here its changes are known to be ours, or were given up. */
  comparedTo = 0;
  /** `Clock.now` until which it is taken for one that does not know the question. */
  foreignUntilMs = Number.NEGATIVE_INFINITY;
  attempts = 0;
  isBusy = false;
}

export class StateExchange {
  readonly #options: StateExchangeOptions;
  readonly #peers = new Map<bigint, Peer>();
  /** null: stopped. */
  #timer: Timer | null = null;
  #isInvestigating = false;

  constructor(options: StateExchangeOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, random } = this.#options.host;
    this.#timer = clock.setTimer(INTERVAL_MS + random.below(JITTER_MS), () => {
      this.start();
      this.#round();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Whether a member that is connected can only be compared by the hash of its whole store. */
  get hasForeignMember(): boolean {
    const { host } = this.#options;
    const nowMs = host.clock.now();
    return otherMembers(host).some(
      ({ id }) => host.isActive(id) && (this.#peers.get(id)?.foreignUntilMs ?? 0) > nowMs,
    );
  }

  #round(): void {
    const { host, findings } = this.#options;
    const others = otherMembers(host);
    const ids = others.map(({ id }) => id);
    for (const id of this.#peers.keys()) if (!ids.includes(id)) this.#peers.delete(id);
    findings.keepOnly([...ids, host.memberId]);
    for (const member of others) {
      if (host.isActive(member.id) && !findings.isDiffering(member.id)) this.#compare(member);
    }
  }

  #peer(id: MemberId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) this.#peers.set(id, (peer = new Peer()));
    return peer;
  }

  #compare(member: Member): void {
    const { host, hashes } = this.#options;
    const peer = this.#peer(member.id);
    if (peer.isBusy || peer.foreignUntilMs > host.clock.now()) return;
    const question = {
      from: Math.max(peer.comparedTo + 1, hashes.first),
      to: hashes.last,
      each: false,
    };
    if (question.from > question.to) return;
    peer.isBusy = true;
    this.#ask(member, question, (answer) => {
      peer.isBusy = false;
      if (answer !== null) this.#onBlocks(member, peer, answer);
    });
  }

  #onBlocks(member: Member, peer: Peer, { first, last, hashes: theirs }: StateHashAnswer): void {
    const { hashes, host } = this.#options;
    // Nothing in common, or we have gone on so far meanwhile that what was asked for is gone.
    if (first > last || !hashes.isKnown(first) || !hashes.isKnown(last)) return;
    const ours = hashes.blocks(first, last);
    const block = ours.findIndex((hash, i) => hash !== theirs[i]);
    if (block < 0) {
      peer.comparedTo = last;
      peer.attempts = 0;
      host.metrics.integrityComparedRevisionsTotal.add(last - first + 1);
      return;
    }
    const firstEnd = blockEnd(first);
    const from = block === 0 ? first : firstEnd + 1 + (block - 1) * (blockEnd(0) + 1);
    const question = { from, to: Math.min(blockEnd(from), last), each: true };
    peer.isBusy = true;
    this.#ask(member, question, (answer) => {
      peer.isBusy = false;
      if (answer !== null) this.#onRevisions(peer, answer, last);
    });
  }

  #onRevisions(peer: Peer, { first, last, hashes: theirs }: StateHashAnswer, comparedTo: number): void {
    const { hashes } = this.#options;
    for (let revision = first; revision <= last; revision++) {
      if (!hashes.isKnown(revision) || hashes.at(revision) === theirs[revision - first]) continue;
      return this.#investigate(revision, (found) => {
        peer.attempts++;
        if (!this.#isDecided(revision, found, peer.attempts === MAX_ATTEMPTS)) return;
        // Known now, or not to be known: the revisions behind it are not compared again.
        peer.comparedTo = comparedTo;
        peer.attempts = 0;
      });
    }
  }

  /** Asks everybody for their hash of the one revision, unless that is being done for another: the next round is soon. */
  #investigate(revision: Revision, done: (found: ReadonlyMap<bigint, string>) => void): void {
    const { host, hashes } = this.#options;
    const others = otherMembers(host);
    if (this.#isInvestigating || others.length === 0) return;
    this.#isInvestigating = true;
    host.metrics.integrityMismatchesTotal.inc();
    const found = new Map([[host.memberId, hashText(hashes.at(revision))]]);
    let openCount = others.length;
    for (const member of others) {
      this.#ask(member, { from: revision, to: revision, each: true }, (answer) => {
        if (answer?.hashes.length === 1) found.set(member.id, hashText(answer.hashes[0]!));
        if (--openCount > 0) return;
        this.#isInvestigating = false;
        done(found);
      });
    }
  }

  /** @param isLast no more is heard of this: without a majority, that is said. */
  #isDecided(revision: Revision, found: ReadonlyMap<bigint, string>, isLast: boolean): boolean {
    const { host, findings, onUndecided } = this.#options;
    const { majority } = judge(voterIds(host), found);
    if (majority === null && !isLast) return false;
    findings.report('changes', revision, found);
    if (majority === null) onUndecided();
    return true;
  }

  /** Gives null when there is no answer that could be compared with. */
  #ask(member: Member, question: StateHashQuestion, done: (answer: StateHashAnswer | null) => void): void {
    const { host } = this.#options;
    const request = { method: 'GET', path: stateHashPath(question) };
    askMember(host.network, member, request, TIMEOUT_MS, (response) => {
      if (this.#timer === null) return;
      if (response === null) return done(null);
      const answer = response.status === 200 ? parseStateHashAnswer(question, response) : null;
      if (answer === null && response.status !== 503) this.#onForeign(member);
      done(answer);
    });
  }

  #onForeign({ id }: Member): void {
    const { clock, logger } = this.#options.host;
    const peer = this.#peer(id);
    if (peer.foreignUntilMs === Number.NEGATIVE_INFINITY) {
      logger.info('a member does not tell hashes of its changes; its whole store is compared instead', {
        'remote-peer-id': formatId(id),
      });
    }
    peer.foreignUntilMs = clock.now() + FOREIGN_MS;
  }
}
