/**
 * One simulation from its seed: a cluster is founded, clients work with it, storms of faults come and go. After each storm
 * everything is healed, and the cluster must serve again within a bounded time; then the members are compared with each
 * other and with what the log says.
 */
import { SeededRandom } from '@etcd/base';
import { Administrator } from './administrator.ts';
import { BulkWriter } from './bulk-writer.ts';
import { Caretaker } from './caretaker.ts';
import { Client } from './client.ts';
import { FaultInjector } from './faults.ts';
import { LeaseCrowd } from './lease-crowd.ts';
import { mustHoldNothing } from './leftovers.ts';
import { drawLimits, type Limits, limitFlags } from './limits.ts';
import type { Machine } from './machine.ts';
import { compareMembers } from './member-state.ts';
import { Operator } from './operator.ts';
import type { Operation } from './picture.ts';
import type { Plant } from './plant.ts';
import { Reader } from './reader.ts';
import { Releases } from './releases.ts';
import { RestoreDrill } from './restore-drill.ts';
import { drawSizes, usualSizes } from './sizes.ts';
import { drawLongTempo, rarerTraits, type Span, USUAL_FLAGS, USUAL_TEMPO } from './tempo.ts';
import { drawTraits, peerUrlsOf, type Traits } from './traits.ts';
import { TxnClient } from './txn-client.ts';
import { drawWatchStyle, Watcher } from './watcher.ts';
import { FULL_PACE, type Pace, type Violation, World } from './world.ts';

/** Of clients. */
export interface Load {
  readonly clients: number;
  readonly thinkMs: number;
  /** 1 unless told. */
  readonly atOnce?: number;
  /** 0 unless told: the usual mixture. */
  readonly readShare?: number;
}

export interface SimulationOptions {
  readonly seed: number;
  /** Simulated minutes of storms and calms, not counting the end; 5, or hours in a long world, unless given. */
  readonly minutes?: number | undefined;
  /** 1, 3 or 5; drawn from the seed unless given. */
  readonly members?: number | undefined;
  readonly plant?: Plant | undefined;
  /** The only kinds of faults, and some traits and limits: drawn from the seed unless given. */
  readonly faults?: readonly string[] | undefined;
  readonly traits?: Partial<Traits> | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly pace?: Pace | undefined;
  /** Hours pass in it, with little to do and few faults. */
  readonly isLong?: boolean | undefined;
  /** How many clients there are, their mean time between an answer and the next request, and how many they make at once. */
  readonly load?: Load | undefined;
  /** Faults that don't happen, by their number. */
  readonly withoutFaults?: readonly number[] | undefined;
  /** Who does nothing: names of clients, readers and watchers, and of everybody else. */
  readonly idle?: readonly string[] | undefined;
  /** Simulated milliseconds after which nothing is of interest any more. */
  readonly stopAtMs?: number | undefined;
  /** What members still hold after everything has been answered is looked at, unless told not to. */
  readonly checksBounds?: boolean | undefined;
  /** Faults draw from one source, as they did when older seeds were found. */
  readonly sharesDraws?: boolean | undefined;
  /** Hears what happens in the world, but not the details. */
  readonly onEvent?: ((line: string) => void) | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  readonly seed: number;
  readonly isLong: boolean;
  readonly members: number;
  readonly traits: Traits;
  /** Everybody who works with the cluster, by name. */
  readonly workers: readonly string[];
  /** The last of them that were asked for before a violation; none without one. */
  readonly operations: readonly Operation[];
  readonly violation: Violation | null;
  /** Equal for two runs in which the same happened. */
  readonly traceHash: string;
  readonly tail: readonly string[];
  readonly simulatedMs: number;
  readonly okCount: number;
  readonly failedCount: number;
  readonly faultCount: number;
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Pairs of faults and of what they met. */
  readonly states: readonly string[];
  readonly revision: number;
  readonly entryCount: number;
  readonly leaderCount: number;
  readonly eventCount: number;
  /** Times that everything was read. */
  readonly readCount: number;
  readonly messageCount: number;
  /** Databases that members got from their leader. */
  readonly snapshotCount: number;
}

/** The administrator draws for itself: worlds without users go on as before. */
const ADMINISTRATOR_SEED = 0x5eed;
/** So do others that have been added since. */
const LATER_SEED = 0x1a7e6;
const BULK_SEED = 0xb01c;
const NEWEST_SEED = 0x2e3f7;
const TEMPO_SEED = 0x7e3d0;
const LATEST_SEED = 0x1a7e57;
const RELEASES_SEED = 0x4e1ea;
const FAULTS_SEED = 0xfa017;
const DRIFT_SEED = 0xd71f7;
/** Of the clocks of machines, in ten thousandths. */
const MAX_DRIFT = 1500;
/** For so long nothing must have happened when members are lost, so that all that was committed is known to be so. */
const QUIET_MS = 500;
/** Longer than clients take to notice that nobody is there any more. */
const LOST_MS = 3000;
const SIZES_SEED = 0x512e5;
const INSPECTION_SEED = 0x14592;
/** Of databases, in bytes: a few dozen transactions of a writer of much. */
const QUOTAS = [150_000, 400_000, 1_000_000] as const;
/** Clients that read everything, again and again. */
const READERS = 3;
/** After everything is healed a request must be answered within this: elections, replays and retries included. */
const PROGRESS_LIMIT_MS = 30_000;
/** And every member must have caught up within this. */
const CONVERGENCE_LIMIT_MS = 60_000;
/** Longer than any lease of the clients lives. */
const LEASE_LIMIT_MS = 90_000;
/** And more for each that is there: how many are ended in a second is limited. */
const REVOCATION_LIMIT_MS = 100;

/** Somebody who works with the cluster, until told to stop. */
interface Worker {
  readonly isIdle: boolean;
  /** Answers, of those who count them. */
  readonly okCount?: number;
  start(): void;
  stop(): void;
}

interface NamedWorker {
  readonly name: string;
  readonly worker: Worker;
}

/** They stop first when all is healed: what they change would keep the others from an answer. */
const CAREFUL = ['operator', 'administrator', 'caretaker'];

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return await new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  /** Draws what worlds were given later: the rest of them stays as it was. */
  readonly #later: SeededRandom;
  readonly #drift: SeededRandom;
  readonly #world: World;
  readonly #clients: Client[] = [];
  readonly #watchers: Watcher[] = [];
  readonly #readers: Reader[] = [];
  readonly #faults: FaultInjector;
  readonly #operator: Operator;
  readonly #drill: RestoreDrill;
  /** Members at first. */
  #size = 0;
  #addMachine: (cluster: string | (() => string)) => Machine = () => {
    throw new Error('no cluster has been founded');
  };
  readonly #administrator: Administrator;
  readonly #bulkWriter: BulkWriter;
  readonly #workers: readonly NamedWorker[];

  constructor(options: SimulationOptions) {
    const { seed, print = null, plant = null } = options;
    this.#options = options;
    this.#later = new SeededRandom(seed ^ LATER_SEED);
    const nature = new SeededRandom(seed).fork();
    this.#drift = new SeededRandom(seed ^ DRIFT_SEED);
    const newest = new SeededRandom(seed ^ NEWEST_SEED);
    const latest = new SeededRandom(seed ^ LATEST_SEED);
    const leisure = options.isLong === true ? new SeededRandom(seed ^ TEMPO_SEED) : null;
    const tempo = leisure === null ? USUAL_TEMPO : drawLongTempo(leisure);
    const drawn = drawTraits(nature, this.#later, newest, latest);
    const traits = { ...(leisure === null ? drawn : rarerTraits(drawn, leisure)), ...options.traits };
    const limits = { ...drawLimits(nature), ...options.limits };
    const { segmentBytes } = limits;
    const { onEvent } = options;
    this.#world = new World({ seed, print, onEvent, plant, traits, tempo, segmentBytes });
    this.#operator = this.#found(limits, traits.hasQuota ? newest.pick(QUOTAS) : 0);
    this.#faults = new FaultInjector(this.#world, this.#world.random.fork(), {
      focus: options.faults,
      seed: options.sharesDraws === true ? null : seed ^ FAULTS_SEED,
      without: options.withoutFaults,
    });
    this.#addClients();
    this.#administrator = new Administrator(this.#world, new SeededRandom(seed ^ ADMINISTRATOR_SEED));
    this.#bulkWriter = new BulkWriter(this.#world, new SeededRandom(seed ^ BULK_SEED));
    this.#drill = new RestoreDrill(this.#world, latest.fork());
    this.#world.stopAtMs = options.stopAtMs ?? Number.POSITIVE_INFINITY;
    this.#workers = this.#allWorkers(traits, newest);
    if (traits.drawsSizes) {
      for (const size of drawSizes(new SeededRandom(seed ^ SIZES_SEED))) this.#world.note(size);
    } else usualSizes();
  }

  async run(): Promise<SimulationResult> {
    const world = this.#world;
    const { pauses } = world;
    const untilMs = (this.#options.minutes ?? world.tempo.minutes) * 60_000;
    for (const machine of world.machines) machine.start();
    // Who starts has set no timer yet; where nobody does anything for minutes, time would pass him by.
    if (this.#options.isLong === true) world.clock.setTimer(0, () => {});
    for (const watcher of this.#watchers) if (!this.#isIdle(watcher.name)) watcher.start();
    this.#inspectLater(new SeededRandom(this.#options.seed ^ INSPECTION_SEED));
    await this.#mustHold('the cluster starts', PROGRESS_LIMIT_MS, () =>
      world.machines.every((machine) => machine.isServing),
    );
    while (world.violation === null && !world.isOver && world.clock.now() < untilMs) {
      for (const { name, worker } of this.#workers) if (!this.#isIdle(name)) worker.start();
      await world.run(durationOf(world.tempo.calmMs, world.random));
      this.#faults.begin();
      await world.run(durationOf(world.tempo.stormMs, world.random));
      this.#faults.end();
      pauses.wake();
      await this.#mustRecover();
      pauses.relax();
      if (world.traits.hasDisasters && this.#later.chance(0.5)) await this.#loseAllButOne();
      if (world.traits.hasRestores && world.random.chance(0.7)) await this.#loseAll();
    }
    pauses.wake();
    await this.#mustLetLeasesEnd();
    await this.#mustConverge();
    return this.#result();
  }

  /** Everybody who asks for something in this world. */
  #allWorkers(traits: Traits, random: SeededRandom): NamedWorker[] {
    const world = this.#world;
    const hasBulk = traits.hasBulk || traits.hasQuota;
    const caretaker = new Caretaker(world, random.fork());
    return [
      ...[...this.#clients, ...this.#readers].map((worker) => ({ name: worker.name, worker })),
      { name: 'operator', worker: this.#operator },
      ...(traits.hasUsers ? [{ name: 'administrator', worker: this.#administrator }] : []),
      ...(hasBulk ? [{ name: 'bulk', worker: this.#bulkWriter }] : []),
      ...(traits.hasQuota ? [{ name: 'caretaker', worker: caretaker }] : []),
      ...(traits.hasLargeTxns ? [{ name: 't', worker: new TxnClient(world, random.fork()) }] : []),
      ...(traits.hasRestores ? [{ name: 'copies', worker: this.#drill }] : []),
      ...(traits.hasManyLeases ? [{ name: 'l', worker: new LeaseCrowd(world, random.fork()) }] : []),
    ];
  }

  #isIdle(name: string): boolean {
    return this.#options.idle?.includes(name) === true;
  }

  /** Again and again the disk of some member is looked at, at no particular moment. */
  #inspectLater(random: SeededRandom): void {
    const { clock, activeMachines, tempo } = this.#world;
    clock.setTimer(random.below(2 * tempo.meanInspectionMs), () => {
      if (activeMachines.length > 0) random.pick(activeMachines).inspect(random);
      this.#inspectLater(random);
    });
  }

  /** Most worlds do little in a turn, and take their time for it: then large jobs take many turns, and much comes between. */
  #drawPace(): Pace {
    const { random } = this.#world;
    if (random.chance(0.4)) return FULL_PACE;
    const slices = {
      rangeKeys: random.pick([1, 2, 5]),
      watchRevisions: random.pick([1, 10]),
      hashRevisions: random.pick([10, 100]),
      restoreRevisions: random.pick([1, 5, 20]),
    };
    return { slices, turnMs: random.pick([2, 5]) };
  }

  /** The first members, and how they are configured: small limits, so that everything happens soon. */
  #found(limits: Limits, quotaBytes: number): Operator {
    const world = this.#world;
    const { random, traits } = world;
    const size = this.#options.members ?? random.pick(world.tempo.sizes);
    this.#size = size;
    const pace = this.#drawPace();
    world.pace = this.#options.pace ?? pace;
    const common = [
      '--data-dir=/data',
      '--initial-cluster-token=sim',
      ...limitFlags(limits),
      `--compaction-batch-limit=${random.pick([1, 10, 1000])}`,
      `--pre-vote=${random.chance(0.7)}`,
      `--quota-backend-bytes=${quotaBytes}`,
    ];
    const notifyInterval = traits.hasWatchStyles ? this.#later.pick(['200ms', '2s', '10m']) : '10m';
    const usual = [...USUAL_FLAGS, `--watch-progress-notify-interval=${notifyInterval}`];
    common.push(...(world.tempo.flags ?? usual));
    const releases = new Releases(new SeededRandom(this.#options.seed ^ RELEASES_SEED));
    const numbers = Array.from({ length: size }, (_, i) => i + 1);
    const founders = numbers.map((number) => `m${number}=${peerUrlsOf(number, traits)[0]}`).join();
    const addMachine = (cluster: string | (() => string)): Machine => {
      const number = world.machines.length + 1;
      const isNew = typeof cluster !== 'string';
      const machine = world.addMachine({
        name: `m${number}`,
        peerUrls: peerUrlsOf(number, traits),
        isNew,
        flags: () => [
          ...ownFlags(number, traits),
          ...common,
          ...(traits.hasReleases ? releases.flags(number) : []),
          `--initial-cluster=${isNew ? cluster() : cluster}`,
          `--initial-cluster-state=${isNew ? 'existing' : 'new'}`,
        ],
      });
      if (traits.hasDrift) machine.clockRate = 1 + (this.#drift.below(2 * MAX_DRIFT) - MAX_DRIFT) / 10_000;
      world.maxClockRate = Math.max(world.maxClockRate, machine.clockRate);
      return machine;
    };
    this.#addMachine = addMachine;
    for (let i = 0; i < size; i++) addMachine(founders);
    const nature = Object.entries(traits).flatMap(([trait, holds]) => (holds ? [trait] : []));
    world.note(`seed ${this.#options.seed}: ${size} members, ${JSON.stringify(limits)}; ${nature}`);
    const changesMembers = (size > 1 && random.chance(0.6)) || traits.hasDisasters;
    const { hasDowngrades: downgrades } = traits;
    return new Operator({ world, random: random.fork(), size, changesMembers, downgrades, addMachine });
  }

  #addClients(): void {
    const world = this.#world;
    const { random } = world;
    const { load } = this.#options;
    const drawnMs = random.pick([300, 700, 2000]);
    const keyCount = random.pick([3, 8, 20, 60]);
    const drawnCount = 2 + random.below(3);
    const {
      clients: count,
      thinkMs,
      atOnce = 1,
      readShare = 0,
    }: Load = load ?? { clients: drawnCount, thinkMs: drawnMs };
    for (let i = 0; i < count; i++) {
      const name = `c${i + 1}`;
      const isOrdinary = world.traits.hasUsers && i === 0;
      this.#clients.push(
        new Client({ world, name, random: random.fork(), thinkMs, keyCount, atOnce, readShare, isOrdinary }),
      );
    }
    for (let i = 0; i < READERS; i++) {
      this.#readers.push(new Reader({ world, name: `r${i + 1}`, random: random.fork(), isLocal: i > 0 }));
    }
    const ranges = [
      { key: '\0', end: '\0' },
      { key: 'k00', end: 'k05' },
      { key: 'k01', end: '' },
    ];
    for (const [i, range] of ranges.entries()) {
      this.#watchers.push(new Watcher({ world, name: `w${i + 1}`, random: random.fork(), ...range }));
    }
    if (!world.traits.hasWatchStyles) return;
    for (const [i, range] of [...ranges, { key: 'b', end: 'c' }].entries()) {
      const own = this.#later.fork();
      const style = drawWatchStyle(own);
      this.#watchers.push(new Watcher({ world, name: `v${i + 1}`, random: own, style, ...range }));
    }
  }

  async #mustHold(what: string, limitMs: number, condition: () => boolean): Promise<void> {
    const world = this.#world;
    if (world.violation !== null || world.isOver) return;
    // What the syncs of a slow disk still hold up is not the member's fault: the time that it has begins behind them.
    const heldUpMs = Math.max(...world.machines.map(({ run }) => run?.process.aheadMs ?? 0));
    const holds = await world.run(heldUpMs + limitMs * world.tempo.patience, condition);
    if (holds || world.violation !== null || world.isOver) return;
    const states = world.machines.map((machine) => describeState(machine)).join('\n  ');
    world.violate('progress', `not within ${limitMs / 1000} s: ${what}\n  ${states}`);
  }

  async #mustRecover(): Promise<void> {
    const isCareful = (name: string): boolean => CAREFUL.includes(name);
    for (const { name, worker } of this.#workers) if (isCareful(name)) worker.stop();
    // A user who may do little is answered, too, when it is told so: that takes a quorum like any other answer.
    const clients = this.#clients.filter(({ name }) => !this.#isIdle(name));
    const answersOf = ({ okCount, deniedCount }: Client): number => okCount + deniedCount;
    const answered = clients.map(answersOf);
    await this.#mustHold('every client gets an answer', PROGRESS_LIMIT_MS, () =>
      clients.every((client, i) => answersOf(client) > answered[i]!),
    );
    for (const { worker } of this.#workers) worker.stop();
    await this.#mustConverge();
  }

  async #mustConverge(): Promise<void> {
    const world = this.#world;
    await this.#mustHold('requests end', CONVERGENCE_LIMIT_MS, () =>
      this.#workers.every(({ worker }) => worker.isIdle),
    );
    await this.#mustHold('members have caught up, and those removed have ended', CONVERGENCE_LIMIT_MS, () =>
      this.#isConverged(),
    );
    await this.#mustHold('watchers have seen everything', CONVERGENCE_LIMIT_MS, () =>
      this.#watchers.every((watcher) => this.#isIdle(watcher.name) || watcher.isCaughtUp),
    );
    if (world.violation === null && !world.isOver) await compareMembers(world);
    const checksBounds = this.#options.checksBounds !== false && world.violation === null && !world.isOver;
    if (checksBounds) await mustHoldNothing(world, this.#watchers.length);
  }

  /** Of the members one goes on by itself, with `--force-new-cluster`, and the others are lost. Nothing that was committed may be. */
  async #loseAllButOne(): Promise<void> {
    const world = this.#world;
    const { lastIndex } = world.history;
    await world.run(QUIET_MS);
    const hasAll = world.activeMachines.filter(({ server }) => server?.appliedIndex === lastIndex);
    if (world.history.lastIndex !== lastIndex || hasAll.length === 0 || world.violation !== null) return;
    const survivor = this.#later.pick(hasAll);
    for (const machine of world.activeMachines) if (machine !== survivor) machine.abandon();
    world.note(`all but ${survivor.name} are lost`);
    world.logs.clear();
    // How far it had committed it need not have written down before it ends in good order; etcd does not, either.
    survivor.stop();
    await this.#mustHold('the last member ends', PROGRESS_LIMIT_MS, () => !survivor.isRunning);
    survivor.extraFlags = ['--force-new-cluster'];
    this.#operator.startOver();
    survivor.start();
    await this.#mustHold('the last member goes on alone', PROGRESS_LIMIT_MS, () => survivor.isServing);
  }

  /** Nothing is left but a copy of the database, and a new cluster is made of that: what the copy does not have has never been. */
  async #loseAll(): Promise<void> {
    const world = this.#world;
    if (world.violation !== null || world.isOver) return;
    const copy = this.#drill.take();
    if (copy === null) return;
    for (const machine of world.activeMachines) machine.abandon();
    await world.run(LOST_MS);
    const { traits } = world;
    const first = world.machines.length + 1;
    const numbers = Array.from({ length: this.#size }, (_, i) => first + i);
    const cluster = numbers.map((number) => `m${number}=${peerUrlsOf(number, traits)[0]}`).join();
    const founders = numbers.map(() => this.#addMachine(cluster));
    const { index, jumpedTo } = this.#drill.restore(copy, founders);
    world.note(
      `all are lost; a copy as of entry ${index} becomes a cluster, at ${jumpedTo ?? 'its revision'}`,
    );
    world.startOver(index, founders.length, jumpedTo);
    for (const watcher of this.#watchers) watcher.startOver(jumpedTo !== null);
    this.#operator.startOver();
    for (const machine of founders) machine.start();
    await this.#mustHold('the restored cluster serves', PROGRESS_LIMIT_MS, () =>
      founders.every((machine) => machine.isServing),
    );
  }

  /** Every member is as far as the log, and the machines that run are those of the members. */
  #isConverged(): boolean {
    const world = this.#world;
    const newest = world.activeMachines.find(
      ({ server }) => server?.appliedIndex === world.history.lastIndex,
    );
    const members = newest?.server?.membership.members();
    if (members === undefined) return false;
    this.#operator.reconcile(members);
    return (
      world.activeMachines.length === members.length &&
      world.activeMachines.every(
        ({ server, isServing }) => isServing && server?.appliedIndex === world.history.lastIndex,
      )
    );
  }

  /** Nobody keeps leases alive any more, so they must end. */
  async #mustLetLeasesEnd(): Promise<void> {
    for (const client of this.#clients) client.stop();
    const { leases } = this.#world.model;
    const limitMs =
      LEASE_LIMIT_MS * Math.max(...this.#world.tempo.leaseFactors) + leases.size * REVOCATION_LIMIT_MS;
    await this.#mustHold('leases end', limitMs, () => leases.size === 0);
  }

  #result(): SimulationResult {
    const world = this.#world;
    const sum = (count: (client: Client) => number): number =>
      this.#clients.reduce((total, client) => total + count(client), 0);
    return {
      seed: this.#options.seed,
      isLong: this.#options.isLong === true,
      members: world.machines.length,
      traits: world.traits,
      workers: [...this.#workers, ...this.#watchers].map(({ name }) => name),
      operations: world.violation === null ? [] : world.lastOperations(),
      violation: world.violation,
      traceHash: world.trace.hash,
      tail: world.violation === null ? [] : world.trace.tail(),
      simulatedMs: world.clock.now(),
      okCount: this.#workers.reduce((total, { worker }) => total + (worker.okCount ?? 0), 0),
      failedCount: sum((client) => client.failedCount),
      faultCount: this.#faults.count,
      faults: Object.fromEntries(this.#faults.counts),
      states: [...this.#faults.states],
      revision: world.model.revision,
      entryCount: world.history.lastIndex,
      leaderCount: world.history.termCount,
      eventCount: this.#watchers.reduce((total, watcher) => total + watcher.eventCount, 0),
      readCount: this.#readers.reduce((total, reader) => total + reader.readCount, 0),
      messageCount: world.fabric.deliveredCount,
      snapshotCount: world.fabric.snapshotCount,
    };
  }
}

function durationOf({ minMs, spreadMs }: Span, random: SeededRandom): number {
  return minMs + random.below(spreadMs);
}

function ownFlags(number: number, traits: Traits): string[] {
  const client = `http://10.0.0.${number}:2379`;
  const [peer] = peerUrlsOf(number, traits);
  return [
    `--name=m${number}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
  ];
}

function describeState({ name, isActive, run, isRetired }: Machine): string {
  const { server, parts } = run ?? {};
  if (server === undefined || server === null || !parts) {
    return `${name} ${isRetired ? 'retired' : isActive ? (run === null ? 'down' : 'starting') : 'not added'}`;
  }
  const { node } = parts;
  const members = server.membership.members().map(({ id }) => id.toString(16));
  return [
    `${name} ${parts.memberId.toString(16)}${run!.isServing ? '' : ' not serving'}`,
    `term ${node.term} lead ${node.lead.toString(16)} state ${node.raftState}`,
    `committed ${node.committed} applied ${server.appliedIndex} members ${members.join()}`,
  ].join(', ');
}
