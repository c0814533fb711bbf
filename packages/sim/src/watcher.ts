/**
 * A client that watches a range of keys for as long as the world exists. Whatever happens to its connections, it must be told
 * every event from the revision on at which it began, in order, once; only a compaction may take events away from it.
 */
import {
  decodeWatchResponse,
  encodeWatchRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import type { CallOptions, ClientCall } from '@etcd/transport';
import type { Verdict } from './checks.ts';
import { Session } from './session.ts';
import { WatchChecks } from './watch-checks.ts';
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
const REQUIRE_LEADER: CallOptions = { metadata: [['hasleader', 'true']] };

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #world: World;
  readonly #session: Session;
  readonly #style: WatchStyle;
  readonly #checks: WatchChecks;
  #call: ClientCall | null = null;
  #isStopped = false;

  constructor(options: WatcherOptions) {
    const { world, random, key, end, style = PLAIN } = options;
    this.#options = options;
    this.#style = style;
    this.#world = world;
    this.#checks = new WatchChecks(world.model, { key, end, ...style });
    this.#session = new Session(world, random);
  }

  get eventCount(): number {
    return this.#checks.eventCount;
  }

  get name(): string {
    return this.#options.name;
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
    return this.#checks.isCaughtUp;
  }

  /** See {@link WatchChecks.startOver}. No stream is open: nobody serves. */
  startOver(isTold: boolean): void {
    this.#checks.startOver(isTold);
  }

  get position(): number {
    return this.#checks.nextRevision;
  }

  /** Now and then another member is asked, and a compacted beginning is risked. */
  #switchLater(): void {
    this.#world.pauses.rest(2000 + this.#options.random.below(20_000), () => {
      if (this.#isStopped) return;
      this.#session.leave();
      this.#switchLater();
    });
  }

  /** What comes meanwhile stays with the member, when the windows of the connection are used up. */
  #dozeLater(): void {
    const { clock } = this.#world;
    const { random } = this.#options;
    this.#world.pauses.pause(random.below(2 * this.#style.maxDozeMs), () => {
      const call = this.#call;
      call?.pause();
      clock.setTimer(random.below(this.#style.maxDozeMs), () => {
        if (call === this.#call) call?.resume();
        this.#dozeLater();
      });
    });
  }

  #askLater(): void {
    this.#world.pauses.rest(this.#options.random.below(2 * MEAN_QUESTION_MS), () => {
      const progressRequest = new WatchProgressRequest();
      this.#call?.write(encodeWatchRequest(new WatchRequest({ progressRequest })));
      this.#askLater();
    });
  }

  #open(): void {
    if (this.#isStopped) return;
    const { random } = this.#options;
    if (this.#style.skips && random.chance(0.5)) {
      this.#checks.skipTo(this.#world.seenRevision + random.below(MAX_SKIPPED));
    }
    const createRequest = this.#checks.open();
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
    this.#call.write(encodeWatchRequest(new WatchRequest({ createRequest })));
  }

  #retry(): void {
    this.#call = null;
    this.#session.leave();
    this.#world.pauses.pause(RETRY_MS, () => {
      if (this.#call === null) this.#open();
    });
  }

  #onResponse(response: WatchResponse): void {
    if (response.canceled) {
      this.#session.noteRefusal(response.cancelReason);
      return this.#onCanceled(response.compactRevision);
    }
    const checks = this.#checks;
    const before = checks.eventCount;
    this.#judge(checks.told(response));
    if (checks.eventCount === before || this.#world.violation !== null) return;
    const last = checks.nextRevision - 1;
    this.#world.trace.mix(last, checks.eventCount - before, 0);
    this.#world.seenRevision = Math.max(this.#world.seenRevision, last);
  }

  #onCanceled(compactRevision: number): void {
    this.#world.note(`${this.#options.name} is cancelled, compacted at ${compactRevision}`);
    this.#judge(this.#checks.canceled(compactRevision));
    this.#call?.cancel();
    this.#retry();
  }

  #judge(verdict: Verdict): void {
    if (verdict === null) return;
    const who = `${this.#options.name} by ${this.#session.machine?.name}`;
    this.#world.violate('watch', `${who}: ${verdict}`);
  }
}
