/** What happens to members and their network, drawn from a seed: each begins, lasts for a while, and ends. */
import type { SeededRandom } from '@etcd/base';
import type { Cluster, ClusterMember, Kind } from '../support/cluster.ts';
import type { Namespaces } from '../support/namespaces.ts';
import { eventually } from '../support/run.ts';
import { DISK_FAULTS, FailingDisk } from './failing-disk.ts';
import { flagsOf } from './member-flags.ts';

export interface Fault {
  readonly kind: string;
  /** Whom it befalls. */
  readonly text: string;
  readonly begin: () => Promise<void> | void;
  /** Everything is as before; members that ended run again. */
  readonly end: () => Promise<void> | void;
}

export interface Surroundings {
  readonly cluster: Cluster;
  /** The programs of its members. */
  readonly kinds: readonly Kind[];
  /** null: this machine has none, and the network is left alone. */
  readonly namespaces: Namespaces | null;
  readonly random: SeededRandom;
  /** Whether the disks may fail. */
  readonly hasDiskFaults: boolean;
}

export const FAULT_KINDS = [
  'kill',
  'kill all',
  'stop',
  'pause',
  'isolate',
  'isolate the leader',
  'one direction',
  'split',
  'failing disk',
  'slow disk',
  'other program',
  'move the leader',
  'defragment',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** As long as it may take until something is written, on a busy machine. */
const DISK_PATIENCE_MS = 40_000;
const ADMIN_DEADLINE_MS = 10_000;

/** The kinds that can happen here. */
export function possibleKinds({ kinds, namespaces, hasDiskFaults }: Surroundings): FaultKind[] {
  const isMixed = new Set(kinds).size > 1;
  return FAULT_KINDS.filter((kind) => {
    if (kind === 'isolate' || kind === 'isolate the leader' || kind === 'one direction' || kind === 'split') {
      return namespaces !== null;
    }
    if (kind === 'failing disk' || kind === 'slow disk') return hasDiskFaults;
    return kind !== 'other program' || isMixed;
  });
}

export async function drawFault(kind: FaultKind, around: Surroundings): Promise<Fault> {
  const { cluster, random } = around;
  const victim = random.pick(cluster.members);
  switch (kind) {
    case 'kill':
      return fault(
        kind,
        victim.name,
        () => ended(victim.kill()),
        () => startAgain(victim),
      );
    case 'kill all':
      return fault(
        kind,
        'all',
        () => ended(Promise.all(cluster.members.map((member) => member.kill()))),
        () => ended(Promise.all(cluster.members.map((member) => startAgain(member)))),
      );
    case 'stop':
      return fault(
        kind,
        victim.name,
        () => ended(victim.stop()),
        () => startAgain(victim),
      );
    case 'pause':
      return fault(
        kind,
        victim.name,
        () => victim.server.signal('SIGSTOP'),
        () => victim.server.signal('SIGCONT'),
      );
    case 'failing disk':
      return failingDisk(victim, random);
    case 'slow disk':
      return slowDisk(victim);
    case 'other program':
      return otherProgram(around);
    case 'move the leader':
      return fault(
        kind,
        victim.name,
        () => moveLeader(cluster, victim),
        () => {},
      );
    case 'defragment':
      return fault(
        kind,
        victim.name,
        () => ended(victim.rpc.outcome('Maintenance.Defragment', {}, ADMIN_DEADLINE_MS)),
        () => {},
      );
    default:
      return networkFault(kind, around.namespaces!, around, victim);
  }
}

function fault(kind: FaultKind, text: string, begin: Fault['begin'], end: Fault['end']): Fault {
  return { kind, text, begin, end };
}

/** Releases spell some flags differently. */
function startAgain(member: ClusterMember, kind: Kind = member.kind): Promise<void> {
  return member.start(kind, { flags: flagsOf(kind) });
}

async function ended(promise: Promise<unknown>): Promise<void> {
  await promise;
}

async function networkFault(
  kind: FaultKind,
  namespaces: Namespaces,
  { cluster, random }: Surroundings,
  victim: ClusterMember,
): Promise<Fault> {
  const heal = (): void => namespaces.heal();
  const position = cluster.members.indexOf(victim);
  if (kind === 'isolate') return fault(kind, victim.name, () => namespaces.isolate(position), heal);
  if (kind === 'isolate the leader') {
    const leader = await cluster.leader();
    return fault(kind, leader.name, () => namespaces.isolate(cluster.members.indexOf(leader)), heal);
  }
  const others = [...cluster.members.keys()].filter((other) => other !== position);
  if (kind === 'one direction') {
    const other = random.pick(others);
    const text = `${victim.name} to ${cluster.at(other).name}`;
    return fault(kind, text, () => namespaces.lose(position, other), heal);
  }
  const isHere = cluster.members.map(() => random.chance(0.5));
  const split = (): void => {
    for (const from of isHere.keys()) {
      for (const to of isHere.keys()) if (isHere[from] !== isHere[to]) namespaces.lose(from, to);
    }
  };
  return fault(kind, isHere.map((here) => (here ? 'a' : 'b')).join(''), split, heal);
}

function failingDisk(victim: ClusterMember, random: SeededRandom): Fault {
  const disk = random.pick(DISK_FAULTS.filter(({ isFatal }) => isFatal));
  let failing: FailingDisk | null = null;
  return fault(
    'failing disk',
    `${victim.name}: ${disk.name}`,
    async () => {
      failing = new FailingDisk(victim.server.pid, disk);
      await eventually(`${victim.name} ends of its disk`, () => !victim.isRunning, DISK_PATIENCE_MS);
    },
    async () => {
      await failing?.mend();
      await startAgain(victim);
    },
  );
}

function slowDisk(victim: ClusterMember): Fault {
  const disk = DISK_FAULTS.find(({ isFatal }) => !isFatal)!;
  let slow: FailingDisk | null = null;
  return fault(
    'slow disk',
    victim.name,
    () => {
      slow = new FailingDisk(victim.server.pid, disk);
    },
    () => slow?.mend(),
  );
}

/** A member goes on as the other program, on its data. The first stays what it is, so that the cluster's version does. */
function otherProgram({ cluster, kinds, random }: Surroundings): Fault {
  const victim = random.pick(cluster.members.slice(1));
  const other: Kind = kinds.find((kind) => kind !== victim.kind) ?? victim.kind;
  return fault(
    'other program',
    `${victim.name} from ${victim.kind} to ${other}`,
    () => ended(random.chance(0.5) ? victim.kill() : victim.stop()),
    () => startAgain(victim, other),
  );
}

async function moveLeader(cluster: Cluster, target: ClusterMember): Promise<void> {
  const leader = await cluster.leader();
  if (leader === target) return;
  const targetID = await target.id();
  await leader.rpc.outcome('Maintenance.MoveLeader', { targetID }, ADMIN_DEADLINE_MS);
}
