/** What happens to members and their network, drawn from a seed: each begins, lasts for a while, and ends. */
import type { SeededRandom } from '@etcd/base';
import type { Cluster, ClusterMember, Kind } from '../support/cluster.ts';
import type { Namespaces } from '../support/namespaces.ts';
import type { PeerProxies } from '../support/peer-proxies.ts';
import { eventually } from '../support/run.ts';
import { DISK_FAULTS, FailingDisk } from './failing-disk.ts';
import type { MemberDisks } from './member-disks.ts';

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
  /** Between the members, over TLS; null: they talk to each other. */
  readonly proxies: PeerProxies | null;
  /** null: their power can't be cut. */
  readonly disks: MemberDisks | null;
  /** Releases spell some flags differently. */
  readonly flags: (kind: Kind) => readonly string[];
  readonly random: SeededRandom;
  readonly hasOtherClocks: boolean;
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
  'power cut',
  'power cut of all',
  'damaged bytes',
  'reset connections',
  'other clock',
  'alarm',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** As long as it may take until something is written, on a busy machine. */
const DISK_PATIENCE_MS = 40_000;
const ADMIN_DEADLINE_MS = 10_000;
const DAMAGED_SHARES = [0.002, 0.01, 0.05];
const OTHER_CLOCK = new URL('other-clock.ts', import.meta.url).pathname;
const DAY_MS = 86_400_000;
const MAX_OFFSET_DAYS = 400;
const MAX_SLOWNESS_PERCENT = 5;

/** The kinds that can happen here. */
export function possibleKinds(around: Surroundings): FaultKind[] {
  const { kinds, namespaces, proxies, disks, hasDiskFaults } = around;
  const isMixed = new Set(kinds).size > 1;
  return FAULT_KINDS.filter((kind) => {
    if (kind === 'isolate' || kind === 'isolate the leader' || kind === 'one direction' || kind === 'split') {
      return namespaces !== null;
    }
    if (kind === 'failing disk' || kind === 'slow disk') return hasDiskFaults;
    if (kind === 'power cut' || kind === 'power cut of all') return disks !== null;
    if (kind === 'damaged bytes' || kind === 'reset connections') return proxies !== null;
    if (kind === 'other clock') return around.hasOtherClocks && kinds.includes('ours');
    return kind !== 'other program' || isMixed;
  });
}

export async function drawFault(kind: FaultKind, around: Surroundings): Promise<Fault> {
  const { cluster, random } = around;
  const victim = random.pick(cluster.members);
  switch (kind) {
    case 'kill':
    case 'kill all':
    case 'stop':
    case 'pause':
      return processFault(kind, victim, around);
    case 'failing disk':
      return failingDisk(victim, around);
    case 'slow disk':
      return slowDisk(victim);
    case 'other program':
      return otherProgram(around);
    case 'power cut':
      return powerCut(kind, [victim], around);
    case 'power cut of all':
      return powerCut(kind, cluster.members, around);
    case 'damaged bytes':
      return damagedBytes(around);
    case 'reset connections':
      return fault(
        kind,
        'all',
        () => around.proxies!.reset(),
        () => {},
      );
    case 'other clock':
      return otherClock(around);
    case 'alarm':
      return alarm(victim);
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

/** What happens to processes alone. */
function processFault(
  kind: 'kill' | 'kill all' | 'stop' | 'pause',
  victim: ClusterMember,
  around: Surroundings,
): Fault {
  const { members } = around.cluster;
  const startAgain = (member: ClusterMember): Promise<void> => restarted(member, around);
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
        () => ended(Promise.all(members.map((member) => member.kill()))),
        () => ended(Promise.all(members.map((member) => startAgain(member)))),
      );
    case 'stop':
      return fault(
        kind,
        victim.name,
        () => ended(victim.stop()),
        () => startAgain(victim),
      );
    default:
      return fault(
        kind,
        victim.name,
        () => victim.server.signal('SIGSTOP'),
        () => victim.server.signal('SIGCONT'),
      );
  }
}

function restarted(
  member: ClusterMember,
  { flags }: Surroundings,
  kind: Kind = member.kind,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  return member.start(kind, { flags: flags(kind), env });
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

function failingDisk(victim: ClusterMember, around: Surroundings): Fault {
  const disk = around.random.pick(DISK_FAULTS.filter(({ isFatal }) => isFatal));
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
      await restarted(victim, around);
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
function otherProgram(around: Surroundings): Fault {
  const { cluster, kinds, random } = around;
  const victim = random.pick(cluster.members.slice(1));
  const other: Kind = kinds.find((kind) => kind !== victim.kind) ?? victim.kind;
  return fault(
    'other program',
    `${victim.name} from ${victim.kind} to ${other}`,
    () => ended(random.chance(0.5) ? victim.kill() : victim.stop()),
    () => restarted(victim, around, other),
  );
}

async function moveLeader(cluster: Cluster, target: ClusterMember): Promise<void> {
  const leader = await cluster.leader();
  if (leader === target) return;
  const targetID = await target.id();
  await leader.rpc.outcome('Maintenance.MoveLeader', { targetID }, ADMIN_DEADLINE_MS);
}

/** The processes stop where they are, nothing of what they have written reaches a disk any more, and all of memory is lost. */
function powerCut(kind: FaultKind, victims: readonly ClusterMember[], around: Surroundings): Fault {
  const { cluster } = around;
  const disks = around.disks!;
  const positions = victims.map((victim) => cluster.members.indexOf(victim));
  return fault(
    kind,
    victims.length === 1 ? victims[0]!.name : 'all',
    async () => {
      for (const { server } of victims) server.signal('SIGSTOP');
      disks.cut(positions);
      await Promise.all(victims.map((victim) => victim.kill()));
    },
    async () => {
      await Promise.all(positions.map((position) => disks.restore(position)));
      await Promise.all(victims.map((victim) => restarted(victim, around)));
    },
  );
}

/** Some of the bytes between members become others. TCP's own sums are right: only who reads them can notice. */
function damagedBytes({ proxies, random }: Surroundings): Fault {
  const share = random.pick(DAMAGED_SHARES);
  return fault(
    'damaged bytes',
    `one chunk of ${Math.round(1 / share)}`,
    () => {
      proxies!.damage = (chunk) => {
        if (chunk.length > 0 && random.chance(share))
          chunk[random.below(chunk.length)]! ^= 1 << random.below(8);
      };
    },
    () => {
      proxies!.damage = null;
    },
  );
}

/** A member of this program goes on with a slow clock, and in another year, which may be one that it had been in. */
function otherClock(around: Surroundings): Fault {
  const { cluster, random } = around;
  const ours = cluster.members.filter(({ kind }) => kind === 'ours');
  const victim = random.pick(ours.length > 0 ? ours : cluster.members);
  const offsetMs = Math.round((random.below(2 * MAX_OFFSET_DAYS) - MAX_OFFSET_DAYS) * DAY_MS);
  const rate = 1 - random.below(MAX_SLOWNESS_PERCENT + 1) / 100;
  const env = { TEST_CLOCK: `${offsetMs},${rate}`, ETCD_NODE_OPTIONS: `--import=${OTHER_CLOCK}` };
  return fault(
    'other clock',
    `${victim.name}: ${Math.round(offsetMs / DAY_MS)} days, ${rate}`,
    () => ended(random.chance(0.5) ? victim.kill() : victim.stop()),
    () => restarted(victim, around, victim.kind, victim.kind === 'ours' ? env : {}),
  );
}

/** The cluster takes a member for one without space: nothing is written until somebody says that there is. */
function alarm(victim: ClusterMember): Fault {
  const change = async (action: 'ACTIVATE' | 'DEACTIVATE'): Promise<boolean> => {
    const request = { action, memberID: await victim.id(), alarm: 'NOSPACE' };
    return (await victim.rpc.outcome('Maintenance.Alarm', request, ADMIN_DEADLINE_MS)).ok;
  };
  return fault(
    'alarm',
    victim.name,
    () => ended(change('ACTIVATE')),
    () => ended(eventually('the alarm is off', () => change('DEACTIVATE'), DISK_PATIENCE_MS)),
  );
}
