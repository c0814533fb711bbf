/** A cluster of members that nothing happens to but what a test brings about. */
import { strict as assert } from 'node:assert';
import { encodePutRequest, encodeRangeRequest, PutRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import type { SimDisk } from '@etcd/testing';
import { GrpcChannel } from '@etcd/transport';
import type { Machine, PlannedCut } from './machine.ts';
import type { Plant } from './plant.ts';
import { ORDINARY } from './traits.ts';
import { FULL_PACE, type Pace, World } from './world.ts';

const SEED = 20_261_121;
export const START_LIMIT_MS = 30_000;
const STEP_MS = 10;

export interface QuietClusterOptions {
  readonly size: number;
  readonly flags?: readonly string[];
  readonly plant?: Plant | undefined;
  readonly pace?: Pace;
  /** What the machines find on their disks; nothing unless told. */
  readonly disks?: readonly SimDisk[];
  /** For the first machine, which starts again at once. */
  readonly plannedCut?: PlannedCut;
  /** How fast the machines' clocks go; 1 each unless told. */
  readonly clockRates?: readonly number[];
  /** The test makes members hold what is wrong, so that nobody looks at what they leave on their disks. */
  readonly isDamaged?: boolean;
}

export class QuietCluster {
  readonly world: World;
  readonly log: string[] = [];
  extraFlags: readonly string[];

  private constructor({
    size,
    flags = [],
    plant,
    disks = [],
    clockRates = [],
    pace = FULL_PACE,
    isDamaged,
  }: QuietClusterOptions) {
    this.extraFlags = flags;
    this.world = new World({
      seed: SEED,
      print: (line) => this.log.push(line),
      plant: plant ?? null,
      hasPast: disks.length > 0,
      judgesSteps: isDamaged !== true,
      traits: { ...ORDINARY, probesStarts: isDamaged !== true },
    });
    this.world.pace = pace;
    const names = Array.from({ length: size }, (_, i) => `m${i + 1}`);
    const initial = names.map((name) => `${name}=http://${name}:2380`).join();
    for (const name of names) {
      this.world.addMachine({
        name,
        peerUrls: [`http://${name}:2380`],
        isNew: false,
        flags: () => [
          `--name=${name}`,
          '--data-dir=/data',
          `--initial-advertise-peer-urls=http://${name}:2380`,
          '--listen-peer-urls=http://127.0.0.1:2380',
          `--advertise-client-urls=http://${name}:2379`,
          `--initial-cluster=${initial}`,
          '--heartbeat-interval=100',
          '--election-timeout=1000',
          ...this.extraFlags,
        ],
      });
    }
    for (const [i, rate] of clockRates.entries()) this.world.machines[i]!.clockRate = rate;
    for (const [i, disk] of disks.entries()) this.world.machines[i]!.putDisk(disk);
  }

  /** Starts the first machine of a cluster, whose member does not start. Returns why, and what is on its disk then. */
  static async refusal(
    options: Omit<QuietClusterOptions, 'size'> & { readonly size?: number },
  ): Promise<{ readonly reason: string; readonly disk: SimDisk }> {
    const cluster = new QuietCluster({ size: 1, ...options });
    const [machine] = cluster.world.machines;
    machine!.start();
    await cluster.#run(START_LIMIT_MS, () => machine!.isServing);
    assert.ok(!machine!.isServing, 'it serves');
    const { violation } = cluster.world;
    assert.ok(violation !== null, 'it neither starts nor says why not');
    return { reason: violation.details, disk: machine!.disk };
  }

  static async start(options: QuietClusterOptions): Promise<QuietCluster> {
    const cluster = new QuietCluster(options);
    const [first] = cluster.world.machines;
    first!.plannedCut = options.plannedCut ?? null;
    first!.onCut = () => first!.start();
    for (const machine of cluster.world.machines) machine.start();
    await cluster.until('all serve', START_LIMIT_MS, () =>
      cluster.world.machines.every(({ isServing }) => isServing),
    );
    return cluster;
  }

  async until(what: string, limitMs: number, condition: () => boolean): Promise<void> {
    const holds = await this.#run(limitMs, condition);
    assert.ok(
      holds,
      `${what} (seed ${SEED})\n${this.world.violation?.details ?? ''}\n${this.log.slice(-20).join('\n')}`,
    );
  }

  /** In steps, so that time does not run away while a start waits for nothing but promises. */
  async #run(limitMs: number, condition: () => boolean): Promise<boolean> {
    for (let ranMs = 0; ranMs < limitMs && this.world.violation === null; ranMs += STEP_MS) {
      if (await this.world.run(STEP_MS, condition)) return true;
    }
    return false;
  }

  get leader(): Machine {
    return this.world.machines.find(({ server }) => server?.isLeader === true)!;
  }

  get machines(): readonly Machine[] {
    return this.world.machines;
  }

  get followers(): Machine[] {
    return this.world.machines.filter(({ server }) => server?.isLeader === false);
  }

  /** The code and message with which a call ends. */
  async call(machine: Machine, path: string, request: Uint8Array): Promise<[number, string]> {
    let ended: [number, string] | null = null;
    this.begin(machine, path, request, (code, message) => {
      ended = [code, message];
    });
    await this.until(`${path} ends`, START_LIMIT_MS, () => ended !== null);
    return ended!;
  }

  /** Makes a call, whatever becomes of it. */
  begin(
    machine: Machine,
    path: string,
    request: Uint8Array,
    done: (code: number, message: string) => void = () => {},
  ): void {
    const { clock } = this.world;
    const channel = new GrpcChannel(machine.run!.connect()!, { clock, authority: machine.name });
    channel.unary(path, request, (code, message) => {
      done(code, message);
      channel.close();
    });
  }

  async put(machine: Machine, value: string): Promise<void> {
    const [code, message] = await this.tryPut(machine, value);
    assert.equal(code, GrpcCode.OK, message);
  }

  async tryPut(machine: Machine, value: string): Promise<[number, string]> {
    const request = new PutRequest({ key: Buffer.from('key'), value: Buffer.from(value) });
    return await this.call(machine, '/etcdserverpb.KV/Put', encodePutRequest(request));
  }

  async tryRange(machine: Machine): Promise<[number, string]> {
    const request = new RangeRequest({ key: Buffer.from('key'), serializable: true });
    return await this.call(machine, '/etcdserverpb.KV/Range', encodeRangeRequest(request));
  }

  lines(part: string): string[] {
    return this.log.filter((line) => line.includes(part));
  }
}
