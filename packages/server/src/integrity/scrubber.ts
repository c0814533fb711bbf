/**
 * Compares the whole store, as it lies on the disk, with the other members' at one revision: some time after the start, every
 * few hours, when a comparison of changes could not tell who is right, and often while a member is there that knows no other
 * comparison. It is the hash that `HashKV` gives, so every release of etcd has it.
 */
import type { Timer } from '@etcd/base';
import type { KeyValueHash } from '@etcd/storage/mvcc';
import { askHashes, askMember, type MemberHash } from './ask-member.ts';
import type { Findings } from './findings.ts';
import { type IntegrityHost, otherMembers } from './integrity-host.ts';
import { STATE_HASH_PATH } from './state-hash-protocol.ts';
import { hashText } from './verdict.ts';

export interface ScrubberOptions {
  readonly host: IntegrityHost;
  readonly findings: Findings;
  /** Somebody can only be compared this way. */
  readonly hasForeignMember: () => boolean;
}

/** How often it is looked whether it is time; no two scrubs are closer together, but for the one that confirms. */
const CHECK_MS = 60_000;
const JITTER_MS = 20_000;
const INTERVAL_MS = 4 * 60 * 60_000;
/** Hashing takes at most one part in so many of the time, whatever asks for it; it is itself at work for a part of its time only. */
const PACE = 20;
/** The other members may be a little behind this one: so long they get to come to the same revision. */
const SETTLE_MS = 1000;
/** Large stores take their time. */
const TIMEOUT_MS = 5 * 60_000;
const HINT_TIMEOUT_MS = 5000;
/**
 * A fence is not put up for a difference that passes: while a compaction removes revisions, two sound members can hash differently
 * (etcd's hash counts what is about to be removed at a revision at which no key lives).
 */
const DIFFERENCES_TO_BELIEVE = 3;
const CONFIRMATION_MS = 10_000;

export class Scrubber {
  readonly #options: ScrubberOptions;
  #timer: Timer | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastRevision = 0;
  #lastTookMs = 0;
  #isWanted = true;
  /** Scrubs in a row that found a difference. */
  #differenceCount = 0;
  #isRunning = false;
  #isStopped = false;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** The next one comes soon. */
  want(): void {
    this.#isWanted = true;
  }

  #schedule(): void {
    const { clock, random } = this.#options.host;
    const isConfirming = this.#differenceCount > 0;
    this.#timer = clock.setTimer(isConfirming ? CONFIRMATION_MS : CHECK_MS + random.below(JITTER_MS), () => {
      this.#schedule();
      if (this.#isDue()) this.#scrub();
    });
  }

  #reschedule(): void {
    this.#timer?.cancel();
    this.#schedule();
  }

  #isDue(): boolean {
    const { host, hasForeignMember } = this.#options;
    if (this.#isRunning || !host.store().isReady || host.store().isCompacting) return false;
    if (this.#differenceCount > 0) return true;
    const sinceMs = host.clock.now() - this.#lastMs;
    if (sinceMs < PACE * this.#lastTookMs) return false;
    if (this.#isWanted || sinceMs >= INTERVAL_MS) return true;
    return hasForeignMember() && host.store().revision !== this.#lastRevision;
  }

  #scrub(): void {
    const { host, findings } = this.#options;
    const others = otherMembers(host).filter(({ id }) => host.isActive(id) && !findings.isDiffering(id));
    if (others.length === 0) return;
    const { revision, hashes } = host.store();
    const startMs = host.clock.now();
    this.#isRunning = true;
    hashes.hashByRevThen(
      revision,
      (error, own) => {
        if (error !== null || this.#isStopped) return this.#end();
        const tookMs = host.clock.now() - startMs;
        host.clock.setTimer(SETTLE_MS, () => {
          if (this.#isStopped) return this.#end();
          askHashes(host.network, others, revision, TIMEOUT_MS, (answers) => {
            this.#end();
            if (this.#isStopped) return;
            this.#lastMs = host.clock.now();
            this.#lastTookMs = tookMs;
            this.#compare(own!, answers);
          });
        });
      },
      'gentle',
    );
  }

  #end(): void {
    this.#isRunning = false;
  }

  #compare(own: KeyValueHash, answers: readonly MemberHash[]): void {
    const { host, findings } = this.#options;
    const found = new Map([[host.memberId, hashText(own.hash)]]);
    for (const { member, answer } of answers) {
      if (answer?.compactRevision === own.compactRevision) found.set(member.id, hashText(answer.hash));
    }
    // Nobody to compare with: the others are at another compaction, behind, or don't answer.
    if (found.size === 1) return;
    this.#lastRevision = own.revision;
    this.#isWanted = false;
    const isEqual = new Set(found.values()).size === 1;
    if (isEqual) return this.#onEqual(own, found.size);
    host.metrics.integrityMismatchesTotal.inc();
    if (++this.#differenceCount < DIFFERENCES_TO_BELIEVE) return this.#reschedule();
    this.#differenceCount = 0;
    const { majority } = findings.report('store', own.revision, found);
    if (majority !== null) this.#tell(answers);
  }

  /** The others find the same by themselves: the one that differs must fence itself, the rest should know. */
  #tell(answers: readonly MemberHash[]): void {
    const { host } = this.#options;
    const hint = { method: 'POST', path: STATE_HASH_PATH };
    for (const { member } of answers) {
      askMember(host.network, member, hint, HINT_TIMEOUT_MS, () => {});
    }
  }

  #onEqual({ revision, compactRevision }: KeyValueHash, memberCount: number): void {
    this.#differenceCount = 0;
    this.#options.host.logger.info('the whole store is the same as on other members', {
      revision,
      'compact-revision': compactRevision,
      'number-of-members': memberCount,
    });
  }
}
