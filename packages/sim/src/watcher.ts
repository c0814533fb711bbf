/**
 * A client that watches a range of keys for as long as the world exists. Whatever happens to its connections, it must be told
 * every event from the revision on at which it began, in order, once; only a compaction may take events away from it.
 */
import {
  decodeWatchResponse,
  encodeWatchRequest,
  FilterType,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import { type Event, EventType } from '@etcd/api/mvccpb';
import type { SeededRandom } from '@etcd/base';
import type { CallOptions, ClientCall } from '@etcd/transport';
import { isSamePair } from './checks.ts';
import { bytesOf } from './client.ts';
import { inRange, type KeyVersion } from './model.ts';
import { Session } from './session.ts';
import { textOf } from './trace.ts';
import type { World } from './world.ts';

export interface WatcherOptions {
  readonly world: World;
  readonly name: string;
  readonly random: SeededRandom;
  readonly key: string;
  readonly end: string;
  readonly style?: WatchStyle | undefined;
}

/** What a watcher asks for besides the events, and how it reads. */
export interface WatchStyle {
  readonly prevKv: boolean;
  readonly fragment: boolean;
  /** Kinds of events that it does not want. */
  readonly without: 'puts' | 'deletes' | null;
  /** It stops reading for so long, again and again, until its member holds back what it has for it; 0: it never does. */
  readonly maxDozeMs: number;
  /** It asks now and then how far it has been told. */
  readonly asksForProgress: boolean;
  /** It gives up what comes next, now and then, and begins at a revision that may not be there yet. */
  readonly skips: boolean;
}

const PLAIN: WatchStyle = {
  prevKv: false,
  fragment: false,
  without: null,
  maxDozeMs: 0,
  asksForProgress: false,
  skips: false,
};

export function drawWatchStyle(random: SeededRandom): WatchStyle {
  return {
    prevKv: random.chance(0.5),
    fragment: random.chance(0.5),
    without: random.pick([null, null, 'puts', 'deletes']),
    maxDozeMs: random.pick([0, 100, 3000]),
    asksForProgress: random.chance(0.5),
    skips: random.chance(0.3),
  };
}

const MEAN_QUESTION_MS = 3000;
const MAX_SKIPPED = 15;
const RETRY_MS = 400;
const NOTHING = new Uint8Array(0);
const REQUIRE_LEADER: CallOptions = { metadata: [['hasleader', 'true']] };

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #world: World;
  readonly #session: Session;
  #call: ClientCall | null = null;
  /** Events of this revision are the next to come; what was before has been seen, or was compacted. */
  #nextRevision = 2;
  readonly #style: WatchStyle;
  /** Of a message that came in pieces so far. */
  #pieces: Event[] = [];
  /** Of the watch that is open. */
  #startRevision = 0;
  #isStopped = false;
  eventCount = 0;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#style = options.style ?? PLAIN;
    this.#world = options.world;
    this.#session = new Session(options.world, options.random);
  }

  start(): void {
    this.#open();
    this.#switchLater();
    if (this.#style.maxDozeMs > 0) this.#dozeLater();
    if (this.#style.asksForProgress) this.#askLater();
  }

  stop(): void {
    this.#isStopped = true;
    this.#call?.cancel();
  }

  /** Whether everything that has happened so far has been seen. */
  get isCaughtUp(): boolean {
    return this.#expected(this.#world.model.revision).length === 0;
  }

  get position(): number {
    return this.#nextRevision;
  }

  /** Now and then another member is asked, and a compacted beginning is risked. */
  #switchLater(): void {
    this.#world.clock.setTimer(2000 + this.#options.random.below(20_000), () => {
      if (this.#isStopped) return;
      this.#session.leave();
      this.#switchLater();
    });
  }

  /** What comes meanwhile stays with the member, when the windows of the connection are used up. */
  #dozeLater(): void {
    const { clock } = this.#world;
    const { random } = this.#options;
    clock.setTimer(random.below(2 * this.#style.maxDozeMs), () => {
      const call = this.#call;
      call?.pause();
      clock.setTimer(random.below(this.#style.maxDozeMs), () => {
        if (call === this.#call) call?.resume();
        this.#dozeLater();
      });
    });
  }

  #askLater(): void {
    this.#world.clock.setTimer(this.#options.random.below(2 * MEAN_QUESTION_MS), () => {
      const progressRequest = new WatchProgressRequest();
      this.#call?.write(encodeWatchRequest(new WatchRequest({ progressRequest })));
      this.#askLater();
    });
  }

  #open(): void {
    if (this.#isStopped) return;
    this.#pieces = [];
    const { key, end, random } = this.#options;
    if (this.#style.skips && random.chance(0.5)) {
      this.#nextRevision = Math.max(this.#nextRevision, this.#world.seenRevision + random.below(MAX_SKIPPED));
    }
    this.#startRevision = this.#nextRevision;
    const { prevKv, fragment, without } = this.#style;
    this.#call = this.#session.stream(
      '/etcdserverpb.Watch/Watch',
      {
        onMessage: (call, bytes, from, to) => {
          if (call === this.#call) this.#onResponse(decodeWatchResponse(bytes.subarray(from, to)));
        },
        onEnd: (call) => {
          if (call === this.#call) this.#retry();
        },
      },
      this.#options.random.chance(0.5) ? REQUIRE_LEADER : {},
    );
    if (this.#call === null) return this.#retry();
    const createRequest = new WatchCreateRequest({
      key: bytesOf(key),
      rangeEnd: bytesOf(end),
      startRevision: this.#nextRevision,
      progressNotify: true,
      prevKv,
      fragment,
      filters: without === null ? [] : [without === 'puts' ? FilterType.NOPUT : FilterType.NODELETE],
    });
    this.#call.write(encodeWatchRequest(new WatchRequest({ createRequest })));
  }

  #retry(): void {
    this.#call = null;
    this.#session.leave();
    this.#world.clock.setTimer(RETRY_MS, () => {
      if (this.#call === null) this.#open();
    });
  }

  #onResponse(response: WatchResponse): void {
    const { canceled, compactRevision, created } = response;
    if (created && !canceled) return;
    if (canceled) {
      this.#session.noteRefusal(response.cancelReason);
      return this.#onCanceled(compactRevision);
    }
    this.#pieces.push(...response.events);
    if (response.fragment) return;
    const events = this.#pieces;
    this.#pieces = [];
    const revision = response.header?.revision ?? 0;
    if (events.length === 0) return this.#onProgress(revision);
    this.eventCount += events.length;
    const last = events.at(-1)!.kv!.modRevision;
    if (last > this.#world.model.revision) {
      return this.#violate(`an event of revision ${last}, the log has come to ${this.#world.model.revision}`);
    }
    const expected = this.#expected(last);
    if (expected.length !== events.length || !events.every((event, i) => isSameEvent(event, expected[i]!))) {
      return this.#violate(
        `from ${this.#nextRevision} to ${last} came ${describeEvents(events)}, the log has ${describeVersions(expected)}`,
      );
    }
    const wrong = this.#style.prevKv ? events.find((event) => !this.#hasPrevious(event)) : undefined;
    if (wrong !== undefined) {
      return this.#violate(
        `the previous pair of ${describeEvents([wrong])} is ${textOf(wrong.prevKv?.value ?? NOTHING)}`,
      );
    }
    this.#nextRevision = last + 1;
    this.#world.trace.mix(last, events.length, 0);
    this.#world.seenRevision = Math.max(this.#world.seenRevision, last);
  }

  /** The pair before, unless a compaction has taken it. */
  #hasPrevious({ kv, prevKv }: Event): boolean {
    const { model } = this.#world;
    const before = kv!.modRevision - 1;
    const expected = model.get(textOf(kv!.key), before);
    if (prevKv === null) return expected === null || model.compactRevision >= before;
    return expected !== null && isSamePair(prevKv, expected);
  }

  #onProgress(revision: number): void {
    if (revision < this.#startRevision) {
      return this.#violate(`progress up to ${revision} was told though it began at ${this.#startRevision}`);
    }
    const missed = this.#expected(revision);
    if (missed.length > 0) {
      return this.#violate(
        `progress up to ${revision} was told before ${describeVersions(missed)}; next was ${this.#nextRevision}`,
      );
    }
    this.#nextRevision = Math.max(this.#nextRevision, revision + 1);
  }

  #onCanceled(compactRevision: number): void {
    this.#world.note(`${this.#options.name} is cancelled, compacted at ${compactRevision}`);
    if (compactRevision > 0) {
      const isTrue = compactRevision <= this.#world.model.compactRevision;
      if (!isTrue || this.#nextRevision >= compactRevision) {
        const { compactRevision: real } = this.#world.model;
        this.#violate(`cancelled at ${compactRevision}, next ${this.#nextRevision}, compacted at ${real}`);
      }
      this.#nextRevision = compactRevision;
    }
    this.#call?.cancel();
    this.#retry();
  }

  /** Events that have not come, up to `last`. */
  #expected(last: number): KeyVersion[] {
    const { key, end } = this.#options;
    const { without } = this.#style;
    const found: KeyVersion[] = [];
    for (let revision = this.#nextRevision; revision <= last; revision++) {
      for (const event of this.#world.model.eventsAt(revision)) {
        const isWanted = without !== (event.value === null ? 'deletes' : 'puts');
        if (isWanted && inRange(event.key, key, end)) found.push(event);
      }
    }
    return found;
  }

  #violate(details: string): void {
    const who = `${this.#options.name} by ${this.#session.machine?.name}`;
    this.#world.violate('watch', `${who}: ${details}`);
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
