/**
 * One round: a cluster of real processes, clients, faults one after the other, then peace; at the end everything that clients were told is
 * judged by the log that the members left, and all members must have the same contents.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '@etcd/base';
import { Cluster, type ClusterMember, type Kind } from '../support/cluster.ts';
import { eventually, PATIENCE_MS, sleep } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { type CommittedLog, readCommittedLog } from './committed-log.ts';
import { whyNoDiskFaults } from './failing-disk.ts';
import { drawFault, type FaultKind, possibleKinds } from './faults.ts';
import { History } from './history.ts';
import { judge, type Violation } from './judge.ts';
import { RoundPlace } from './place.ts';
import { Traffic } from './traffic.ts';
import { makeUsers, NO_USERS, type Users } from './users.ts';

export interface RoundOptions {
  readonly kinds: readonly Kind[];
  readonly seed: number;
  /** Of faults and pauses between them; what comes before and behind is not counted. */
  readonly faultsMs: number;
  /** Only these; all that are possible unless given. */
  readonly faults?: readonly FaultKind[] | undefined;
  /** TLS between members, through proxies that may damage bytes, instead of namespaces. */
  readonly hasProxies?: boolean;
  /** Authentication is enabled, and clients have a token. */
  readonly hasUsers?: boolean;
  readonly print: (line: string) => void;
}

export interface RoundResult {
  readonly members: string;
  readonly seed: number;
  readonly seconds: number;
  readonly revision: number;
  readonly entries: number;
  readonly events: number;
  readonly longestOutageMs: number;
  readonly operations: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Data directories, kept where something was found. */
  readonly directories: readonly string[];
}

const MIN_FAULT_MS = 300;
const MAX_FAULT_MS = 4000;
const MAX_PEACE_MS = 1500;
/** Writes that must be acknowledged after a fault before the next one begins. */
const PROGRESS = 10;

export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const random = new SeededRandom(options.seed);
  const { kinds, hasProxies = false, hasUsers = false } = options;
  const place = await RoundPlace.open({ kinds, hasProxies, hasUsers });
  try {
    const cluster = await Cluster.start(kinds, { flags: place.flags, place: place.place });
    try {
      const users = hasUsers ? await makeUsers(cluster) : NO_USERS;
      return await new Round(cluster, place, users, random, options).run();
    } finally {
      await cluster.stop();
    }
  } finally {
    place.remove();
  }
}

class Round {
  readonly #cluster: Cluster;
  readonly #place: RoundPlace;
  readonly #random: SeededRandom;
  readonly #options: RoundOptions;
  readonly #history = new History();
  readonly #traffic: Traffic;
  readonly #faults = new Map<string, number>();
  readonly #violations: Violation[] = [];

  constructor(
    cluster: Cluster,
    place: RoundPlace,
    users: Users,
    random: SeededRandom,
    options: RoundOptions,
  ) {
    this.#cluster = cluster;
    this.#place = place;
    this.#random = random;
    this.#options = options;
    this.#traffic = new Traffic({
      endpoints: () => cluster.members,
      // etcd 3.4.23 tells of progress before the events (its #15220): a round found that.
      watched: () => cluster.members.filter(({ kind }) => kind !== '3.4'),
      history: this.#history,
      random: random.fork(),
      clients: 6,
      watchers: 4,
      leaseHolders: 3,
      pauseMs: 60,
      users,
    });
  }

  async run(): Promise<RoundResult> {
    const beginMs = performance.now();
    this.#traffic.start();
    try {
      await this.#befall();
      await this.#traffic.stopAsking();
      await this.#settle();
    } catch (error) {
      // Whatever does not come in its time, where all is well again.
      this.#violations.push({ property: 'liveness', details: String(error).slice(0, 2000) });
    } finally {
      this.#traffic.stop();
    }
    await this.#traffic.stopAsking();
    await this.#stopMembers();
    return this.#result((performance.now() - beginMs) / 1000);
  }

  /** Faults, one after the other; after each the cluster serves again. */
  async #befall(): Promise<void> {
    const random = this.#random;
    const around = {
      cluster: this.#cluster,
      kinds: this.#options.kinds,
      namespaces: this.#place.namespaces,
      proxies: this.#place.proxies,
      disks: this.#place.disks,
      flags: this.#place.flags,
      // Certificates and tokens are good for a time.
      hasOtherClocks: this.#options.hasProxies !== true && this.#options.hasUsers !== true,
      random,
      hasDiskFaults: whyNoDiskFaults() === null,
    };
    const possible = possibleKinds(around);
    const kinds = possible.filter((kind) => this.#options.faults?.includes(kind) ?? true);
    const endMs = performance.now() + this.#options.faultsMs;
    await this.#progress();
    while (performance.now() < endMs && kinds.length > 0) {
      const fault = await drawFault(random.pick(kinds), around);
      this.#options.print(`${fault.kind} (${fault.text})`);
      await fault.begin();
      await sleep(MIN_FAULT_MS + random.below(MAX_FAULT_MS - MIN_FAULT_MS));
      await fault.end();
      this.#faults.set(fault.kind, (this.#faults.get(fault.kind) ?? 0) + 1);
      await this.#progress();
      this.#assertAllRun(fault.kind);
      await sleep(random.below(MAX_PEACE_MS));
    }
  }

  async #progress(): Promise<void> {
    const goal = this.#traffic.acknowledged + PROGRESS;
    await eventually('the cluster serves again', () => this.#traffic.acknowledged >= goal, PATIENCE_MS);
  }

  #assertAllRun(after: string): void {
    for (const member of this.#cluster.members) {
      if (member.isRunning) continue;
      const details = `${member.name} (${member.kind}) has ended by itself after ${after}: ${member.server.lastLines(5)}`;
      this.#violations.push({ property: 'survival', details });
      throw new Error(details);
    }
  }

  /** Nothing is asked any more: leases end, watchers get what there is, and all members come to have the same. */
  async #settle(): Promise<void> {
    const cluster = this.#cluster;
    await cluster.leader();
    await eventually('all leases have ended', async () => {
      const outcome = await cluster.at(0).rpc.outcome('Lease.LeaseLeases', {});
      return outcome.ok && outcome.value.leases.length === 0;
    });
    const revision = await cluster.assertSameContents();
    this.#history.see(Number(revision));
    await eventually('all watchers know everything', async () => {
      await sleep(200);
      return this.#traffic.watchersKnowAll;
    });
    this.#history.isComplete = true;
  }

  /** They end in order, so that their logs and databases are whole; ours look at theirs once more. */
  async #stopMembers(): Promise<void> {
    await Promise.all(
      this.#cluster.members.map(async (member) => {
        if (!member.isRunning) return;
        const { code, signal } = await member.stop();
        if (code !== 0 && signal !== 'SIGTERM') this.#violations.push(badEnd(member, code, signal));
      }),
    );
  }

  #result(seconds: number): RoundResult {
    const log = this.#readLog();
    const judged = judge(this.#history, log);
    const violations = [...this.#violations, ...judged.violations];
    if (violations.length > 0) process.env['ETCD_TEST_KEEP'] = '1';
    return {
      members:
        this.#options.kinds.join(' + ') +
        (this.#options.hasProxies === true ? ', TLS' : '') +
        (this.#options.hasUsers === true ? ', users' : ''),
      seed: this.#options.seed,
      seconds: Math.round(seconds),
      revision: judged.revision,
      entries: log.entries.length,
      events: judged.events,
      longestOutageMs: Math.round(this.#traffic.longestOutageMs),
      operations: sorted(this.#history.operations),
      faults: sorted(this.#faults),
      failures: sorted(this.#history.failures),
      violations,
      directories: violations.length > 0 ? this.#keepDirectories() : [],
    };
  }

  /** What a member has on a disk of its own goes with that disk. */
  #keepDirectories(): string[] {
    const { disks } = this.#place;
    if (disks === null) return this.#cluster.members.map(dataDirectoryOf);
    const kept = temporaryDirectory();
    return this.#cluster.members.map(({ name }, position) => {
      const directory = join(kept, name);
      disks.keep(position, directory);
      return directory;
    });
  }

  #readLog(): CommittedLog {
    const directories = this.#cluster.members.map((member): [string, string] => [
      member.name,
      dataDirectoryOf(member),
    ]);
    return readCommittedLog(new Map(directories.filter(([, directory]) => existsSync(directory))));
  }
}

function dataDirectoryOf({ options }: ClusterMember): string {
  return options.dataDir!;
}

function badEnd(
  { name, kind, server }: ClusterMember,
  code: number | null,
  signal: string | null,
): Violation {
  const details = `${name} (${kind}) ended with ${code ?? signal}: ${server.lastLines(5)}`;
  return { property: 'orderly end', details };
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
