/**
 * A simulated world: one clock, the machines, the network between them, and what is known of the truth. Everything in it
 * happens in the order that the seed decides, one event after the other.
 */
import { type Disk, GrpcCode, RingBuffer, SeededRandom } from '@etcd/base';
import type { MemberStartError } from '@etcd/server';
import { SLICE_SIZES, type SliceSizes } from '@etcd/storage/mvcc';
import { SimClock } from '@etcd/testing';
import { describeError } from './describe-error.ts';
import { LogMatching } from './log-matching.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { Model } from './model.ts';
import { MAX_OPERATIONS, type Operation } from './picture.ts';
import type { Plant } from './plant.ts';
import { RaftHistory } from './raft-history.ts';
import { Fabric } from './sim-network.ts';
import { StateSteps } from './state-steps.ts';
import { Pauses, type Tempo, USUAL_TEMPO } from './tempo.ts';
import { Trace } from './trace.ts';
import { ORDINARY, type Traits } from './traits.ts';
import { Truth } from './truth.ts';

/** What must not happen has happened. */
export interface Violation {
  readonly property: string;
  readonly details: string;
  readonly atMs: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly print: ((line: string) => void) | null;
  readonly onEvent?: ((line: string) => void) | undefined;
  /** A bug that is put into the members, to see that it is found. */
  readonly plant: Plant | null;
  readonly traits?: Traits;
  /** Of most worlds unless told. */
  readonly tempo?: Tempo;
  /** Machines begin with disks that have been used elsewhere: what their logs say is not judged. */
  readonly hasPast?: boolean;
  /** What members have is compared at every turn of theirs, unless somebody makes them hold what is wrong. */
  readonly judgesSteps?: boolean;
  /** Of the members' logs: small, so that they have many. */
  readonly segmentBytes?: number;
}

/** A lease as the clients know it. */
export interface LeaseFacts {
  readonly ttlMs: number;
  /** World time at which its last renewal that was confirmed had been asked for. */
  renewedMs: number;
  /** A client has asked for its end. */
  isRevocable: boolean;
}

/** How much the members do in a turn of their event loops, and how long that takes. */
export interface Pace {
  readonly slices: SliceSizes;
  readonly turnMs: number;
}

export const FULL_PACE: Pace = { slices: SLICE_SIZES, turnMs: 0 };

const PAUSES_SEED = 0x9a05e;
const SEGMENT_BYTES = 64 * 1024;
/** What went before a violation and is to be seen in a picture of it. */
const PICTURED_MS = 15_000;
/** Whoever wants to join and is refused tries again after this. */
const REJOIN_MS = 1000;

export class World {
  readonly clock = new SimClock();
  readonly random: SeededRandom;
  readonly traits: Traits;
  readonly segmentBytes: number;
  readonly tempo: Tempo;
  /** Of those who work in it. */
  readonly pauses: Pauses;
  readonly trace: Trace;
  readonly fabric: Fabric;
  readonly machines: Machine[] = [];
  readonly history: RaftHistory;
  readonly logs: LogMatching;
  readonly states: StateSteps;
  readonly judgesSteps: boolean;
  readonly model: Model;
  readonly leases = new Map<bigint, LeaseFacts>();
  readonly #plant: Plant | null;
  /** Values of requests that were refused for good: they must never appear. */
  readonly #forbiddenValues = new Set<string>();
  /** By index of an entry: the revision that it led to. */
  readonly #revisionAt: number[] = [];
  readonly #truth: Truth;
  /** Members that are being started: promises that must be given their turns. */
  #startingCount = 0;
  violation: Violation | null = null;
  pace: Pace = FULL_PACE;
  /** The last requests of those whose answers are judged. */
  readonly operations = new RingBuffer<Operation>(MAX_OPERATIONS);
  /** Nothing happens any more from here on. */
  stopAtMs = Number.POSITIVE_INFINITY;
  /** Counts those that were made of a copy of the one before. */
  clusterNumber = 0;
  /** The highest revision that any answer has told of. */
  seenRevision = 1;
  /** Of the fastest clock: what is timed by it ends so much earlier. */
  maxClockRate = 1;

  constructor({
    seed,
    print,
    onEvent,
    plant,
    traits = ORDINARY,
    tempo = USUAL_TEMPO,
    hasPast = false,
    judgesSteps = true,
    segmentBytes = SEGMENT_BYTES,
  }: WorldOptions) {
    this.random = new SeededRandom(seed);
    this.traits = traits;
    this.segmentBytes = segmentBytes;
    this.tempo = tempo;
    this.pauses = new Pauses(this.clock, tempo, new SeededRandom(seed ^ PAUSES_SEED));
    this.trace = new Trace(print, onEvent);
    this.#plant = plant;
    this.fabric = new Fabric(this.clock, this.trace, this.random.fork());
    const violate = (property: string, details: string): void => this.violate(property, details);
    this.model = new Model({
      onRepeatedValue: (value, first, second) =>
        violate('exactly once', `${value} was written at revision ${first} and again at ${second}`),
      onValue: (value, revision) => {
        if (!this.#forbiddenValues.has(value)) return;
        violate('refusal', `${value} was refused, but written at revision ${revision}`);
      },
      onLeaseGranted: (id, ttl) => {
        if (this.#truth.isRetelling) return;
        const ttlMs = Math.max(ttl, tempo.minTtl) * 1000;
        this.leases.set(id, { ttlMs, renewedMs: this.clock.now(), isRevocable: false });
      },
      onLeaseRevoked: (id) => this.#onLeaseRevoked(id),
    });
    this.history = new RaftHistory({
      violate,
      onCommitted: (entry) => {
        this.#truth.add(entry);
        this.#revisionAt[entry.index] = this.model.revision;
      },
      isBlind: hasPast,
    });
    this.judgesSteps = judgesSteps && !hasPast;
    this.#truth = new Truth(this.model);
    this.logs = new LogMatching(violate);
    this.states = new StateSteps({
      violate,
      model: this.model,
      revisionAt: (index) => this.revisionAt(index),
    });
  }

  get plant(): Plant | null {
    return this.#plant;
  }

  /** Of the store when entry `index` is applied; null if it is not known. */
  revisionAt(index: number): number | null {
    return this.#revisionAt[index] ?? null;
  }

  /**
   * All is lost but a copy as of entry `index`, of which another cluster is made: what was committed since has never been.
   *
   * @param founderCount entries that the log of the new cluster begins with, which are in what its members are made of.
   * @param jumpTo the revision that the restore has bumped it to; null: it has not.
   */
  startOver(index: number, founderCount: number, jumpTo: number | null): void {
    this.clusterNumber++;
    this.#truth.goBack(index, jumpTo);
    this.history.startOver(founderCount);
    this.logs.clear();
    this.states.clear();
    this.#revisionAt.length = 0;
    this.#revisionAt[founderCount] = this.model.revision;
    // Of renewals since the copy the new cluster knows nothing: until the next one nothing is promised.
    this.leases.clear();
    for (const [id, { ttl }] of this.model.leases) {
      const ttlMs = Math.max(ttl, this.tempo.minTtl) * 1000;
      this.leases.set(id, { ttlMs, renewedMs: Number.NEGATIVE_INFINITY, isRevocable: false });
    }
    if (jumpTo === null) this.seenRevision = this.model.revision;
  }

  note(text: string): void {
    this.trace.add(this.clock.now(), text);
  }

  /** Ends the run: something must not have happened. */
  violate(property: string, details: string): void {
    if (this.violation !== null) return;
    this.violation = { property, details, atMs: this.clock.now() };
    this.note(`VIOLATION of ${property}: ${details}`);
  }

  addMachine(options: Omit<MachineOptions, 'world'>): Machine {
    const machine = new Machine({ ...options, world: this });
    this.machines.push(machine);
    return machine;
  }

  /** Machines that belong to the cluster. */
  get activeMachines(): Machine[] {
    return this.machines.filter((machine) => machine.isActive);
  }

  /** What a member on that disk sees of it. */
  diskFor(disk: Disk): Disk {
    return this.#plant?.disk?.(disk, () => this.clock.now()) ?? disk;
  }

  /** A promise whose continuation belongs to this instant, or to a later one if it waits for a timer. */
  waitFor(promise: Promise<void>): void {
    this.#startingCount++;
    promise.then(
      () => {
        this.#startingCount--;
      },
      (error: unknown) => {
        this.#startingCount--;
        this.violate('no failure', `a start threw ${describeError(error)}`);
      },
    );
  }

  /** Lets the world go on for so long, or until `condition` holds. Returns whether it does. */
  async run(durationMs: number, condition: () => boolean = () => false): Promise<boolean> {
    const { clock } = this;
    const untilMs = clock.now() + durationMs;
    let isDue = false;
    clock.setTimer(durationMs, () => {
      isDue = true;
    });
    while (this.violation === null && !isDue && !this.isOver) {
      if (condition()) return true;
      clock.step();
      if (this.fabric.takeTouched() || this.#startingCount > 0) await turn();
      if (clock.now() > untilMs) break;
    }
    return condition();
  }

  get isOver(): boolean {
    return this.clock.now() >= this.stopAtMs;
  }

  /** Those that were under way in the last moments. */
  lastOperations(): Operation[] {
    const { operations } = this;
    const sinceMs = this.clock.now() - PICTURED_MS;
    const all = Array.from({ length: operations.count }, (_, i) => operations.at(i)!);
    return all.filter(({ answeredMs }) => answeredMs === null || answeredMs >= sinceMs);
  }

  /** A request is made; what comes of it is written into what is returned. */
  began(who: string, what: string): Operation {
    const operation = { who, what, askedMs: this.clock.now(), answeredMs: null, outcome: '', isWrong: false };
    if (this.operations.count === MAX_OPERATIONS) this.operations.take();
    this.operations.push(operation);
    return operation;
  }

  /** @param verdict what is wrong with the answer; null: nothing. */
  ended(operation: Operation, outcome: string, verdict: string | null): void {
    operation.answeredMs = this.clock.now();
    operation.outcome = verdict === null ? outcome : `${outcome}: ${verdict}`;
    operation.isWrong = verdict !== null;
    if (verdict !== null) this.violate('linearizability', `${operation.who} ${operation.what}: ${verdict}`);
  }

  /** A client was told of an error; it must not be one that tells it nothing that it could act on. */
  judgeError(what: string, code: number, message: string): void {
    if (code !== GrpcCode.Unknown && code !== GrpcCode.Internal) return;
    // etcd's code for a queue that is full, as small ones are.
    if (this.traits.drawsSizes && message.endsWith('too many requests')) return;
    this.violate('errors', `${what} failed with ${code} ${message}`);
  }

  forbid(value: string): void {
    const revision = this.model.revisionOf(value);
    if (revision !== null)
      this.violate('refusal', `${value} was refused, but written at revision ${revision}`);
    this.#forbiddenValues.add(value);
  }

  /** A member does not start, and says why. Returns whether that is to be expected. */
  onStartRefused(machine: Machine, error: MemberStartError): boolean {
    this.note(`${machine.name} refuses to start: ${error.message}`);
    if (!machine.isJoining) return false;
    machine.kill('refused');
    this.clock.setTimer(REJOIN_MS, () => machine.start());
    return true;
  }

  onProcessFailed(machine: Machine, error: unknown): void {
    if (machine.mayEndOf(error)) return machine.endOfDisk(error);
    this.violate('no failure', `${machine.name} failed: ${describeError(error)}`);
  }

  #onLeaseRevoked(id: bigint): void {
    if (this.#truth.isRetelling) return;
    const lease = this.leases.get(id);
    if (lease === undefined || lease.isRevocable) return;
    const dueMs = lease.renewedMs + lease.ttlMs / this.maxClockRate;
    const nowMs = this.#latestProcessMs();
    if (nowMs >= dueMs) return;
    const early = `${Math.round(dueMs - nowMs)} ms before its time`;
    this.violate('lease', `lease ${id.toString(16)} was ended ${early}`);
  }

  /** A process may be ahead of the world while its event loop stands still. */
  #latestProcessMs(): number {
    return Math.max(this.clock.now(), ...this.machines.map(({ run }) => run?.process.worldMs ?? 0));
  }
}

/** Lets all continuations of promises run. There is no other source of events in the process. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
