/** What a benchmark case is, and what it may use. */
import type { ClientFiles } from './load/connect.ts';
import type { Job, JobResult } from './load/job.ts';
import { LoadGenerator } from './load/load-generator.ts';
import { EtcdProcess } from './subject/etcd-process.ts';

/** Figures of one round, by the names of the case's rows. */
export type Sample = Readonly<Record<string, number>>;

export type Unit = 'us' | 'ms' | 'per s' | 'bytes' | 'kB' | 'MB' | 'MB/s' | '×' | '%';

/** What a figure has to reach. A ratio is ours divided by the other's. */
export type Goal =
  | { readonly ratioAtMost: number }
  | { readonly ratioAtLeast: number }
  | { readonly atMost: number }
  | { readonly atLeast: number };

export interface Row {
  /** Which figure of the samples. */
  readonly figure: string;
  readonly label: string;
  readonly unit: Unit;
  readonly goal?: Goal;
}

export interface BenchCase {
  readonly name: string;
  readonly about: string;
  readonly rows: readonly Row[];
  /** Not part of a run unless it is named, or all are asked for. */
  readonly isLong?: boolean;
  /** Each round has a server of its own; else all rounds of a program share one, and the first only warms it up. */
  readonly isFresh?: boolean;
  /** If the other program can't do it, only ours is measured. */
  readonly isOursOnly?: boolean;
  /** The same, decided by the program. */
  otherCan?(program: string): boolean;
  /** Starts what is measured and brings it to the state in which the rounds find it. */
  open(stage: Stage): Promise<RunningCase>;
}

export interface RunningCase {
  round(): Promise<Sample>;
  close(): Promise<void>;
}

/** For whom a case is opened. */
export interface Stage {
  readonly program: string;
  /** A smoke test: everything small. */
  readonly isQuick: boolean;
  readonly isOurs: boolean;
}

/** One server and one generator: what most cases need. */
export class SingleServer {
  readonly server: EtcdProcess;
  readonly #generator = new LoadGenerator();

  private constructor(server: EtcdProcess) {
    this.server = server;
  }

  /** `nodeOptions` are for ours: see {@link EtcdProcess.start}. */
  static async start(
    program: string,
    tls: ClientFiles | null = null,
    nodeOptions = '',
    flags: readonly string[] = [],
  ): Promise<SingleServer> {
    return new SingleServer(await EtcdProcess.start(program, tls, nodeOptions, flags));
  }

  run(job: Omit<Job, 'targets' | 'serverPids'>): Promise<JobResult> {
    return this.#generator.run({ ...job, targets: [this.server.target], serverPids: [this.server.pid] });
  }

  async close(): Promise<void> {
    this.#generator.close();
    await this.server.dispose();
  }
}

export const MB = 1e6;

export function perSecond(count: number, elapsedMs: number): number {
  return (count * 1000) / elapsedMs;
}

/** The share of one CPU that the generator used, in every sample: near 1 it was the bottleneck. */
export const GENERATOR_ROW: Row = { figure: 'generator', label: 'generator, share of a CPU', unit: '×' };

export function generatorShare(result: JobResult): number {
  return result.generatorCpuUs / 1000 / result.elapsedMs;
}
