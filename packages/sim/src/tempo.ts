/**
 * How fast life in a world is. In most everything happens within seconds. In a long one hours pass: whoever works there asks a few times and rests
 * for minutes, faults are rare and may last, and what only time brings about comes to pass.
 */
import type { Clock, SeededRandom, Timer } from '@etcd/base';
import type { Traits } from './traits.ts';

export interface Tempo {
  /** How long the world is, unless told, in minutes. */
  readonly minutes: number;
  /** Members of a cluster at first. */
  readonly sizes: readonly number[];
  /** How long nothing goes wrong, and how long faults may come, each between two bounds. */
  readonly calmMs: Span;
  readonly stormMs: Span;
  /** Somebody who works rests for long so often, and for so long on average; 0: never. */
  readonly restShare: number;
  readonly meanRestMs: number;
  /** Between two faults; 0: the world draws it. */
  readonly meanFaultMs: number;
  readonly meanInspectionMs: number;
  /** So many of the faults that have a length last for so much longer, at most. */
  readonly lastingShare: number;
  readonly maxLastingFactor: number;
  /** Leases live for so many times as long as elsewhere. */
  readonly leaseFactors: readonly number[];
  /** Of leases, in seconds: members grant no less, for the sake of their elections. */
  readonly minTtl: number;
  /** So much longer may it take until members serve. */
  readonly patience: number;
  /** Clients compact; elsewhere the members do. */
  readonly clientsCompact: boolean;
  /** Of the members; null: the usual ones. */
  readonly flags: readonly string[] | null;
}

export interface Span {
  readonly minMs: number;
  readonly spreadMs: number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export const USUAL_TEMPO: Tempo = {
  minutes: 5,
  sizes: [3, 3, 5],
  calmMs: { minMs: SECOND_MS, spreadMs: 10 * SECOND_MS },
  stormMs: { minMs: 5 * SECOND_MS, spreadMs: 45 * SECOND_MS },
  restShare: 0,
  meanRestMs: 0,
  meanFaultMs: 0,
  meanInspectionMs: 4 * SECOND_MS,
  lastingShare: 0,
  maxLastingFactor: 1,
  leaseFactors: [1],
  minTtl: 2,
  patience: 1,
  clientsCompact: true,
  flags: null,
};

/** Hours to a day: where less happens in a second, more of them pass. */
const MINUTES_PER_HEARTBEAT_MS = 1.5;
/** Of the usual heartbeat; what takes an election takes so much longer. */
const USUAL_HEARTBEAT_MS = 100;
const HEARTBEATS_MS = [100, 250, 500, 1000] as const;
const ELECTION_HEARTBEATS = 10;
const COMPACTIONS = [
  'periodic 5m',
  'periodic 30m',
  'periodic 2h',
  'revision 50',
  'revision 1000',
  '',
] as const;

/** Of the worlds that would have been slow. */
const HEAVY_SHARE = 0.3;

const GATES = [
  'CompactHashCheck',
  'InitialCorruptCheck',
  'LeaseCheckpoint',
  'StopGRPCServiceOnDefrag',
] as const;

/** Of a world in which hours pass. */
export function drawLongTempo(random: SeededRandom): Tempo {
  const heartbeatMs = random.pick(HEARTBEATS_MS);
  const [mode, retention] = random.pick(COMPACTIONS).split(' ');
  const gates: string[] = GATES.filter(() => random.chance(0.5));
  if (gates.includes('LeaseCheckpoint') && random.chance(0.7)) gates.push('LeaseCheckpointPersist');
  return {
    minutes: heartbeatMs * MINUTES_PER_HEARTBEAT_MS,
    sizes: [1, 3, 3, 3, 3, 5],
    calmMs: { minMs: MINUTE_MS, spreadMs: 2 * HOUR_MS },
    stormMs: { minMs: 10 * MINUTE_MS, spreadMs: 4 * HOUR_MS },
    restShare: random.pick([0.1, 0.3, 0.5]),
    meanRestMs: random.pick([5, 10, 20]) * MINUTE_MS,
    meanFaultMs: random.pick([4, 12, 30]) * MINUTE_MS,
    meanInspectionMs: 20 * MINUTE_MS,
    lastingShare: 0.4,
    maxLastingFactor: random.pick([10, 1000]),
    leaseFactors: [1, 30, 300],
    minTtl: Math.ceil((1.5 * heartbeatMs * ELECTION_HEARTBEATS) / SECOND_MS),
    patience: heartbeatMs / USUAL_HEARTBEAT_MS,
    clientsCompact: retention === undefined,
    flags: [
      `--heartbeat-interval=${heartbeatMs}`,
      `--election-timeout=${heartbeatMs * ELECTION_HEARTBEATS}`,
      `--watch-progress-notify-interval=${random.pick(['10m', '10m', '1m'])}`,
      ...(retention === undefined
        ? []
        : [`--auto-compaction-mode=${mode}`, `--auto-compaction-retention=${retention}`]),
      `--corrupt-check-time=${random.pick(['0s', '10m', '1h'])}`,
      `--auto-defrag-rule=${random.pick(['', 'dbSizeFree > 20*1024'])}`,
      `--grpc-keepalive-interval=${random.pick(['2h', '1m'])}`,
      ...(gates.length === 0 ? [] : [`--feature-gates=${gates.map((gate) => `${gate}=true`).join()}`]),
    ],
  };
}

/** What makes members do more for each request is rarer in these worlds: short ones have enough of it. */
export function rarerTraits(traits: Traits, random: SeededRandom): Traits {
  const { drawsSizes, hasHttpPeers } = traits;
  return {
    ...traits,
    drawsSizes: drawsSizes && random.chance(HEAVY_SHARE),
    hasHttpPeers: hasHttpPeers && random.chance(HEAVY_SHARE),
  };
}

/** What the usual tempo has in the place of {@link Tempo.flags}. */
export const USUAL_FLAGS = ['--heartbeat-interval=100', '--election-timeout=1000'] as const;

interface Rest {
  readonly timer: Timer;
  readonly shortMs: number;
  readonly callback: () => void;
}

/** Whose connection is closed when its owner rests for long, as often as not. */
interface Leaving {
  leave(): void;
}

const LEAVING_SHARE = 0.7;

/** Pauses of those who work in a world, at its tempo. */
export class Pauses {
  readonly #clock: Clock;
  readonly #tempo: Tempo;
  readonly #random: SeededRandom;
  readonly #rests = new Set<Rest>();
  #isAwake = false;

  constructor(clock: Clock, tempo: Tempo, random: SeededRandom) {
    this.#clock = clock;
    this.#tempo = tempo;
    this.#random = random;
  }

  /** Between two requests of somebody: `shortMs`, or now and then a long rest, where there are any. */
  pause(shortMs: number, callback: () => void, session?: Leaving): void {
    const { restShare } = this.#tempo;
    if (restShare === 0 || this.#isAwake || !this.#random.chance(restShare)) {
      this.#clock.setTimer(shortMs, callback);
    } else this.#rest(shortMs, callback, session);
  }

  /** The same for what is to be rare: a long rest each time, where there are any. */
  rest(shortMs: number, callback: () => void, session?: Leaving): void {
    if (this.#tempo.restShare === 0 || this.#isAwake) this.#clock.setTimer(shortMs, callback);
    else this.#rest(shortMs, callback, session);
  }

  /** Nobody rests any more: long rests end as soon as short ones would. */
  wake(): void {
    this.#isAwake = true;
    for (const { timer, shortMs, callback } of this.#rests) {
      timer.cancel();
      this.#clock.setTimer(shortMs, callback);
    }
    this.#rests.clear();
  }

  /** They may rest again. */
  relax(): void {
    this.#isAwake = false;
  }

  #rest(shortMs: number, callback: () => void, session?: Leaving): void {
    if (session !== undefined && this.#random.chance(LEAVING_SHARE)) session.leave();
    const restMs = this.#random.below(2 * this.#tempo.meanRestMs);
    const timer = this.#clock.setTimer(restMs, () => {
      this.#rests.delete(rest);
      callback();
    });
    const rest: Rest = { timer, shortMs, callback };
    this.#rests.add(rest);
  }
}

/** By how much longer a lease is to live than elsewhere. */
export function drawLeaseFactor(random: SeededRandom, { leaseFactors }: Tempo): number {
  return leaseFactors.length === 1 ? leaseFactors[0]! : random.pick(leaseFactors);
}

/** How long something that is drawn to last for `durationMs` lasts in a world of this tempo. */
export function lasting(random: SeededRandom, durationMs: number, tempo: Tempo): number {
  const { lastingShare, maxLastingFactor } = tempo;
  if (lastingShare === 0 || !random.chance(lastingShare)) return durationMs;
  return durationMs * (1 + random.below(maxLastingFactor));
}
