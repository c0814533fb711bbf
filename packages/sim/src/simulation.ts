/**
 * One simulation from its seed: a cluster is founded, clients work with it, storms of faults come and go. After each storm
 * everything is healed, and the cluster must serve again within a bounded time; then the members are compared with each
 * other and with what the log says.
 */

import { Client } from './client.ts';
import { FaultInjector } from './faults.ts';
import { compareMembers } from './member-state.ts';
import type { Plant } from './plant.ts';
import { Watcher } from './watcher.ts';
import { type Violation, World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Simulated minutes of storms and calms, not counting the end. */
  readonly minutes: number;
  /** 1, 3 or 5; drawn from the seed unless given. */
  readonly members?: number | undefined;
  readonly plant?: Plant | undefined;
  readonly print?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  readonly seed: number;
  readonly members: number;
  readonly violation: Violation | null;
  /** Equal for two runs in which the same happened. */
  readonly traceHash: string;
  readonly tail: readonly string[];
  readonly simulatedMs: number;
  readonly okCount: number;
  readonly failedCount: number;
  readonly faultCount: number;
  readonly revision: number;
  readonly entryCount: number;
  readonly leaderCount: number;
  readonly eventCount: number;
  readonly messageCount: number;
}

const CLUSTER_SIZES = [3, 3, 5] as const;
/** After everything is healed a request must be answered within this: elections, replays and retries included. */
const PROGRESS_LIMIT_MS = 30_000;
/** And every member must have caught up within this. */
const CONVERGENCE_LIMIT_MS = 60_000;
/** Longer than any lease of the clients lives. */
const LEASE_LIMIT_MS = 90_000;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return await new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #clients: Client[] = [];
  readonly #watchers: Watcher[] = [];
  readonly #faults: FaultInjector;

  constructor(options: SimulationOptions) {
    const { seed, print = null, plant = null } = options;
    this.#options = options;
    this.#world = new World({ seed, print, plant });
    this.#found();
    this.#faults = new FaultInjector(this.#world, this.#world.random.fork());
    this.#addClients();
  }

  async run(): Promise<SimulationResult> {
    const world = this.#world;
    const untilMs = this.#options.minutes * 60_000;
    for (const machine of world.machines) machine.start();
    for (const watcher of this.#watchers) watcher.start();
    await this.#mustHold('the cluster starts', PROGRESS_LIMIT_MS, () =>
      world.machines.every((machine) => machine.isServing),
    );
    while (world.violation === null && world.clock.now() < untilMs) {
      for (const client of this.#clients) client.start();
      await world.run(1000 + world.random.below(10_000));
      this.#faults.begin();
      await world.run(5000 + world.random.below(45_000));
      this.#faults.end();
      await this.#mustRecover();
    }
    await this.#mustLetLeasesEnd();
    await this.#mustConverge();
    return this.#result();
  }

  /** The first members, and how they are configured: small limits, so that everything happens soon. */
  #found(): void {
    const { random } = this.#world;
    const count = this.#options.members ?? random.pick(CLUSTER_SIZES);
    const names = Array.from({ length: count }, (_, i) => `m${i + 1}`);
    const urlOf = (name: string): string => `http://10.0.0.${name.slice(1)}:2380`;
    const initialCluster = names.map((name) => `${name}=${urlOf(name)}`).join();
    const snapshotCount = random.pick([20, 100, 1000]);
    const common = [
      '--data-dir=/data',
      '--heartbeat-interval=100',
      '--election-timeout=1000',
      `--initial-cluster=${initialCluster}`,
      '--initial-cluster-token=sim',
      `--snapshot-count=${snapshotCount}`,
      `--snapshot-catchup-entries=${random.pick([5, 50, 500])}`,
      `--pre-vote=${random.chance(0.7)}`,
    ];
    for (const name of names) {
      const client = `http://10.0.0.${name.slice(1)}:2379`;
      const own = [
        `--name=${name}`,
        `--listen-peer-urls=${urlOf(name)}`,
        `--initial-advertise-peer-urls=${urlOf(name)}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
      ];
      this.#world.addMachine(name, [...own, ...common], urlOf(name));
    }
    this.#world.note(`seed ${this.#options.seed}: ${count} members, a snapshot every ${snapshotCount}`);
  }

  #addClients(): void {
    const world = this.#world;
    const { random } = world;
    const thinkMs = random.pick([300, 700, 2000]);
    const keyCount = random.pick([3, 8, 20]);
    const count = 2 + random.below(3);
    for (let i = 0; i < count; i++) {
      const name = `c${i + 1}`;
      this.#clients.push(new Client({ world, name, random: random.fork(), thinkMs, keyCount }));
    }
    const ranges = [
      { key: '\0', end: '\0' },
      { key: 'k00', end: 'k05' },
      { key: 'k01', end: '' },
    ];
    for (const [i, range] of ranges.entries()) {
      this.#watchers.push(new Watcher({ world, name: `w${i + 1}`, random: random.fork(), ...range }));
    }
  }

  async #mustHold(what: string, limitMs: number, condition: () => boolean): Promise<void> {
    const world = this.#world;
    if (world.violation !== null) return;
    const holds = await world.run(limitMs, condition);
    if (!holds) world.violate('progress', `not within ${limitMs / 1000} s: ${what}`);
  }

  async #mustRecover(): Promise<void> {
    const answered = this.#clients.map((client) => client.okCount);
    await this.#mustHold('every client gets an answer', PROGRESS_LIMIT_MS, () =>
      this.#clients.every((client, i) => client.okCount > answered[i]!),
    );
    for (const client of this.#clients) client.stop();
    await this.#mustConverge();
  }

  async #mustConverge(): Promise<void> {
    const world = this.#world;
    await this.#mustHold('requests end', CONVERGENCE_LIMIT_MS, () =>
      this.#clients.every((client) => client.isIdle),
    );
    await this.#mustHold('members have caught up', CONVERGENCE_LIMIT_MS, () =>
      world.activeMachines.every(
        ({ server }) => server !== null && server.appliedIndex === world.history.lastIndex,
      ),
    );
    await this.#mustHold('watchers have seen everything', CONVERGENCE_LIMIT_MS, () =>
      this.#watchers.every((watcher) => watcher.isCaughtUp),
    );
    if (world.violation === null) await compareMembers(world);
  }

  /** Nobody keeps leases alive any more, so they must end. */
  async #mustLetLeasesEnd(): Promise<void> {
    for (const client of this.#clients) client.stop();
    await this.#mustHold('leases end', LEASE_LIMIT_MS, () => this.#world.model.leases.size === 0);
  }

  #result(): SimulationResult {
    const world = this.#world;
    const sum = (count: (client: Client) => number): number =>
      this.#clients.reduce((total, client) => total + count(client), 0);
    return {
      seed: this.#options.seed,
      members: world.machines.length,
      violation: world.violation,
      traceHash: world.trace.hash,
      tail: world.violation === null ? [] : world.trace.tail(),
      simulatedMs: world.clock.now(),
      okCount: sum((client) => client.okCount),
      failedCount: sum((client) => client.failedCount),
      faultCount: this.#faults.count,
      revision: world.model.revision,
      entryCount: world.history.lastIndex,
      leaderCount: world.history.termCount,
      eventCount: this.#watchers.reduce((total, watcher) => total + watcher.eventCount, 0),
      messageCount: world.fabric.deliveredCount,
    };
  }
}
