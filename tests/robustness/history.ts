/**
 * What clients asked and were told, in the order in which it happened, for a judgement afterwards, when the log says what was true. All
 * clients are in one process and share one clock.
 */
import type { AnswerChecks, Bounds, Model, Verdict, WatchedRange } from '@etcd/sim/judges';

export interface Judges {
  readonly model: Model;
  readonly checks: AnswerChecks;
}

/** A request that was answered, and how its answer is judged. */
export interface Answered {
  readonly text: string;
  /** Who answered. */
  readonly by: string;
  readonly bounds: Bounds;
  readonly judge: (judges: Judges, bounds: Bounds) => Verdict;
}

/** What a watcher did and was told. */
export type WatchStep =
  | { readonly type: 'open'; readonly from: number; readonly by: string }
  | { readonly type: 'message'; readonly bytes: Uint8Array };

export interface WatchRecord {
  readonly name: string;
  readonly range: WatchedRange;
  readonly steps: WatchStep[];
}

/** A lease as its holder knows it. */
export interface LeaseRecord {
  readonly id: bigint;
  readonly ttlMs: number;
  /** When the last renewal that was confirmed was asked for. */
  renewedMs: number;
  /** Its holder has asked for its end. */
  isRevocable: boolean;
  /** When its holder was told that it is gone; null: never. */
  goneMs: number | null;
}

/** An instant at which somebody knew that the store had come to a revision. */
interface Sighting {
  readonly ms: number;
  readonly revision: number;
}

export class History {
  readonly answered: Answered[] = [];
  readonly watches: WatchRecord[] = [];
  readonly leases = new Map<bigint, LeaseRecord>();
  /** Values of requests that were refused for good. */
  readonly forbidden = new Set<string>();
  /** Answers that no request should get. */
  readonly oddErrors: string[] = [];
  /** Requests by kind, of those that were answered well. */
  readonly operations = new Map<string, number>();
  /** Failures, each text with its count. */
  readonly failures = new Map<string, number>();
  readonly #sightings: Sighting[] = [];
  seenRevision = 1;
  /** The watchers had all the time they needed, and a cluster that was well. */
  isComplete = false;

  /** Somebody was told of a revision. */
  see(revision: number): void {
    if (revision <= this.seenRevision) return;
    this.seenRevision = revision;
    this.#sightings.push({ ms: performance.now(), revision });
  }

  count(kind: string): void {
    this.operations.set(kind, (this.operations.get(kind) ?? 0) + 1);
  }

  fail(text: string): void {
    this.failures.set(text, (this.failures.get(text) ?? 0) + 1);
  }

  /** When it was first known that the store is at a revision, or beyond it; infinity: never. */
  firstSeenMs(revision: number): number {
    return this.#sightings.find((sighting) => sighting.revision >= revision)?.ms ?? Number.POSITIVE_INFINITY;
  }
}
