/**
 * Compacts by itself, on the leader: so many revisions are kept (looked at every five minutes), or the history of so much
 * time (sampled ten times per interval). (Intervals as etcd's, see etcd's compactor package.)
 *
 * Invariants: one compaction is under way at a time; each reaches further than the one before; there are as many samples as a
 * period needs, and no more.
 */
import type { InternalError, Revision } from '@etcd/api';
import { INTERNAL_ERRORS } from '@etcd/api';
import { CompactionRequest } from '@etcd/api/etcdserverpb';
import { assert, type Clock, type Logger, type Timer } from '@etcd/base';
import type { AutoCompaction } from '../config/index.ts';
import type { Propose } from '../request/index.ts';

/** What compacting needs of the member. */
export interface CompactionTarget {
  readonly config: { readonly autoCompaction: AutoCompaction | null };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: { readonly revision: Revision };
  readonly proposals: { readonly proposeOwn: Propose };
}

const REVISION_INTERVAL_MS = 5 * 60_000;
const MAX_PERIODIC_INTERVAL_MS = 60 * 60_000;
const SAMPLES_PER_INTERVAL = 10;

export class AutoCompactor {
  readonly #target: CompactionTarget;
  readonly #policy: Policy;
  #timer: Timer | null = null;
  #isRunning = false;
  #isPending = false;

  constructor(target: CompactionTarget, policy: Policy) {
    this.#target = target;
    this.#policy = policy;
  }

  /** null when none is configured. */
  static create(target: CompactionTarget): AutoCompactor | null {
    const { autoCompaction } = target.config;
    if (autoCompaction === null) return null;
    const policy =
      autoCompaction.mode === 'revision'
        ? new RevisionPolicy(autoCompaction.retentionRevisions)
        : new PeriodicPolicy(autoCompaction.retentionMs, target.clock.now());
    return new AutoCompactor(target, policy);
  }

  start(): void {
    this.#policy.sample(this.#target.store.revision);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Only the leader compacts; the others watch the revisions, to be ready when they lead. */
  setRunning(isRunning: boolean): void {
    this.#isRunning = isRunning;
  }

  #schedule(): void {
    this.#timer = this.#target.clock.setTimer(this.#policy.intervalMs, () => {
      this.#tick();
      this.#policy.sample(this.#target.store.revision);
      if (this.#timer !== null) this.#schedule();
    });
  }

  #tick(): void {
    const { clock, logger, store } = this.#target;
    if (!this.#isRunning || this.#isPending) return;
    const revision = this.#policy.due(store.revision, clock.now());
    if (revision === null) return;
    logger.info('starting auto compaction', { ...this.#policy.fields, revision });
    this.#isPending = true;
    this.#target.proposals.proposeOwn('compaction', new CompactionRequest({ revision }), {
      kind: 'compaction',
      request: null,
      onApplied: ({ error }) => this.#finish(revision, error),
      onFailed: (error) => this.#finish(revision, error),
    });
  }

  #finish(revision: Revision, error: InternalError | null): void {
    const { clock, logger } = this.#target;
    assert(this.#isPending, 'auto compaction: an answer to nothing');
    this.#isPending = false;
    if (error !== null && error !== INTERNAL_ERRORS.mvcc.ErrCompacted) {
      logger.warn('failed auto compaction', { ...this.#policy.fields, revision, error: error.message });
      return;
    }
    this.#policy.compacted(revision, clock.now());
    logger.info('completed auto compaction', { ...this.#policy.fields, revision });
  }
}

interface Policy {
  readonly intervalMs: number;
  /** For the log. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Remembers the revision of now. */
  sample(revision: Revision): void;
  /** What to compact to now; null: nothing. */
  due(revision: Revision, nowMs: number): number | null;
  compacted(revision: Revision, nowMs: number): void;
}

class RevisionPolicy implements Policy {
  readonly intervalMs = REVISION_INTERVAL_MS;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly #retention: number;
  #last = 0;

  constructor(retention: number) {
    this.#retention = retention;
    this.fields = { 'revision-compaction-retention': retention };
  }

  sample(): void {}

  due(revision: Revision): number | null {
    const target = revision - this.#retention;
    return target <= 0 || target === this.#last ? null : target;
  }

  compacted(revision: Revision): void {
    assert(revision > this.#last, 'auto compaction: behind the one before');
    this.#last = revision;
  }
}

class PeriodicPolicy implements Policy {
  readonly intervalMs: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly #periodMs: number;
  readonly #compactIntervalMs: number;
  readonly #maxSamples: number;
  #samples: number[] = [];
  #lastRevision = 0;
  #lastSuccessMs: number;
  /** The first compaction waits for a whole period. */
  #waitMs: number;

  constructor(periodMs: number, nowMs: number) {
    this.#periodMs = periodMs;
    this.#compactIntervalMs = Math.min(periodMs, MAX_PERIODIC_INTERVAL_MS);
    this.intervalMs = this.#compactIntervalMs / SAMPLES_PER_INTERVAL;
    this.#maxSamples = Math.floor(periodMs / this.intervalMs) + 1;
    this.#lastSuccessMs = nowMs;
    this.#waitMs = periodMs;
    this.fields = { 'compact-period': `${periodMs}ms` };
  }

  sample(revision: Revision): void {
    this.#samples.push(revision);
    if (this.#samples.length > this.#maxSamples) this.#samples = this.#samples.slice(1);
    assert(this.#samples.length <= this.#maxSamples, 'auto compaction: more samples than a period has');
  }

  due(_revision: number, nowMs: number): number | null {
    const oldest = this.#samples[0];
    assert(oldest !== undefined, 'auto compaction: nothing was sampled');
    if (nowMs - this.#lastSuccessMs < this.#waitMs || oldest === this.#lastRevision) return null;
    if (this.#waitMs === this.#periodMs) this.#waitMs = this.#compactIntervalMs;
    return oldest;
  }

  compacted(revision: Revision, nowMs: number): void {
    assert(revision > this.#lastRevision, 'auto compaction: behind the one before');
    this.#lastRevision = revision;
    this.#lastSuccessMs = nowMs;
  }
}
