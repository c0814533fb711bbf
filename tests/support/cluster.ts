/**
 * A cluster of etcd servers as child processes: any mix of programs, each member with a directory and ports of its own, which
 * can be stopped, killed, started again, maybe as another program, and replaced, one by one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { EtcdRpc } from './etcd-rpc.ts';
import { type EtcdOptions, EtcdServer } from './etcd-server.ts';
import type { Member, StatusResponse } from './messages.ts';
import { PEERS_DIR, type PeerVersion, SUBJECT } from './programs.ts';
import { type Ended, eventually, PATIENCE_MS, run } from './run.ts';
import { freePort, temporaryDirectory } from './temporary.ts';

/** What a member runs: the program under test, or real etcd of a release. */
export type Kind = 'ours' | PeerVersion;

export interface ClusterOptions {
  /** Flags of every member; some are spelled differently from release to release. */
  readonly flags?: (kind: Kind) => readonly string[];
  /** Where the member at a position is: behind a proxy before its peer port, in a namespace. */
  readonly place?: (position: number, peerPort: number) => Place | Promise<Place>;
}

export type Place = Pick<EtcdOptions, 'advertisedPeerUrl' | 'host' | 'launcher' | 'peerScheme' | 'dataDir'>;

/** Elections in half a second, which leaves a busy machine room to breathe. */
export const QUICK_ELECTION = ['--heartbeat-interval=50', '--election-timeout=500'] as const;

const STATUS_DEADLINE_MS = 10_000;
/** Lines of each member's log that a failed test shows. */
const LOG_TAIL = 25;

export function programOf(kind: Kind): string {
  return kind === 'ours' ? SUBJECT : `${PEERS_DIR}/${kind}/etcd`;
}

/** A place in the cluster: the process in it changes, its name, ports and directory stay. */
export class ClusterMember {
  readonly name: string;
  readonly options: EtcdOptions & { readonly clientPort: number; readonly peerPort: number };
  kind: Kind;
  server: EtcdServer;
  #rpc: EtcdRpc | null = null;
  #metadata: Readonly<Record<string, string>> = {};

  constructor(kind: Kind, options: ClusterMember['options'], server: EtcdServer) {
    this.kind = kind;
    this.name = options.name!;
    this.options = options;
    this.server = server;
  }

  get address(): string {
    return this.server.address;
  }

  /** The URL by which the others know it. */
  get peerUrl(): string {
    return this.options.advertisedPeerUrl ?? this.server.peerUrl;
  }

  /** A client of this member alone, which connects again by itself. */
  get rpc(): EtcdRpc {
    this.#rpc ??= new EtcdRpc(this.address, this.#metadata);
    return this.#rpc;
  }

  /** What {@link rpc} sends with each call from now on: somebody's token. */
  useMetadata(metadata: Readonly<Record<string, string>>): void {
    this.#metadata = metadata;
    this.closeClient();
  }

  get isRunning(): boolean {
    return !this.server.isOver;
  }

  status(): Promise<StatusResponse> {
    return this.rpc.call('Maintenance.Status', {}, STATUS_DEADLINE_MS);
  }

  async id(): Promise<bigint> {
    return (await this.status()).header.member_id;
  }

  stop(): Promise<Ended> {
    return this.server.stop();
  }

  kill(): Promise<Ended> {
    return this.server.kill();
  }

  /** Starts it again on its directory, maybe as another program, and waits until it serves. */
  async start(kind: Kind = this.kind, changes: EtcdOptions = {}): Promise<void> {
    this.kind = kind;
    this.server = await EtcdServer.launch({ ...this.options, program: programOf(kind), ...changes });
    await this.server.ready();
  }

  closeClient(): void {
    this.#rpc?.close();
    this.#rpc = null;
  }
}

export class Cluster {
  readonly members: ClusterMember[] = [];
  readonly #options: ClusterOptions;
  /** Processes of former members, whose logs may tell why a test failed. */
  readonly #former: ClusterMember[] = [];
  #nextNumber = 0;

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Starts one member of each kind, together, and waits until all serve. */
  static async start(kinds: readonly Kind[], options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    const planned = [];
    for (const kind of kinds) planned.push({ kind, options: await cluster.#plan(kind) });
    const initialCluster = initialClusterOf(planned.map((plan) => plan.options));
    for (const plan of planned) await cluster.#launch(plan.kind, { ...plan.options, initialCluster });
    try {
      await Promise.all(cluster.members.map((member) => member.server.ready()));
    } catch (error) {
      cluster.killAll();
      throw error;
    }
    return cluster;
  }

  get addresses(): string[] {
    return this.members.map(({ address }) => address);
  }

  get running(): ClusterMember[] {
    return this.members.filter(({ isRunning }) => isRunning);
  }

  at(position: number): ClusterMember {
    return this.members.at(position)!;
  }

  /** The member that leads, as soon as all running members (or those given) name the same one, which is among them. */
  leader(
    among: () => readonly ClusterMember[] = () => this.running,
    timeoutMs = PATIENCE_MS,
  ): Promise<ClusterMember> {
    const probe = async (): Promise<ClusterMember | null> => {
      const members = among();
      const statuses = await Promise.all(members.map((member) => member.status().catch(() => null)));
      const lead = statuses[0]?.leader ?? 0n;
      if (lead === 0n || statuses.some((status) => status?.leader !== lead)) return null;
      return members.find((_, i) => statuses[i]!.header.member_id === lead) ?? null;
    };
    return eventually('all members name the same leader', probe, timeoutMs);
  }

  async followers(): Promise<ClusterMember[]> {
    const leader = await this.leader();
    return this.running.filter((member) => member !== leader);
  }

  /** Makes a member lead. */
  async moveLeader(target: ClusterMember): Promise<void> {
    const targetID = await target.id();
    await eventually(
      `${target.name} leads`,
      async () => {
        const leader = await this.leader();
        if (leader === target) return true;
        await leader.rpc.outcome('Maintenance.MoveLeader', { targetID });
        return false;
      },
      PATIENCE_MS,
    );
  }

  async memberList(through: ClusterMember = this.running[0]!): Promise<readonly Member[]> {
    return (await through.rpc.call('Cluster.MemberList', { linearizable: true })).members;
  }

  /** Adds a member, and starts it if not told otherwise. While a member has just come, etcd refuses another for a while. */
  async add(kind: Kind, how: { isLearner?: boolean; through?: ClusterMember } = {}): Promise<ClusterMember> {
    const through = how.through ?? this.running[0]!;
    const options = await this.#plan(kind);
    const request = { peerURLs: [advertisedUrl(options)], isLearner: how.isLearner ?? false };
    await eventually(
      'a member may be added',
      async () => {
        const outcome = await through.rpc.outcome('Cluster.MemberAdd', request);
        if (outcome.ok) return true;
        assert.match(outcome.details, /unhealthy cluster|re-configuration failed|timed out|leader/);
        return false;
      },
      PATIENCE_MS,
    );
    const member = await this.join(kind, options);
    await member.server.ready();
    return member;
  }

  /** Starts a process for a member that was added already. */
  async join(
    kind: Kind,
    options: ClusterMember['options'],
    flags: readonly string[] = [],
  ): Promise<ClusterMember> {
    const initialCluster = initialClusterOf([...this.members.map((member) => member.options), options]);
    return await this.#launch(kind, {
      ...options,
      initialCluster,
      flags: [...(options.flags ?? []), '--initial-cluster-state=existing', ...flags],
    });
  }

  /** The options of a member that is to come. */
  plan(kind: Kind): Promise<ClusterMember['options']> {
    return this.#plan(kind);
  }

  /** Takes a member out of the cluster through another one, and waits for the end of its process. */
  async remove(
    member: ClusterMember,
    through = this.running.find((other) => other !== member)!,
  ): Promise<void> {
    const listed = (await this.memberList(through)).find(({ name }) => name === member.name);
    assert(listed !== undefined, `${member.name} is no member`);
    await eventually(
      `${member.name} may be removed`,
      async () => {
        const outcome = await through.rpc.outcome('Cluster.MemberRemove', { ID: listed.ID });
        // A change of which only the answer was lost.
        if (outcome.ok || /member not found/.test(outcome.details)) return true;
        assert.match(outcome.details, /unhealthy cluster|re-configuration failed|timed out|leader/);
        return false;
      },
      PATIENCE_MS,
    );
    this.forget(member);
    await member.server.ended;
  }

  /** No longer counts a member, whose process may go on. */
  forget(member: ClusterMember): void {
    this.members.splice(this.members.indexOf(member), 1);
    this.#former.push(member);
  }

  /** Runs etcdctl 3.5 with every member as an endpoint, or with those given. */
  ctl(
    args: readonly string[],
    endpoints: readonly ClusterMember[] = this.members,
    options = {},
  ): Promise<Ended> {
    const list = endpoints.map(({ address }) => address).join(',');
    return run(`${PEERS_DIR}/3.5/etcdctl`, [`--endpoints=${list}`, ...args], options);
  }

  /** Waits until all running members have applied the same, and asserts that their contents have the same hash. */
  async assertSameContents(): Promise<bigint> {
    const revision = await this.converge();
    const hashes = await Promise.all(
      this.running.map(async ({ name, kind, rpc }) => {
        const { hash, compact_revision: compactRevision } = await rpc.call('Maintenance.HashKV', {
          revision,
        });
        return { name, kind, hash, compactRevision };
      }),
    );
    for (const each of hashes) {
      assert.equal(each.compactRevision, hashes[0]!.compactRevision, inspectHashes(hashes));
      assert.equal(each.hash, hashes[0]!.hash, inspectHashes(hashes));
    }
    return revision;
  }

  /** The revision at which all running members are, once they are at the same. */
  converge(): Promise<bigint> {
    return eventually(
      'all members at the same revision',
      async () => {
        const revisions = await Promise.all(
          this.running.map(({ rpc }) =>
            rpc
              .call('KV.Range', { key: 'x', serializable: true, limit: 1 }, STATUS_DEADLINE_MS)
              .then(({ header }) => header!.revision)
              .catch(() => -1n),
          ),
        );
        const first = revisions[0]!;
        return first > 0n && revisions.every((revision) => revision === first) ? first : null;
      },
      PATIENCE_MS,
    );
  }

  /** Ends all members together. */
  async stop(): Promise<void> {
    const all = [...this.members, ...this.#former];
    for (const member of all) member.closeClient();
    // Nobody is left to whom the leadership could go, and nothing is to be kept.
    await Promise.all(all.map((member) => member.kill()));
  }

  killAll(): void {
    for (const { server } of [...this.members, ...this.#former]) server.signal('SIGKILL');
  }

  /** The last lines of every member's log. */
  logTails(): string {
    return [...this.members, ...this.#former]
      .map(
        ({ name, kind, server }) => `--- ${name} (${kind}, pid ${server.pid})\n${server.lastLines(LOG_TAIL)}`,
      )
      .join('\n');
  }

  async #plan(kind: Kind): Promise<ClusterMember['options']> {
    const position = this.#nextNumber++;
    const name = `m${position}`;
    const clientPort = await freePort();
    const peerPort = await freePort();
    return {
      name,
      clientPort,
      peerPort,
      dataDir: join(temporaryDirectory(), name),
      flags: this.#options.flags?.(kind) ?? QUICK_ELECTION,
      ...(await this.#options.place?.(position, peerPort)),
    };
  }

  async #launch(kind: Kind, options: ClusterMember['options']): Promise<ClusterMember> {
    const server = await EtcdServer.launch({ ...options, program: programOf(kind) });
    const member = new ClusterMember(kind, options, server);
    this.members.push(member);
    return member;
  }
}

/** Starts a cluster for `body` and ends it afterwards; if `body` fails, the logs of all members are shown. */
export async function withCluster(
  kinds: readonly Kind[],
  options: ClusterOptions,
  body: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.start(kinds, options);
  try {
    await body(cluster);
  } catch (error) {
    process.stderr.write(`${cluster.logTails()}\n`);
    throw error;
  } finally {
    await cluster.stop();
  }
}

function advertisedUrl(options: ClusterMember['options']): string {
  const scheme = options.peerScheme ?? 'http';
  return options.advertisedPeerUrl ?? `${scheme}://${options.host ?? '127.0.0.1'}:${options.peerPort}`;
}

export function initialClusterOf(members: readonly ClusterMember['options'][]): string {
  return members.map((options) => `${options.name}=${advertisedUrl(options)}`).join(',');
}

function inspectHashes(
  hashes: readonly { name: string; kind: Kind; hash: number; compactRevision: bigint }[],
): string {
  return hashes
    .map(
      ({ name, kind, hash, compactRevision }) =>
        `${name} (${kind}): ${hash}, compacted at ${compactRevision}`,
    )
    .join('; ');
}
