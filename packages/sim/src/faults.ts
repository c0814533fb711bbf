/**
 * What goes wrong in a world, and when. Each world draws the kinds of faults that it has and how often they come: a world in
 * which everything happens all the time would hardly ever get anywhere interesting.
 */
import { SeededRandom } from '@etcd/base';
import { clusterPhase } from './cluster-phase.ts';
import { type DiskFault, FAST_DISK, type Machine, NO_LOAD } from './machine.ts';
import { lasting } from './tempo.ts';
import type { World } from './world.ts';

/** Operations of a disk within which a cut of power that is due happens. */
const MAX_CUT_OPERATIONS = 400;
const MAX_DOWN_MS = 8000;
const MAX_PAUSE_MS = 6000;
const MAX_LONG_PAUSE_MS = 60_000;
const MAX_STUCK_MS = 15_000;
const MIN_ABSENCE_MS = 8000;
const MAX_ABSENCE_MS = 25_000;
const MAX_WALL_JUMP_MS = 3_600_000;
/** Of the disk, while it is slow. */
const MAX_SLOW_SYNC_MS = 400;
/** Of one kind of its files. */
const MAX_SLOW_FILE_MS = 6000;
/** Of a connection. */
const MAX_SLOW_READER_MS = 20_000;
const MAX_STRANGER_MS = 8000;
const MAX_EXHAUSTED_MS = 10_000;
/** Who answers with more keeps the connection open. */
const MAX_OPEN_BYTES = 120;
/** Long enough to be cut off, and to be sent a database afterwards. */
const LEFT_BEHIND_MS = 16_000;

const FAILING = [
  ['sync'],
  ['write', 'allocate'],
  ['read'],
  ['open', 'rename', 'remove', 'makeDirectory', 'truncate'],
  ['syncDirectory'],
  ['sync', 'write', 'allocate', 'read', 'open', 'rename', 'remove', 'truncate', 'syncDirectory'],
] as const;

/** So many worlds have few kinds of faults, which come all the time and so meet each other. */
const FOCUSED_SHARE = 0.25;
const FOCUSED_KINDS = 3;

interface FaultKind {
  readonly name: string;
  readonly weight: number;
  readonly happen: () => void;
}

export interface FaultOptions {
  /** Names of the only kinds that there are, where it is not for the world to draw them. */
  readonly focus?: readonly string[] | undefined;
  /**
   * From here every fault draws for itself, so that one may be left out and the others stay what they were; null: all draw from one source,
   * as in the worlds of older seeds.
   */
  readonly seed: number | null;
  /** Faults that don't happen, by their number. */
  readonly without?: readonly number[] | undefined;
}

export class FaultInjector {
  readonly #world: World;
  readonly #options: FaultOptions;
  readonly #without: ReadonlySet<number>;
  /** When faults come, and of which kind. */
  readonly #schedule: SeededRandom;
  /** What they are like. */
  #random: SeededRandom;
  readonly #kinds: readonly FaultKind[];
  readonly #meanMs: number;
  #isOn = false;
  /** Tells timers of one storm from those of the next. */
  #storm = 0;
  #isLeavingBehind = false;
  /** To be done when the storm ends. */
  #calming: (() => void)[] = [];
  count = 0;
  readonly counts = new Map<string, number>();
  /** Pairs of a fault and the state that the cluster was in, and of two faults that followed each other. */
  readonly states = new Set<string>();
  #former = 'nothing';

  constructor(world: World, random: SeededRandom, options: FaultOptions) {
    const { focus = null, without = [] } = options;
    this.#world = world;
    this.#options = options;
    this.#without = new Set(without);
    this.#schedule = random;
    this.#random = random;
    const all = this.#allKinds();
    const isFocused = random.chance(FOCUSED_SHARE);
    this.#meanMs = isFocused || focus !== null ? 400 + random.below(1500) : 800 + random.below(6000);
    const { meanFaultMs } = world.tempo;
    if (meanFaultMs > 0) this.#meanMs = meanFaultMs;
    if (focus !== null) this.#kinds = all.filter(({ name }) => focus.includes(name));
    else if (isFocused) this.#kinds = Array.from({ length: FOCUSED_KINDS }, () => random.pick(all));
    else this.#kinds = all.filter(() => random.chance(0.6));
  }

  /** Faults come from now on. */
  begin(): void {
    this.#isOn = true;
    this.#storm++;
    this.#scheduleNext();
  }

  /** Everything works again, and every machine runs. */
  end(): void {
    this.#isOn = false;
    this.#storm++;
    this.#world.fabric.heal();
    for (const machine of this.#world.activeMachines) {
      machine.diskSpeed = FAST_DISK;
      machine.load = NO_LOAD;
      machine.plannedCut = null;
      machine.diskFault = null;
      machine.stuckFiles = { suffix: '', untilMs: 0 };
      machine.lacksDescriptors = false;
      machine.start();
    }
    for (const calm of this.#calming.splice(0)) calm();
    this.#world.note('all is healed');
  }

  #onCalm(calm: () => void): void {
    this.#calming.push(calm);
  }

  #scheduleNext(): void {
    const storm = this.#storm;
    const waitMs = (this.#meanMs * (100 + this.#schedule.below(1800))) / 1000;
    this.#world.clock.setTimer(waitMs, () => {
      if (!this.#isOn || storm !== this.#storm) return;
      this.#happen();
      this.#scheduleNext();
    });
  }

  #happen(): void {
    if (this.#kinds.length === 0) return;
    let draw = this.#schedule.below(this.#kinds.reduce((sum, { weight }) => sum + weight, 0));
    for (const { name, weight, happen } of this.#kinds) {
      draw -= weight;
      if (draw >= 0) continue;
      const number = this.count++;
      const { seed } = this.#options;
      if (seed !== null) this.#random = new SeededRandom(seed + number);
      if (this.#without.has(number)) return;
      this.#note(name);
      return happen();
    }
  }

  #note(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    this.states.add(`${this.#former}, then ${name}`);
    this.states.add(`${name} while ${clusterPhase(this.#world)}`);
    this.#former = name;
  }

  #allKinds(): FaultKind[] {
    return [
      { name: 'power cut', weight: 3, happen: () => this.#onRunning((m) => this.#cutPower(m)) },
      {
        name: 'power cut at an operation',
        weight: 5,
        happen: () => this.#onRunning((m) => this.#cutLater(m)),
      },
      { name: 'kill', weight: 3, happen: () => this.#onRunning((m) => this.#kill(m)) },
      { name: 'stop', weight: 2, happen: () => this.#onRunning((m) => this.#stop(m)) },
      { name: 'kill at an operation', weight: 4, happen: () => this.#onRunning((m) => this.#killLater(m)) },
      { name: 'slow file', weight: 3, happen: () => this.#onRunning((m) => this.#slowFile(m)) },
      { name: 'left behind', weight: 3, happen: () => this.#onRunning((m) => this.#leaveBehind(m)) },
      { name: 'power cut of all', weight: 1, happen: () => this.#cutAll() },
      { name: 'pause', weight: 3, happen: () => this.#onRunning((m) => this.#pause(m)) },
      { name: 'slow disk', weight: 3, happen: () => this.#onRunning((m) => this.#slowDisk(m)) },
      { name: 'starved processors', weight: 2, happen: () => this.#starve() },
      { name: 'wall clock jump', weight: 2, happen: () => this.#jump() },
      { name: 'isolation', weight: 4, happen: () => this.#isolate(true) },
      { name: 'one-way isolation', weight: 3, happen: () => this.#isolate(false) },
      { name: 'refusal', weight: 3, happen: () => this.#refuse() },
      { name: 'long absence', weight: 7, happen: () => this.#absent() },
      { name: 'partition', weight: 3, happen: () => this.#partition() },
      { name: 'single link cut', weight: 3, happen: () => this.#cutLink() },
      { name: 'bad network', weight: 4, happen: () => this.#badNetwork() },
      { name: 'healed network', weight: 8, happen: () => this.#heal() },
      ...(this.#world.traits.hasDrift ? this.#timeKinds() : []),
      ...(this.#world.traits.hasHttpPeers ? this.#connectionKinds() : []),
      ...(this.#world.traits.lacksDescriptors
        ? [{ name: 'no descriptors', weight: 6, happen: () => this.#onRunning((m) => this.#exhaust(m)) }]
        : []),
      ...(this.#world.traits.failsDisks
        ? [{ name: 'failing disk', weight: 6, happen: () => this.#onRunning((m) => this.#failDisk(m)) }]
        : []),
    ];
  }

  #timeKinds(): FaultKind[] {
    return [
      { name: 'long pause', weight: 2, happen: () => this.#onRunning((m) => this.#pauseLong(m)) },
      { name: 'stuck file', weight: 3, happen: () => this.#onRunning((m) => this.#stickFile(m)) },
    ];
  }

  #connectionKinds(): FaultKind[] {
    return [
      { name: 'reset connections', weight: 5, happen: () => this.#breakConnections(true) },
      { name: 'half-open connections', weight: 5, happen: () => this.#breakConnections(false) },
      { name: 'slow readers', weight: 3, happen: () => this.#slowReaders() },
      { name: 'strange answers', weight: 3, happen: () => this.#impersonate() },
    ];
  }

  #lasting(durationMs: number): number {
    return lasting(this.#random, durationMs, this.#world.tempo);
  }

  #onRunning(happen: (machine: Machine) => void): void {
    const running = this.#world.activeMachines.filter((machine) => machine.isRunning);
    if (running.length > 0) happen(this.#random.pick(running));
  }

  #restartLater(machine: Machine): void {
    const downMs = this.#random.chance(0.5) ? this.#random.below(500) : this.#random.below(MAX_DOWN_MS);
    this.#world.clock.setTimer(this.#lasting(downMs), () => machine.start());
  }

  #cutPower(machine: Machine): void {
    machine.cutPower('now');
    this.#restartLater(machine);
  }

  #cutLater(machine: Machine): void {
    machine.plannedCut = { after: this.#random.below(MAX_CUT_OPERATIONS), by: 'power' };
    machine.onCut = () => this.#restartLater(machine);
  }

  /** A kill between a write and its sync, and a cut of power in what the next run begins with. */
  #killLater(machine: Machine): void {
    const suffix = this.#random.pick(['/db', '/db', '.wal', '.snap', '.snap.db', '']);
    machine.plannedCut = { after: this.#random.below(12), by: 'kill', suffix, atSync: true };
    machine.onCut = () => this.#restartLater(machine);
  }

  /** Operations of one kind, or on one kind of file, fail: once, or for a while. */
  #failDisk(machine: Machine): void {
    const random = this.#random;
    const fault: DiskFault = {
      code: random.pick(['EIO', 'EIO', 'ENOSPC']),
      kinds: random.pick(FAILING),
      suffix: random.pick(['', '/db', '.wal', '.snap', '.snap.db', '.tmp']),
      after: random.below(random.chance(0.5) ? 5 : 100),
      times: random.chance(0.7) ? 1 : 1000,
    };
    this.#world.note(`${machine.name}'s disk is about to fail: ${JSON.stringify(fault)}`);
    machine.diskFault = fault;
    machine.onCut = () => this.#restartLater(machine);
    this.#world.clock.setTimer(this.#lasting(random.below(15_000)), () => {
      machine.diskFault = null;
    });
  }

  /** Somebody leaks descriptors, or the limit is low: for a while nothing more can be opened, by this run and by the next ones. */
  #exhaust(machine: Machine): void {
    this.#world.note(`${machine.name} has no descriptors left`);
    machine.lacksDescriptors = true;
    machine.onCut = () => this.#restartLater(machine);
    if (this.#random.chance(0.3)) this.#kill(machine);
    this.#world.clock.setTimer(this.#lasting(this.#random.below(MAX_EXHAUSTED_MS)), () => {
      machine.lacksDescriptors = false;
    });
  }

  #kill(machine: Machine): void {
    machine.kill('now');
    this.#restartLater(machine);
  }

  #stop(machine: Machine): void {
    machine.stop();
    this.#world.clock.setTimer(MAX_DOWN_MS * 2, () => machine.start());
  }

  #cutAll(): void {
    for (const machine of this.#world.activeMachines) {
      if (machine.isRunning) machine.cutPower('everywhere');
      this.#restartLater(machine);
    }
  }

  #pause(machine: Machine): void {
    const durationMs = this.#random.below(MAX_PAUSE_MS);
    this.#world.note(`${machine.name} pauses for ${durationMs} ms`);
    machine.run?.process.stall(durationMs);
  }

  /** Its end may come long after everything else is well again. */
  #pauseLong(machine: Machine): void {
    const durationMs = MAX_PAUSE_MS + this.#random.below(MAX_LONG_PAUSE_MS);
    this.#world.note(`${machine.name} pauses for ${durationMs} ms`);
    machine.run?.process.stall(durationMs);
    // It is healed as an operator heals what hangs.
    this.#onCalm(() => {
      if ((machine.run?.process.aheadMs ?? 0) < MAX_PAUSE_MS) return;
      machine.kill('it hangs');
      machine.start();
    });
  }

  /** Whatever is done to one kind of file, or to any, completes at one moment, and nothing before. */
  #stickFile(machine: Machine): void {
    const suffix = this.#random.pick(['', '/db', '.wal', '.snap', '.snap.db']);
    const untilMs = this.#world.clock.now() + this.#random.below(MAX_STUCK_MS);
    this.#world.note(`${machine.name}'s files ${suffix} are stuck until ${untilMs.toFixed(0)} ms`);
    machine.stuckFiles = { suffix, untilMs };
  }

  #slowDisk(machine: Machine): void {
    const syncMs = 1 + this.#random.below(MAX_SLOW_SYNC_MS);
    this.#world.note(`${machine.name}'s disk is slow: ${syncMs} ms`);
    machine.diskSpeed = { syncMs: syncMs / 4, spreadMs: syncMs };
    this.#world.clock.setTimer(this.#lasting(this.#random.below(15_000)), () => {
      machine.diskSpeed = FAST_DISK;
    });
  }

  /** All machines, as when they share a host, or one. */
  #starve(): void {
    const load = { rate: (1 + this.#random.below(20)) / 100, maxMs: 1 + this.#random.below(400) };
    const running = this.#world.activeMachines;
    const machines = this.#random.chance(0.5) ? running : [this.#random.pick(running)];
    const names = machines.map(({ name }) => name).join(' ');
    this.#world.note(`${names} wait for processors: ${JSON.stringify(load)}`);
    for (const machine of machines) {
      machine.load = load;
      this.#world.clock.setTimer(this.#lasting(this.#random.below(15_000)), () => {
        machine.load = NO_LOAD;
      });
    }
  }

  /** The database, or the log, or what comes from the leader, while the rest of the disk is as fast as ever. */
  #slowFile(machine: Machine): void {
    const suffix = this.#random.pick(['/db', '/db', '.wal', '.snap', '.snap.db']);
    const syncMs = 100 + this.#random.below(MAX_SLOW_FILE_MS);
    this.#world.note(`${machine.name}'s files ${suffix} are slow: ${syncMs} ms`);
    machine.diskSpeed = { syncMs, spreadMs: syncMs / 4, suffix };
    this.#world.clock.setTimer(this.#lasting(this.#random.below(60_000)), () => {
      machine.diskSpeed = FAST_DISK;
    });
  }

  /** Everything but its database is fast; the others go on without it until only a database can help. */
  #leaveBehind(machine: Machine): void {
    // One at a time: healing the network for one of them would help the other.
    if (this.#isLeavingBehind) return;
    this.#isLeavingBehind = true;
    const syncMs = 1000 + this.#random.below(12_000);
    this.#world.note(`${machine.name}'s database is slow, ${syncMs} ms, and it will be left behind`);
    machine.diskSpeed = { syncMs, spreadMs: 0, suffix: '/db' };
    const { clock, fabric, machines } = this.#world;
    const storm = this.#storm;
    clock.setTimer(this.#random.below(3000), () => {
      if (storm !== this.#storm) return;
      for (const { name } of machines) {
        if (name === machine.name) continue;
        fabric.cut(name, machine.name);
        fabric.cut(machine.name, name);
      }
      clock.setTimer(1000 + this.#random.below(8000), () => this.#heal());
    });
    clock.setTimer(LEFT_BEHIND_MS, () => {
      this.#isLeavingBehind = false;
      machine.diskSpeed = FAST_DISK;
    });
  }

  #jump(): void {
    const machine = this.#random.pick(this.#world.machines);
    machine.wallOffsetMs = this.#random.below(2 * MAX_WALL_JUMP_MS) - MAX_WALL_JUMP_MS;
    this.#world.note(`${machine.name}'s wall clock jumps to ${machine.wallOffsetMs} ms off`);
  }

  #isolate(bothWays: boolean): void {
    const alone = this.#random.pick(this.#world.machines).name;
    const isDeaf = this.#random.chance(0.5);
    this.#world.note(`${alone} is cut off${bothWays ? '' : isDeaf ? ', hears nothing' : ', is not heard'}`);
    for (const { name } of this.#world.machines) {
      if (name === alone) continue;
      if (bothWays || isDeaf) this.#world.fabric.cut(name, alone);
      if (bothWays || !isDeaf) this.#world.fabric.cut(alone, name);
    }
  }

  /** A proxy, or a rule of a firewall, refuses connections to a member that lives; those that are there may be cut, too. */
  #refuse(): void {
    const running = this.#world.activeMachines.filter((machine) => machine.isRunning);
    const leader = running.find(({ server }) => server?.isLeader === true);
    if (running.length === 0) return;
    const machine = leader !== undefined && this.#random.chance(0.6) ? leader : this.#random.pick(running);
    this.#world.note(`connections to ${machine.name} are refused`);
    this.#world.fabric.refuse(machine.name, machine.peerUrls);
    if (this.#random.chance(0.3)) return;
    const isDeaf = this.#random.chance(0.5);
    for (const { name } of this.#world.machines) {
      if (name === machine.name) continue;
      this.#world.fabric.cut(machine.name, name);
      if (isDeaf) this.#world.fabric.cut(name, machine.name);
    }
  }

  /** One member hears nothing for so long that it has to be sent the database; its clients are there when it comes. */
  #absent(): void {
    const absent = this.#random.pick(this.#world.machines).name;
    const durationMs = this.#lasting(MIN_ABSENCE_MS + this.#random.below(MAX_ABSENCE_MS));
    this.#world.note(`${absent} is absent for ${durationMs} ms`);
    const others = this.#world.machines.map(({ name }) => name).filter((name) => name !== absent);
    for (const name of others) this.#world.fabric.cut(name, absent);
    this.#world.clock.setTimer(durationMs, () => {
      for (const name of others) this.#world.fabric.mend(name, absent);
    });
  }

  #partition(): void {
    const here = this.#world.machines.filter(() => this.#random.chance(0.5)).map(({ name }) => name);
    this.#world.note(`partition of ${here.join(' ')} from the rest`);
    for (const { name } of this.#world.machines) {
      if (here.includes(name)) continue;
      for (const other of here) {
        this.#world.fabric.cut(name, other);
        this.#world.fabric.cut(other, name);
      }
    }
  }

  #cutLink(): void {
    const from = this.#random.pick(this.#world.machines).name;
    const to = this.#random.pick(this.#world.machines).name;
    this.#world.note(`link ${from} > ${to} is cut`);
    this.#world.fabric.cut(from, to);
  }

  #badNetwork(): void {
    const random = this.#random;
    this.#world.fabric.quality = {
      lossRate: random.below(30) / 100,
      repeatRate: random.below(20) / 100,
      latencyMs: 1 + random.below(random.chance(0.3) ? 150 : 10),
      delayRate: random.below(30) / 100,
      delayMs: 1 + random.below(2000),
    };
    this.#world.note(`the network is bad: ${JSON.stringify(this.#world.fabric.quality)}`);
  }

  #heal(): void {
    this.#world.note('the network is healed');
    this.#world.fabric.heal();
  }

  /** Some of them, at both ends or at one. */
  #breakConnections(atBothEnds: boolean): void {
    const rate = this.#random.pick([0.1, 0.5, 1]);
    const broken = this.#world.fabric.sockets.filter(() => this.#random.chance(rate));
    this.#world.note(`${broken.length} connections break${atBothEnds ? '' : ' at one end'}`);
    for (const socket of broken) {
      if (atBothEnds) socket.reset();
      else socket.breakOff('ECONNRESET');
    }
  }

  /** Members don't come to read from some of their connections. */
  #slowReaders(): void {
    const { fabric, clock } = this.#world;
    const untilMs = clock.now() + this.#random.below(MAX_SLOW_READER_MS);
    const slow = fabric.sockets.filter(() => this.#random.chance(0.3));
    this.#world.note(`${slow.length} connections are not read until ${untilMs.toFixed(0)} ms`);
    for (const socket of slow) socket.slowUntilMs = untilMs;
  }

  /** Somebody else has the address of a member: a proxy with nobody behind it, or another program. */
  #impersonate(): void {
    const { fabric, clock } = this.#world;
    const { name } = this.#random.pick(this.#world.machines);
    const bytes = strangeAnswer(this.#random);
    this.#world.note(
      `who connects to ${name} is answered with ${bytes?.length ?? 'no'} bytes by somebody else`,
    );
    fabric.impersonate(name, (socket) => {
      socket.on('data', () => {
        if (bytes === null || socket.writableEnded) return;
        socket.write(bytes);
        if (bytes.length < MAX_OPEN_BYTES) socket.end();
      });
    });
    clock.setTimer(this.#random.below(MAX_STRANGER_MS), () => fabric.unmask(name));
    for (const socket of fabric.sockets) if (socket.machine === name) socket.reset();
  }
}

/** null: silence. */
function strangeAnswer(random: SeededRandom): Uint8Array | null {
  const noise = Buffer.from(Array.from({ length: 64 }, () => random.below(256)));
  const broken = Buffer.alloc(64, 0xff);
  const stream = 'HTTP/1.1 200 OK\r\nX-Server-Version: 3.7.0\r\nTransfer-Encoding: chunked\r\n\r\n';
  return random.pick([
    null,
    noise,
    Buffer.from('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 7\r\n\r\n<html/>'),
    Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'),
    // A stream whose first message is longer than any.
    Buffer.concat([Buffer.from(`${stream}40\r\n`), broken, Buffer.from('\r\n')]),
    Buffer.concat([Buffer.from(stream), noise]),
  ]);
}
