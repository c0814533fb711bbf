/**
 * etcd's own checks, which are off unless asked for: before the member serves (feature gate `InitialCorruptCheck`), by the
 * leader from time to time (`--corrupt-check-time`), and by the leader over the hashes that compactions leave (gate
 * `CompactHashCheck`). What the leader finds raises the alarm CORRUPT, by which the whole cluster stops to change. Judgements
 * and log lines are etcd's, for tools that know them.
 */
import { INTERNAL_ERRORS, type Revision } from '@etcd/api';
import type { Timer } from '@etcd/base';
import { formatId, type Member } from '@etcd/storage/membership';
import type { KeyValueHash } from '@etcd/storage/mvcc';
import { askHashes, type MemberHash } from './ask-member.ts';
import { type IntegrityHost, otherMembers } from './integrity-host.ts';

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
const CLUSTER_ID_MISMATCH = 'cluster ID mismatch';
/** The alarm of a member that is not known. */
const NOBODY = 0n;

export class CorruptionChecks {
  readonly #host: IntegrityHost;
  readonly #timers = new Map<string, Timer>();
  /** Up to here hashes of compactions were the same on all members. */
  #checkedRevision = 0;
  #isStopped = false;

  constructor(host: IntegrityHost) {
    this.#host = host;
  }

  start(): void {
    const { config, logger, memberId } = this.#host;
    const { corruptCheckTimeMs, compactHashCheckTimeMs, featureGates } = config;
    if (corruptCheckTimeMs > 0) {
      logger.info('enabled corruption checking', {
        'local-member-id': formatId(memberId),
        interval: `${corruptCheckTimeMs}ms`,
      });
      this.#repeat('periodic', corruptCheckTimeMs, (done) => this.#periodicCheck(done));
    }
    if (featureGates.CompactHashCheck) {
      this.#repeat('compaction', compactHashCheckTimeMs, (done) => this.#compactHashCheck(done));
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  /** On the leader only; the next time begins when this one is over. */
  #repeat(name: string, intervalMs: number, check: (done: () => void) => void): void {
    const { clock, isLeader } = this.#host;
    const again = (): void => this.#repeat(name, intervalMs, check);
    const timer = clock.setTimer(intervalMs, () => {
      if (this.#isStopped) return;
      if (isLeader()) check(again);
      else again();
    });
    if (this.#isStopped) timer.cancel();
    else this.#timers.set(name, timer);
  }

  // --- before serving

  /** Compares the newest revision of this member, which serves nobody yet. Gives what speaks against serving, or null. */
  initialCheckThen(done: (problem: string | null) => void): void {
    const { logger, memberId, requestTimeoutMs } = this.#host;
    const id = formatId(memberId);
    const timeout = `${requestTimeoutMs}ms`;
    logger.info('starting initial corruption check', { 'local-member-id': id, timeout });
    this.#hashThen((own, problem) => {
      if (own === null) return done(`${id} failed to fetch hash (${problem})`);
      this.#ask(otherMembers(this.#host), own.revision, (hashes) => {
        const mismatches = hashes.filter((hash) => this.#isInitialMismatch(own, hash));
        if (mismatches.length > 0) return done(`${id} found data inconsistency with peers`);
        logger.info('initial corruption checking passed; no corruption', { 'local-member-id': id });
        done(null);
      });
    });
  }

  #isInitialMismatch(own: KeyValueHash, { member, answer, problem }: MemberHash): boolean {
    const { logger, memberId } = this.#host;
    const fields = {
      'local-member-id': formatId(memberId),
      'local-member-revision': own.revision,
      'local-member-compact-revision': own.compactRevision,
      'local-member-hash': own.hash,
      'remote-peer-id': formatId(member.id),
      'remote-peer-endpoints': member.peerUrls,
    };
    if (answer === null) {
      const message = initialProblem(problem);
      if (message !== null) logger.warn(message, { ...fields, error: problem });
      return false;
    }
    if (answer.hash === own.hash) return false;
    const isMismatch = answer.compactRevision === own.compactRevision;
    const what = isMismatch ? 'hash' : 'compact revision';
    logger.warn(`found different ${what} values from remote peer`, {
      ...fields,
      'remote-peer-revision': answer.currentRevision,
      'remote-peer-compact-revision': answer.compactRevision,
      'remote-peer-hash': answer.hash,
    });
    return isMismatch;
  }

  // --- from time to time

  #periodicCheck(done: () => void): void {
    const { logger, whenCurrent } = this.#host;
    const fail = (problem: string): void => {
      logger.warn('failed to check hash KV', { error: problem });
      done();
    };
    this.#hashThen((own, problem) => {
      if (own === null) return fail(problem);
      this.#ask(otherMembers(this.#host), own.revision, (hashes) => {
        whenCurrent((error) => {
          if (error !== null) return fail(error.message);
          this.#hashThen((later, laterProblem, currentRevision) => {
            if (later === null) return fail(laterProblem);
            this.#judgePeriodic(own, later, currentRevision, hashes);
            done();
          });
        });
      });
    });
  }

  /** The leader is the measure. One alarm is enough. */
  #judgePeriodic(
    own: KeyValueHash,
    later: KeyValueHash,
    currentRevision: Revision,
    hashes: readonly MemberHash[],
  ): void {
    const { logger, memberId, raiseAlarm } = this.#host;
    let corrupt = hasChanged(own, later) ? memberId : null;
    if (corrupt !== null) {
      logger.warn('found hash mismatch', {
        'revision-1': own.revision,
        'compact-revision-1': own.compactRevision,
        'hash-1': own.hash,
        'revision-2': later.revision,
        'compact-revision-2': later.compactRevision,
        'hash-2': later.hash,
      });
    }
    for (const hash of hashes) {
      if (this.#differsFromLeader(own, later, currentRevision, hash)) corrupt ??= hash.member.id;
    }
    if (corrupt !== null) raiseAlarm(corrupt);
    const checked = hashes.filter(({ answer }) => answer !== null).length;
    logger.info('finished peer corruption check', { 'number-of-peers-checked': checked });
  }

  #differsFromLeader(
    own: KeyValueHash,
    later: KeyValueHash,
    leaderRevision: number,
    { member, answer }: MemberHash,
  ): boolean {
    if (answer === null) return false;
    const { logger } = this.#host;
    const peer = { 'follower-peer-id': formatId(member.id) };
    const compactRevisions = {
      'leader-compact-revision': later.compactRevision,
      'follower-compact-revision': answer.compactRevision,
    };
    const isAhead = answer.currentRevision > leaderRevision;
    if (isAhead) {
      logger.warn("revision from follower must be less than or equal to leader's", {
        'leader-revision': leaderRevision,
        'follower-revision': answer.currentRevision,
        ...peer,
      });
    }
    const isCompactedFurther = answer.compactRevision > later.compactRevision;
    if (isCompactedFurther) {
      const message = "compact revision from follower must be less than or equal to leader's";
      logger.warn(message, { ...compactRevisions, ...peer });
    }
    const isMismatch = answer.compactRevision === own.compactRevision && answer.hash !== own.hash;
    if (isMismatch) {
      logger.warn('same compact revision then hashes must match', {
        ...compactRevisions,
        'leader-hash': own.hash,
        'follower-hash': answer.hash,
        ...peer,
      });
    }
    return isAhead || isCompactedFurther || isMismatch;
  }

  // --- after compactions

  /** Compares the newest hashes that were not, until one of them could be compared on all members. */
  #compactHashCheck(done: () => void): void {
    const { logger, memberId, requestTimeoutMs, store } = this.#host;
    logger.info('starting compact hash check', {
      'local-member-id': formatId(memberId),
      timeout: `${requestTimeoutMs}ms`,
    });
    const unchecked = store()
      .hashes.stored.filter(({ revision }) => revision > this.#checkedRevision)
      .reverse();
    const finish = (count: number): void => {
      logger.info('finished compaction hash check', { 'number-of-hashes-checked': count });
      done();
    };
    const check = (i: number): void => {
      const hash = unchecked[i];
      const others = otherMembers(this.#host);
      if (hash === undefined || others.length === 0) return finish(unchecked.length);
      this.#ask(others, hash.revision, (hashes) => {
        if (this.#isSettledByCompaction(hash, hashes)) finish(i + 1);
        else check(i + 1);
      });
    };
    check(0);
  }

  /** Whether all members were compared, or an alarm was raised: older hashes need not be looked at. */
  #isSettledByCompaction(own: KeyValueHash, hashes: readonly MemberHash[]): boolean {
    const { memberId } = this.#host;
    const groups = new Map<number, bigint[]>([[own.hash, [memberId]]]);
    let checkedCount = 0;
    for (const { member, answer, problem } of hashes) {
      if (answer?.compactRevision !== own.compactRevision) {
        this.#logSkipped(own, member, answer?.compactRevision, problem, hashes.length);
        continue;
      }
      checkedCount++;
      const group = groups.get(answer.hash);
      if (group === undefined) groups.set(answer.hash, [member.id]);
      else group.push(member.id);
    }
    if (groups.size === 1) return this.#isConsistent(own, checkedCount, hashes.length);
    this.#onCompactionMismatch(own, groups, hashes.length + 1);
    return true;
  }

  #logSkipped(
    own: KeyValueHash,
    member: Member,
    compactRevision: Revision | undefined,
    problem: string,
    peerCount: number,
  ): void {
    const { logger, memberId } = this.#host;
    const reason =
      compactRevision === undefined
        ? `no response: ${problem}`
        : `the peer's CompactRevision ${compactRevision} doesn't match leader's CompactRevision ${own.compactRevision}`;
    logger.warn("Skipped peer's hash", {
      'number-of-peers': peerCount,
      'leader-id': formatId(memberId),
      'peer-id': formatId(member.id),
      reason,
    });
  }

  #isConsistent(own: KeyValueHash, checkedCount: number, peerCount: number): boolean {
    const { logger } = this.#host;
    const fields = {
      'number-of-peers-checked': checkedCount,
      revision: own.revision,
      compactRevision: own.compactRevision,
    };
    if (checkedCount < peerCount) {
      const message = 'skipped revision in compaction hash check; was not able to check all peers';
      logger.warn(message, { ...fields, 'number-of-peers': peerCount });
      return false;
    }
    logger.info('successfully checked hash on whole cluster', fields);
    this.#checkedRevision = Math.max(this.#checkedRevision, own.revision);
    return true;
  }

  #onCompactionMismatch(
    own: KeyValueHash,
    groups: ReadonlyMap<number, readonly bigint[]>,
    memberCount: number,
  ): void {
    const { logger, memberId, raiseAlarm } = this.#host;
    const quorum = Math.floor(memberCount / 2) + 1;
    const majority = [...groups].find(([, ids]) => ids.length >= quorum)?.[0];
    const leader = {
      'leader-id': formatId(memberId),
      'leader-revision': own.revision,
      'leader-compact-revision': own.compactRevision,
      'leader-hash': own.hash,
    };
    if (majority === undefined) {
      const message =
        'Detected compaction hash mismatch but cannot identify the corrupted members, so intentionally set the memberID as 0';
      logger.error(message, leader);
      raiseAlarm(NOBODY);
    }
    for (const [hash, ids] of groups) {
      if (hash === majority) continue;
      if (majority !== undefined) for (const id of ids) raiseAlarm(id);
      logger.error('Detected compaction hash mismatch', {
        ...leader,
        'peer-hash': hash,
        'peer-ids': ids.map(formatId),
        'quorum-exist': majority !== undefined,
      });
    }
  }

  // --- what all of them do

  /** This member's hash at its newest revision; null with a problem. */
  #hashThen(done: (hash: KeyValueHash | null, problem: string, currentRevision: Revision) => void): void {
    const store = this.#host.store();
    if (!store.isReady) return done(null, 'a snapshot is being restored', 0);
    store.hashes.hashByRevThen(0, (error, hash, currentRevision) => {
      done(hash, error?.message ?? '', currentRevision);
    });
  }

  #ask(members: readonly Member[], revision: Revision, done: (hashes: readonly MemberHash[]) => void): void {
    const { network, requestTimeoutMs } = this.#host;
    askHashes(network, members, revision, requestTimeoutMs, (hashes) => {
      if (!this.#isStopped) done(hashes);
    });
  }
}

function initialProblem(problem: string): string | null {
  if (problem.includes(ErrFutureRev.message)) return 'cannot fetch hash from slow remote peer';
  if (problem.includes(ErrCompacted.message)) {
    return 'cannot fetch hash from remote peer; local member is behind';
  }
  return problem.includes(CLUSTER_ID_MISMATCH) ? CLUSTER_ID_MISMATCH : null;
}

/** The same revision after the same compaction has another hash than a moment ago. */
function hasChanged(before: KeyValueHash, after: KeyValueHash): boolean {
  return (
    before.hash !== after.hash &&
    before.revision === after.revision &&
    before.compactRevision === after.compactRevision
  );
}
