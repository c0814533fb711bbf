/**
 * What an operator does to a cluster of several releases, drawn from a seed: members are added, as learners or at once, promoted,
 * removed, killed, stopped, started again as another program, asked for snapshots, told to lead. Everybody goes on
 * serving, and in the end all have the same contents.
 *
 *   ETCD_TEST_SEED=7 ETCD_TEST_STEPS=100 node --test tests/interop/cluster/operator.test.ts
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import {
  type Cluster,
  type ClusterMember,
  type Kind,
  QUICK_ELECTION,
  withCluster,
} from '../../support/cluster.ts';
import { needs, peer } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const STEPS = Number(process.env['ETCD_TEST_STEPS'] ?? 8);
const SEED = Number(process.env['ETCD_TEST_SEED'] ?? 5);
const MAX_MEMBERS = 5;
const SNAPSHOT_COUNT = 30;
const PUTS_PER_STEP = 15;

function flags(kind: Kind): string[] {
  const own = [...QUICK_ELECTION, `--snapshot-count=${SNAPSHOT_COUNT}`];
  if (kind === '3.4') return own;
  const name = kind === '3.5' ? 'experimental-snapshot-catchup-entries' : 'snapshot-catchup-entries';
  return [...own, `--${name}=${SNAPSHOT_COUNT}`];
}

class Operator {
  readonly steps: string[] = [];
  readonly #cluster: Cluster;
  readonly #kinds: readonly Kind[];
  readonly #random: SeededRandom;
  #puts = 0;

  constructor(cluster: Cluster, kinds: readonly Kind[], random: SeededRandom) {
    this.#cluster = cluster;
    this.#kinds = kinds;
    this.#random = random;
  }

  async step(): Promise<void> {
    const actions = [this.#add, this.#remove, this.#restart, this.#exchange, this.#lead, this.#snapshot];
    await this.#pick(actions).call(this);
    await this.#write();
  }

  /** Writes through every member. */
  async #write(): Promise<void> {
    for (let i = 0; i < PUTS_PER_STEP; i++) {
      const { rpc } = this.#cluster.members[i % this.#cluster.members.length]!;
      await rpc.call('KV.Put', { key: `key/${i}`, value: `${this.#puts++}` });
    }
  }

  async #add(): Promise<void> {
    if (this.#cluster.members.length >= MAX_MEMBERS) return await this.#remove();
    const kind = this.#pick(await this.#possible());
    const through = this.#member();
    const isLearner = this.#random.chance(0.5);
    this.steps.push(`add ${kind}${isLearner ? ' as a learner' : ''} through ${describe(through)}`);
    const member = await this.#cluster.add(kind, { through, isLearner });
    if (!isLearner) return;
    const ID = await member.id();
    await eventually('the learner is promoted', async () => {
      const outcome = await this.#member(member).rpc.outcome('Cluster.MemberPromote', { ID });
      if (!outcome.ok)
        assert.match(outcome.details, /in sync with leader|not a learner|unhealthy|leader|timed out/);
      return outcome.ok || /not a learner/.test(outcome.details);
    });
  }

  async #remove(): Promise<void> {
    if (this.#cluster.members.length <= 3) return await this.#add();
    const member = this.#member();
    this.steps.push(`remove ${describe(member)}`);
    await this.#cluster.remove(member, this.#member(member));
    await this.#cluster.leader();
  }

  async #restart(): Promise<void> {
    const member = this.#member();
    const isKill = this.#random.chance(0.5);
    this.steps.push(`${isKill ? 'kill' : 'stop'} ${describe(member)}, and start it again`);
    await (isKill ? member.kill() : member.stop());
    await this.#othersWrite(member);
    // It may have been exchanged since it came, for a program that has other flags.
    await member.start(member.kind, { flags: flags(member.kind) });
  }

  /** Another program goes on with a member's directory: ours, or the same release or a later one. */
  async #exchange(): Promise<void> {
    const member = this.#member();
    const kind = this.#pick(await this.#possible());
    this.steps.push(`exchange ${describe(member)} for ${kind}`);
    await member.stop();
    await this.#othersWrite(member);
    await member.start(kind, { flags: flags(kind) });
  }

  async #lead(): Promise<void> {
    const member = this.#member();
    this.steps.push(`${describe(member)} leads`);
    await this.#cluster.moveLeader(member);
  }

  async #snapshot(): Promise<void> {
    const member = this.#member();
    this.steps.push(`snapshot of ${describe(member)}`);
    const file = join(temporaryDirectory(), 'snapshot.db');
    const args = [`--endpoints=${member.address}`, 'snapshot', 'save', file];
    const { code, stderr } = await run(peer('3.5', 'etcdctl'), args);
    assert.equal(code, 0, stderr);
  }

  /** More than the log in memory keeps, sometimes: then the member gets a database. */
  async #othersWrite(except: ClusterMember): Promise<void> {
    const count = this.#random.chance(0.5) ? 3 * SNAPSHOT_COUNT : 3;
    await this.#cluster.leader(() => this.#cluster.members.filter((member) => member !== except));
    for (let i = 0; i < count; i++) {
      await this.#member(except).rpc.call('KV.Put', { key: `away/${i % 20}`, value: `${this.#puts++}` });
    }
  }

  /** Kinds that can be in the cluster, also if it is about to be raised as far as its members can follow. */
  async #possible(): Promise<Kind[]> {
    const response = await fetch(`${this.#cluster.members[0]!.server.clientUrl}/version`);
    const { etcdcluster } = (await response.json()) as { etcdcluster: string };
    const oldest = Math.min(...this.#cluster.members.map(({ kind }) => minorOf(kind)));
    const lowest = Math.max(oldest, Number(etcdcluster.split('.')[1]));
    return this.#kinds.filter((kind) => minorOf(kind) >= lowest);
  }

  #member(except?: ClusterMember): ClusterMember {
    return this.#pick(this.#cluster.members.filter((member) => member !== except));
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }
}

function minorOf(kind: Kind): number {
  return kind === 'ours' ? 7 : Number(kind.slice(2));
}

function describe({ name, kind }: ClusterMember): string {
  return `${name} (${kind})`;
}

for (const kinds of [
  ['3.4', '3.5', 'ours'],
  ['3.5', '3.6', 'ours'],
  ['3.6', '3.7', 'ours'],
  ['3.7', 'ours', 'ours'],
] as const satisfies readonly (readonly Kind[])[]) {
  test(
    `an operator at work: ${kinds.join(' + ')}`,
    needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6', 'etcd 3.7'),
    () =>
      withCluster(kinds, { flags }, async (cluster) => {
        const operator = new Operator(cluster, kinds, new SeededRandom(SEED));
        try {
          for (let i = 0; i < STEPS; i++) await operator.step();
          await cluster.assertSameContents();
        } catch (error) {
          throw new Error(`seed ${SEED}: ${operator.steps.join('; ')}`, { cause: error });
        }
      }),
  );
}
