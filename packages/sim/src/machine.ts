/**
 * A machine of a simulated world: its disk, its wall clock, and the process of the member that runs on it, if it runs. Power
 * may be cut at any operation of the disk; the process may be killed, stopped in an orderly way, or held up.
 */

import type { Message } from '@etcd/api/raftpb';
import { DiskError, InvariantError, type Logger, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import type { MemoryStorage } from '@etcd/raft';
import {
  bootstrap,
  type Config,
  EtcdServer,
  type EtcdServerOptions,
  loadConfig,
  type MemberParts,
  MemberStartError,
  Metrics,
  type RunningServices,
  registerServices,
} from '@etcd/server';
import { type DiskOperation, SimDisk, type SimDiskOptions, SimulatedCrash } from '@etcd/testing';
import { type Duplex, GrpcServer, memoryDuplexPair } from '@etcd/transport';
import { damageDisk } from './damage-disk.ts';
import { offlineProblem } from './offline-check.ts';
import { SimProcess } from './process.ts';
import type { Observation } from './raft-history.ts';
import { simAuthentication } from './sim-authentication.ts';
import { SimHttpNetwork } from './sim-http-network.ts';
import { SimNetwork } from './sim-network.ts';
import { probeStart } from './start-probe.ts';
import { newStateView } from './state-steps.ts';
import { TraceLogger } from './trace-logger.ts';
import { requestIdStart } from './traits.ts';
import type { World } from './world.ts';

export type DiskFilter = (disk: SimDisk) => SimDisk;

/** How long the disk takes: a sync at least, and how much more at most. */
export interface DiskSpeed {
  readonly syncMs: number;
  readonly spreadMs: number;
  /** Only for files whose path ends so; others are as fast as ever. All of them unless told. */
  readonly suffix?: string | undefined;
}

export interface Load {
  readonly rate: number;
  readonly maxMs: number;
}

export const NO_LOAD: Load = { rate: 0, maxMs: 0 };

export const FAST_DISK: DiskSpeed = { syncMs: 0.05, spreadMs: 0.2 };

/** The end of a run at an operation of the disk. */
export interface PlannedCut {
  /** So many operations go before it. */
  readonly after: number;
  /** A kill loses nothing that was seen, so power is cut soon afterwards as well. */
  readonly by: 'power' | 'kill';
  /** Only operations on files whose path ends so are counted; all of them unless told. */
  readonly suffix?: string;
  /** Only syncs are: what was written before them is not durable then. */
  readonly atSync?: boolean;
}

/** Operations that fail, as on a disk that is full or worn out. */
export interface DiskFault {
  readonly code: 'EIO' | 'ENOSPC';
  readonly kinds: readonly DiskOperation['kind'][];
  /** Only on files whose path ends so; on all of them unless told. */
  readonly suffix: string;
  /** So many of them succeed first. */
  readonly after: number;
  /** Then so many fail. */
  readonly times: number;
}

/** Files whose operations don't complete before a moment of the world. */
export interface StuckFiles {
  readonly suffix: string;
  readonly untilMs: number;
}

const NO_STUCK_FILES: StuckFiles = { suffix: '', untilMs: 0 };

export interface MachineOptions {
  readonly world: World;
  readonly name: string;
  /** Flags of the member, as on its command line, when it is started. */
  readonly flags: () => readonly string[];
  /** Where its member is reached, all of the time. */
  readonly peerUrls: readonly string[];
  /** Its member joins a cluster that is there: the machine waits until it has been added. */
  readonly isNew: boolean;
}

/** Copies of what a cut of power or a kill leaves, each another one, from which a start is tried. */
const PROBES = 4;
/** Operations within which power is cut after a kill: what the kill has left unsynced is built on by then. */
const MAX_SECOND_CUT_OPERATIONS = 10;
/** Entries that are kept for slow members, at most, where everything is to happen soon. */
const FEW_ENTRIES = 5;
/** What takes no time that matters. */
const OPERATION_MS = 0.02;
const CLIENT_LATENCY_MS = 0.3;
/** A process that asks to be stopped and is not done by then is killed, as service managers do. */
const STOP_LIMIT_MS = 10_000;
/** How long clients' machines take to notice that a connection's other end is gone. */
const MAX_NOTICE_MS = 2000;

export class Machine {
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly #world: World;
  readonly #flags: () => readonly string[];
  readonly #random: SeededRandom;
  readonly #diskOptions: SimDiskOptions;
  #disk: SimDisk;
  #diskCost = 0;
  diskSpeed = FAST_DISK;
  wallOffsetMs = 0;
  /** Other work on the machine: how often the process has to wait for a processor, and for how long at most. */
  load = NO_LOAD;
  plannedCut: PlannedCut | null = null;
  diskFault: DiskFault | null = null;
  stuckFiles = NO_STUCK_FILES;
  #lacksDescriptors = false;
  /** How fast its clocks go. */
  clockRate = 1;
  /** For its starts, until its member serves. */
  extraFlags: readonly string[] = [];
  /** Something on the disk has failed in this run: the process may end over it. */
  #hasFailedDisk = false;
  /** Called when the run has ended for either. */
  onCut: () => void = () => {};
  /** As it was when it started last; null if it never did. */
  config: Config | null = null;
  #hasServed = false;
  run: MemberRun | null = null;
  /** The member was removed from its cluster: the machine is not started again. */
  isRetired = false;
  /** Its member has been added, but has not served yet: it may have come too early, or in vain. */
  isJoining: boolean;
  #isEnlisted: boolean;

  constructor({ world, name, flags, peerUrls, isNew }: MachineOptions) {
    this.#world = world;
    this.name = name;
    this.peerUrls = peerUrls;
    this.#isEnlisted = !isNew;
    this.isJoining = isNew;
    this.#flags = flags;
    this.#random = world.random.fork();
    this.#diskOptions = {
      takesBytesLate: () => world.traits.takesBytesLate && this.#random.chance(0.5),
      onOperation: (operation) => this.#onDiskOperation(operation),
      schedule: (_operation, complete) => this.#schedule(complete),
      losesNamesApart: world.traits.losesNamesApart,
      onListing: (path) => this.#failToList(path),
    };
    this.#disk = new SimDisk(this.#diskOptions);
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  /** A copy of another disk takes the place of this one, while the machine is down. */
  putDisk(image: SimDisk): void {
    this.#disk = image.afterKill(this.#diskOptions);
  }

  get isRunning(): boolean {
    return this.run !== null;
  }

  /** The member serves clients. */
  get isServing(): boolean {
    return this.run?.isServing ?? false;
  }

  /** The member's parts while its process lives; null before they are there. */
  get server(): EtcdServer | null {
    return this.run?.server ?? null;
  }

  /** Whether the machine belongs to the cluster. */
  get isActive(): boolean {
    return this.#isEnlisted && !this.isRetired;
  }

  /** Its member has been added to the cluster: it may start. */
  enlist(): void {
    this.#isEnlisted = true;
    this.start();
  }

  start(): void {
    if (this.run !== null || !this.isActive) return;
    // A clock that stands still without power.
    if (this.#world.traits.losesTime) this.wallOffsetMs = -Math.floor(this.#world.clock.now());
    this.#world.note(`${this.name} starts`);
    this.run = new MemberRun(this.#world, this, [...this.#flags(), ...this.extraFlags], this.#random);
    this.run.start();
  }

  /** The member was removed from its cluster: it ends, for good. */
  retire(): void {
    if (this.isRetired) return;
    this.isRetired = true;
    this.#world.note(`${this.name} has been removed`);
    if (this.run?.server !== null) this.stop();
    else this.kill('removed');
  }

  /** The machine is lost with everything on it. */
  abandon(): void {
    this.isRetired = true;
    if (this.run !== null) this.#endRun('is lost for good');
  }

  /** What was not synced is lost, or half lost. */
  cutPower(reason: string): void {
    this.#endRun(`loses power: ${reason}`);
    for (let i = 0; i < PROBES; i++) this.#probe(this.#disk.crashImage(this.#random.fork()));
    this.#disk = this.#disk.afterCrash(this.#random.fork(), this.#diskOptions);
  }

  /** The process can open nothing more: no file, no directory, no connection. */
  set lacksDescriptors(lacks: boolean) {
    this.#lacksDescriptors = lacks;
    this.#world.fabric.exhaust(this.name, lacks);
  }

  get lacksDescriptors(): boolean {
    return this.#lacksDescriptors;
  }

  processorWaitMs(): number {
    const { rate, maxMs } = this.load;
    return rate > 0 && this.#random.chance(rate) ? this.#random.below(maxMs) : 0;
  }

  /** What the disk holds at the moment, as a backup of it would. */
  copyDisk(): SimDisk {
    return this.#disk.crashImage(this.#random.fork(), this.#diskOptions);
  }

  /** Another disk is in the machine from its next start on: an older one, or an empty one. */
  replaceDisk(disk = new SimDisk(this.#diskOptions)): void {
    this.#disk = disk;
  }

  kill(reason: string): void {
    this.#endRun(`is killed: ${reason}`);
    this.#world.fabric.refuse(this.name, this.peerUrls);
    this.#disk = this.#disk.afterKill(this.#diskOptions);
    this.#probe(this.#disk.crashImage(this.#random.fork()));
  }

  /** What a kill, or a cut of power, would leave at this moment must be sound, and a copy of the member must be able to start from it. */
  inspect(random: SeededRandom): void {
    if (this.run === null) return;
    const image = random.chance(0.5) ? this.#disk.killImage() : this.#disk.crashImage(random.fork());
    this.#probe(image, random.fork());
    if (this.#world.traits.failsDisks) this.#probeDamaged(random);
  }

  /** From a disk that has rotted a member starts, or says why it does not. */
  #probeDamaged(random: SeededRandom): void {
    const world = this.#world;
    if (!this.#hasServed || this.config === null) return;
    const disk = this.#disk.killImage();
    const damage = damageDisk(disk, random);
    const name = `${this.name} with ${damage}`;
    const { config } = this;
    const { segmentBytes } = world;
    world.waitFor(
      probeStart({ world, name, config, disk, random: random.fork(), segmentBytes, isDamaged: true }),
    );
  }

  /** The same for a kill, whatever kind of world this is. */
  mustBeSound(): void {
    const world = this.#world;
    const { config, name } = this;
    if (config === null) return;
    const problem = offlineProblem({ world, config, disk: this.#disk.killImage() });
    if (problem !== null) world.violate('offline', `the disk of ${name}: ${problem}`);
    this.#probe(this.#disk.killImage(), new SeededRandom(1));
  }

  /** A copy of the member, on a disk of its own, must be sound and able to start. */
  #probe(disk: SimDisk, random = this.#random.fork()): void {
    const world = this.#world;
    // One that has never come as far may have to ask others before it can.
    if (!this.#hasServed || this.config === null || !world.traits.probesStarts) return;
    const { name, config } = this;
    const problem = offlineProblem({ world, config, disk });
    if (problem !== null) return world.violate('offline', `a copy of the disk of ${name}: ${problem}`);
    world.waitFor(probeStart({ world, name, config, disk, random, segmentBytes: world.segmentBytes }));
  }

  /** The member serves clients for the first time in a run. */
  onServing(): void {
    this.isJoining = false;
    this.extraFlags = [];
    this.#hasServed = true;
    this.#world.note(`${this.name} serves`);
  }

  /** Stops the member as a service manager does. */
  stop(): void {
    const { run } = this;
    if (run === null) return;
    if (run.server === null) return this.kill('not started yet');
    this.#world.note(`${this.name} is asked to stop`);
    const timer = this.#world.clock.setTimer(STOP_LIMIT_MS, () => {
      if (this.run === run) this.kill('does not stop');
    });
    run.stop(() => {
      timer.cancel();
      if (this.run === run) this.kill('stopped');
    });
  }

  /** Whether a process may end of this: of what its disk did. */
  mayEndOf(error: unknown): boolean {
    return this.#hasFailedDisk && isOfDisk(error);
  }

  /** The process has ended by itself. Whether what it could not write or sync is there nevertheless is the disk's secret. */
  endOfDisk(error: unknown): void {
    this.run?.process.end();
    this.#world.clock.defer(() => {
      this.#endRun(`ends of its disk: ${error instanceof Error ? error.message : String(error)}`);
      this.#world.fabric.refuse(this.name, this.peerUrls);
      const random = this.#random.fork();
      this.#disk = random.chance(0.5)
        ? this.#disk.afterKill(this.#diskOptions)
        : this.#disk.afterCrash(random, this.#diskOptions);
      this.onCut();
    });
  }

  #endRun(what: string): void {
    this.plannedCut = null;
    this.#hasFailedDisk = false;
    this.#world.note(`${this.name} ${what}`);
    this.run?.end();
    this.run = null;
  }

  #onDiskOperation(operation: DiskOperation): void {
    this.#countDown(operation);
    this.#failIfDue(operation);
    this.#diskCost = this.#syncCost(operation) + this.#stuckMs(operation);
    // The event loop stands still, unless it turns out that the thread pool has the work.
    if (this.#diskCost > 0) this.run?.process.stall(this.#diskCost);
  }

  #syncCost({ kind, path }: DiskOperation): number {
    if (kind !== 'sync' && kind !== 'syncDirectory') return 0;
    const isConcerned = path.endsWith(this.diskSpeed.suffix ?? '');
    const { syncMs, spreadMs } = isConcerned ? this.diskSpeed : FAST_DISK;
    return syncMs + (spreadMs * this.#random.below(1024)) / 1024;
  }

  #stuckMs({ path }: DiskOperation): number {
    const { suffix, untilMs } = this.stuckFiles;
    const nowMs = this.run?.process.worldMs ?? untilMs;
    return untilMs > nowMs && path.endsWith(suffix) ? untilMs - nowMs : 0;
  }

  #countDown({ kind, path }: DiskOperation): void {
    const cut = this.plannedCut;
    if (cut === null || kind === 'read' || !path.endsWith(cut.suffix ?? '')) return;
    if (cut.atSync === true && kind !== 'sync') return;
    this.plannedCut = { ...cut, after: cut.after - 1 };
    if (cut.after > 0) return;
    this.#endLater(cut, `at ${kind} ${path}`);
    throw new SimulatedCrash(`${kind} ${path}`);
  }

  #failToList(path: string): void {
    if (!this.#lacksDescriptors || this.run === null) return;
    this.#hasFailedDisk = true;
    throw new DiskError('EMFILE', path, `EMFILE: too many open files, scandir '${path}'`);
  }

  #failIfDue({ kind, path }: DiskOperation): void {
    if (this.#lacksDescriptors && kind === 'open' && this.run !== null) {
      this.#hasFailedDisk = true;
      this.#world.note(`${this.name} has no descriptor for ${path}`);
      throw new DiskError('EMFILE', path, `EMFILE: too many open files, open '${path}'`);
    }
    const fault = this.diskFault;
    if (fault === null || !fault.kinds.includes(kind) || !path.endsWith(fault.suffix)) return;
    if (fault.after > 0) {
      this.diskFault = { ...fault, after: fault.after - 1 };
      return;
    }
    this.diskFault = fault.times > 1 ? { ...fault, times: fault.times - 1 } : null;
    this.#hasFailedDisk = true;
    this.#world.note(`${this.name}'s disk fails: ${fault.code} at ${kind} ${path}`);
    throw new DiskError(fault.code, path, `${fault.code}: ${kind} '${path}'`);
  }

  #schedule(complete: () => void): void {
    const process = this.run?.process;
    if (process === undefined) return;
    const latencyMs = this.#diskCost;
    if (latencyMs > 0) process.stall(-latencyMs);
    process.setTimer(latencyMs > 0 ? latencyMs : OPERATION_MS, complete);
  }

  /** The process is dead from now on; the disk is looked at when its code has been left. */
  #endLater({ by, suffix = '' }: PlannedCut, reason: string): void {
    this.run?.process.end();
    this.#world.clock.defer(() => {
      if (by === 'power') this.cutPower(reason);
      else this.kill(reason);
      if (by === 'kill') {
        this.plannedCut = { by: 'power', suffix, after: this.#random.below(MAX_SECOND_CUT_OPERATIONS) };
      }
      this.onCut();
    });
  }
}

/** Whether it came of what a disk did: that stands in the text, or among the causes. */
function isOfDisk(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof DiskError || /\b(EIO|ENOSPC|EMFILE)\b/.test(at.message)) return true;
  }
  return false;
}

/** One run of a member's process. */
class MemberRun {
  readonly process: SimProcess;
  readonly observation: Observation = { appliedIndex: 0, ledTerm: 0 };
  readonly stateView = newStateView();
  readonly #world: World;
  readonly #machine: Machine;
  readonly #flags: readonly string[];
  readonly #random: SeededRandom;
  readonly #connections = new Set<Duplex>();
  #grpc: GrpcServer | null = null;
  #services: RunningServices | null = null;
  #isStopping = false;
  server: EtcdServer | null = null;
  parts: MemberParts | null = null;
  isServing = false;

  constructor(world: World, machine: Machine, flags: readonly string[], random: SeededRandom) {
    this.#world = world;
    this.#machine = machine;
    this.#flags = flags;
    this.#random = random.fork();
    this.process = new SimProcess({
      clock: world.clock,
      originMs: this.#random.below(1_000_000),
      waitMs: () => machine.processorWaitMs(),
      wallOffsetMs: () => machine.wallOffsetMs,
      turnMs: world.pace.turnMs,
      clockRate: machine.clockRate,
      onError: (error) => this.#onError(error),
    });
  }

  start(): void {
    this.#world.waitFor(this.#start());
  }

  /** From here on nothing of the process runs. */
  end(): void {
    this.process.end();
    this.isServing = false;
    for (const connection of this.#connections) {
      this.#world.clock.setTimer(this.#random.below(MAX_NOTICE_MS), () => connection.destroy());
    }
  }

  stop(done: () => void): void {
    this.isServing = false;
    this.process.run(() => {
      this.#isStopping = true;
      this.#services?.stop();
      this.#grpc?.drain(() => {});
      this.server?.stopThen(() => {
        this.#grpc?.close();
        this.#world.clock.defer(done);
      });
    });
  }

  /** A client's end of a new connection; null when nobody listens. */
  connect(): Duplex | null {
    if (!this.isServing || this.#grpc === null || this.#machine.lacksDescriptors) return null;
    const latencyMs = CLIENT_LATENCY_MS;
    const [theirs, ours] = memoryDuplexPair(
      { clock: this.#world.clock, latencyMs },
      { clock: this.process, latencyMs },
    );
    this.#connections.add(ours);
    this.process.run(() => this.#grpc?.accept(ours));
    return theirs;
  }

  async #start(): Promise<void> {
    const config = await memberConfig(this.#flags, this.#world.plant === null);
    this.#machine.config = config;
    const { process } = this;
    const machine = this.#machine;
    const metrics = new Metrics({ detail: config.metrics, featureGates: config.featureGates });
    const link = {
      fabric: this.#world.fabric,
      process,
      name: machine.name,
      urls: machine.peerUrls,
      hear: (message: Message) => this.#hear(message),
    };
    const network = this.#world.traits.hasHttpPeers
      ? new SimHttpNetwork({ ...link, metrics, logger: this.#logger() })
      : new SimNetwork(link);
    const common = {
      config,
      clock: process,
      disk: this.#world.diskFor(machine.disk),
      random: this.#random,
      logger: this.#logger(),
      network,
    };
    try {
      const parts = await bootstrap({
        listMembers: null,
        discover: null,
        ...common,
        metrics: metrics.handles,
        walSegmentBytes: this.#world.segmentBytes,
        resolveHost: (host) => Promise.resolve(host),
        onBackendFatal: (error) => this.#onError(error),
      });
      process.run(() => this.#serve(parts, { ...common, metrics }));
    } catch (error) {
      if (process.isAlive) this.#onStartError(error);
    }
  }

  #serve(
    parts: MemberParts,
    common: Pick<
      EtcdServerOptions,
      'config' | 'clock' | 'disk' | 'random' | 'logger' | 'metrics' | 'network'
    >,
  ): void {
    const { process } = this;
    const { config } = common;
    const grpc = new GrpcServer({
      clock: process,
      limits: {
        keepaliveIntervalMs: config.grpcKeepaliveIntervalMs,
        keepaliveTimeoutMs: config.grpcKeepaliveTimeoutMs,
        minPingIntervalMs: config.grpcKeepaliveMinTimeMs,
      },
    });
    this.#grpc = grpc;
    this.#world.plant?.parts?.(parts);
    // Where little is kept, revisions lie in memory that is used again with every commit, instead of after 16 MiB.
    if (config.snapshotCatchUpEntries <= FEW_ENTRIES) parts.backend.recentBytes = 0;
    this.parts = parts;
    const server = new EtcdServer({
      ...common,
      parts,
      authentication: simAuthentication(common),
      requestIdStart:
        this.#world.plant?.requestIdStart?.(process.wallNow()) ??
        requestIdStart(this.#random, this.#world.traits),
      onTurnEnd: () => {
        this.#observe();
        this.#observeState();
        grpc.flush();
      },
      onReady: () => {
        this.isServing = true;
        this.#machine.onServing();
      },
      onFatal: (error) => this.#onError(error),
      onRemoved: () => this.#machine.retire(),
      slices: this.#world.pace.slices,
    });
    this.server = server;
    this.#observeBeforeCompaction(parts.raftStorage);
    if (this.#world.judgesSteps) this.#observeAppends(parts);
    this.#world.plant?.member?.(server, parts);
    this.#world.plant?.node?.(parts.node);
    this.#services = registerServices(server, grpc);
    server.start();
  }

  /** A turn may apply many entries and let them go at once, before its end. */
  #observeBeforeCompaction(storage: MemoryStorage): void {
    const compact = storage.compact.bind(storage);
    storage.compact = (index) => {
      this.#observe();
      return compact(index);
    };
  }

  #observeAppends({ node, raftStorage }: MemberParts): void {
    const { logs } = this.#world;
    const log = { name: this.#machine.name, node, raftStorage };
    const append = raftStorage.append.bind(raftStorage);
    raftStorage.append = (entries) => {
      logs.beforeAppend(log, entries);
      append(entries);
      logs.onAppended(log, entries);
    };
    const first = raftStorage.firstIndex();
    const found = raftStorage.entries(first, raftStorage.lastIndex() + 1, Number.MAX_SAFE_INTEGER);
    logs.onAppended(log, found ?? []);
  }

  #observeState(): void {
    const { server } = this;
    if (server === null || !this.process.isAlive || !this.#world.judgesSteps) return;
    this.#world.states.observe(this.#machine.name, server, this.stateView);
  }

  #observe(): void {
    if (!this.process.isAlive) return;
    const { server, parts } = this;
    if (server === null || parts === null) return;
    const { node, raftStorage, memberId } = parts;
    const { appliedIndex } = server;
    this.#world.history.observe(
      { name: this.#machine.name, memberId, node, raftStorage, appliedIndex },
      this.observation,
    );
  }

  #hear(message: Message): readonly Message[] {
    const receive = this.#world.plant?.receive;
    if (receive === undefined) return [message];
    const members = this.server?.membership.members() ?? [];
    return receive(
      message,
      members.map(({ id }) => id),
    );
  }

  #onStartError(error: unknown): void {
    if (error instanceof MemberStartError && this.#world.onStartRefused(this.#machine, error)) return;
    this.#onError(error);
  }

  #onError(error: unknown): void {
    if (!this.process.isAlive || error instanceof SimulatedCrash) return;
    // What else happens to one that is about to end anyway is nobody's concern.
    if (this.#isStopping && !(error instanceof InvariantError)) return;
    this.#world.onProcessFailed(this.#machine, error);
  }

  #logger(): Logger {
    return this.#world.trace.isVerbose ? new TraceLogger(this.#world, this.#machine.name) : SILENT_LOGGER;
  }
}

/** @param verifies the data are looked at at every start and orderly stop: not where a bug is planted, which others are to find. */
async function memberConfig(flags: readonly string[], verifies: boolean): Promise<Config> {
  const request = await loadConfig(flags, {
    environment: { ETCD_VERIFY: verifies ? 'all' : '' },
    readFile: (path) => {
      throw new Error(`no file ${path} in a simulated world`);
    },
    parseDocument: () => Promise.reject(new Error('no documents in a simulated world')),
    defaultHost: () => ({ error: 'a simulated world has no default route' }),
  });
  if (request.kind === 'run') return request.config;
  const reason = request.kind === 'refused' ? request.error.message : request.kind;
  throw new Error(`flags of a simulated member: ${reason}`);
}
