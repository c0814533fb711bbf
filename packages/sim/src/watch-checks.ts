/**
 * Judges what one watcher is told: every event from its beginning on, in order, once, revisions whole; progress no further than what was
 * told before; and an end that is explained. It knows how far the watcher is, and where it has to go on after its stream has ended.
 */
import { FilterType, WatchCreateRequest, type WatchResponse } from '@etcd/api/etcdserverpb';
import { type Event, EventType } from '@etcd/api/mvccpb';
import { isSamePair, type Verdict } from './checks.ts';
import { inRange, type KeyVersion, type Model } from './model.ts';
import { textOf } from './trace.ts';

export interface WatchedRange {
  readonly key: string;
  readonly end: string;
  readonly prevKv: boolean;
  readonly fragment: boolean;
  /** Kinds of events that it does not want. */
  readonly without: 'puts' | 'deletes' | null;
}

const NOTHING = new Uint8Array(0);

export class WatchChecks {
  readonly #model: Model;
  readonly #range: WatchedRange;
  /** Events of this revision are the next to come; what was before has been seen, was skipped, or was compacted. */
  nextRevision: number;
  /** Of the watch that is open. */
  #startRevision = 0;
  /** Of a message that came in pieces so far. */
  #pieces: Event[] = [];
  eventCount = 0;
  /** What it has seen is no more: it must be told so before it is told of anything else. */
  #mustBeTold = false;

  constructor(model: Model, range: WatchedRange, nextRevision = 2) {
    this.#model = model;
    this.#range = range;
    this.nextRevision = nextRevision;
  }

  /** To be called when a watch is opened: what it is asked for. */
  open(): WatchCreateRequest {
    const { key, end, prevKv, fragment, without } = this.#range;
    this.#pieces = [];
    this.#startRevision = this.nextRevision;
    return new WatchCreateRequest({
      key: Buffer.from(key, 'latin1'),
      rangeEnd: Buffer.from(end, 'latin1'),
      startRevision: this.nextRevision,
      progressNotify: true,
      prevKv,
      fragment,
      filters: without === null ? [] : [without === 'puts' ? FilterType.NOPUT : FilterType.NODELETE],
    });
  }

  /** An answer that does not end the watch. */
  told(response: WatchResponse): Verdict {
    if (response.created) return null;
    this.#pieces.push(...response.events);
    if (response.fragment) return null;
    const events = this.#pieces;
    this.#pieces = [];
    if (this.#mustBeTold) return 'it goes on behind what it had seen, though that is no more';
    return events.length === 0 ? this.#progress(response.header?.revision ?? 0) : this.#events(events);
  }

  /** The watch was ended by its member. */
  canceled(compactRevision: number): Verdict {
    if (compactRevision <= 0) return null;
    this.#mustBeTold = false;
    const { compactRevision: real } = this.#model;
    const next = this.nextRevision;
    this.nextRevision = compactRevision;
    return compactRevision <= real && next < compactRevision
      ? null
      : `cancelled at ${compactRevision}, next ${next}, compacted at ${real}`;
  }

  /**
   * The cluster goes on from an older copy of its own.
   *
   * @param isTold the revision has jumped, so that the watcher can be told; otherwise it has to begin anew by itself.
   */
  startOver(isTold: boolean): void {
    this.#pieces = [];
    this.#mustBeTold = isTold;
    if (!isTold) this.nextRevision = Math.min(this.nextRevision, this.#model.revision + 1);
  }

  /** It gives up what comes before `revision`. */
  skipTo(revision: number): void {
    this.nextRevision = Math.max(this.nextRevision, revision);
    if (this.nextRevision >= this.#model.compactRevision) this.#mustBeTold = false;
  }

  /** Everything that has happened so far has been told. */
  get isCaughtUp(): boolean {
    return !this.#mustBeTold && this.missing(this.#model.revision).length === 0;
  }

  /** Events that have not come, up to `last`. */
  missing(last: number): KeyVersion[] {
    const { key, end, without } = this.#range;
    const found: KeyVersion[] = [];
    for (let revision = this.nextRevision; revision <= last; revision++) {
      for (const event of this.#model.eventsAt(revision)) {
        const isWanted = without !== (event.value === null ? 'deletes' : 'puts');
        if (isWanted && inRange(event.key, key, end)) found.push(event);
      }
    }
    return found;
  }

  #events(events: readonly Event[]): Verdict {
    this.eventCount += events.length;
    const last = events.at(-1)!.kv!.modRevision;
    if (last > this.#model.revision) {
      return `an event of revision ${last}, the log has come to ${this.#model.revision}`;
    }
    const expected = this.missing(last);
    if (expected.length !== events.length || !events.every((event, i) => isSameEvent(event, expected[i]!))) {
      const range = `from ${this.nextRevision} to ${last}`;
      return `${range} came ${describeEvents(events)}, the log has ${describeVersions(expected)}`;
    }
    const wrong = this.#range.prevKv ? events.find((event) => !this.#hasPrevious(event)) : undefined;
    if (wrong !== undefined) {
      return `the previous pair of ${describeEvents([wrong])} is ${textOf(wrong.prevKv?.value ?? NOTHING)}`;
    }
    this.nextRevision = last + 1;
    return null;
  }

  /** The pair before, unless a compaction has taken it. */
  #hasPrevious({ kv, prevKv }: Event): boolean {
    const before = kv!.modRevision - 1;
    const expected = this.#model.get(textOf(kv!.key), before);
    if (prevKv === null) return expected === null || this.#model.compactRevision >= before;
    return expected !== null && isSamePair(prevKv, expected);
  }

  #progress(revision: number): Verdict {
    if (revision < this.#startRevision) {
      return `progress up to ${revision} was told though it began at ${this.#startRevision}`;
    }
    const missed = this.missing(revision);
    if (missed.length > 0) {
      return `progress up to ${revision} was told before ${describeVersions(missed)}; next was ${this.nextRevision}`;
    }
    this.nextRevision = Math.max(this.nextRevision, revision + 1);
    return null;
  }
}

function isSameEvent({ type, kv }: Event, expected: KeyVersion): boolean {
  if (kv === null) return false;
  if (expected.value !== null) return type === EventType.PUT && isSamePair(kv, expected);
  return type === EventType.DELETE && textOf(kv.key) === expected.key && kv.modRevision === expected.mod;
}

function describeEvents(events: readonly Event[]): string {
  return events.map(({ kv }) => `${textOf(kv!.key)}@${kv!.modRevision}`).join(', ');
}

function describeVersions(versions: readonly KeyVersion[]): string {
  return versions.map(({ key, mod }) => `${key}@${mod}`).join(', ') || 'nothing';
}
