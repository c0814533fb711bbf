/**
 * `etcdadm member replace`: one member goes, another comes in its place, never at the price of the quorum. The steps are removal, addition
 * as a learner, the start of the new member, which is its host's business, and its promotion. After each of them, and within each, the
 * command may be killed and begun again: what is to be done follows from the members that there are, and from a note of what was meant.
 */
import type { Member } from '@etcd/api/etcdserverpb';
import type { ClusterAccess } from '../cluster/cluster-access.ts';
import { ClusterError } from '../cluster/cluster-error.ts';
import { pause } from '../cluster/guarded.ts';
import { initialMembers } from '../cluster/join.ts';
import { type KnownCluster, knownCluster } from '../cluster/known-members.ts';
import { promoteWhenReady } from '../cluster/promote.ts';
import {
  clientUrlsOf,
  formatMemberId,
  isHealthy,
  type KnownMember,
  removalProblem,
  titleOf,
} from '../cluster/quorum.ts';
import { removeMember } from '../cluster/remove-member.ts';
import { isFromCluster } from '../cluster/transient.ts';
import type { NoteKeeper, ReplacementNote } from './replacement-note.ts';

export interface ReplaceOptions {
  /** Of the member that goes, and of the one that comes. */
  readonly name: string;
  /** Of the member that comes; empty: those of the one that goes. */
  readonly peerUrls: readonly string[];
  /** Of the whole cluster, for the host of the new member. */
  readonly endpoints: readonly string[];
  /** How long the new member may take to start and catch up. */
  readonly timeoutMs: number;
  readonly isDryRun: boolean;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
  say(text: string): void;
}

/** Throws {@link ClusterError} for what would lose the quorum, or can not be gone on with. */
export async function replaceMember(
  access: ClusterAccess,
  notes: NoteKeeper,
  options: ReplaceOptions,
): Promise<void> {
  const cluster = await knownCluster(access);
  access.widen(clientUrlsOf(cluster.all.map(({ member }) => member)));
  const note = noteOf(cluster, notes, options);
  const { say } = options;
  if (options.isDryRun) return say(planOf(cluster, note));
  notes.write(note);
  await removeOld(access, cluster, note, options);
  options.signal.throwIfAborted();
  const id = await addNew(access, note, options);
  await promoteWhenReady(access, id, {
    title: note.name,
    timeoutMs: options.timeoutMs,
    whereToLook: 'start it on its host',
    signal: options.signal,
    say,
    ...(options.pollMs === undefined ? {} : { pollMs: options.pollMs }),
  });
  notes.remove(note);
  say(`${note.name} is replaced. How the cluster is: etcdadm doctor`);
}

/** What is meant: as it was begun, or anew. */
function noteOf(
  { clusterId, all }: KnownCluster,
  notes: NoteKeeper,
  options: ReplaceOptions,
): ReplacementNote {
  const { name, peerUrls, say } = options;
  const begun = notes.find(clusterId, name);
  if (begun !== null) {
    if (peerUrls.length > 0 && !isSame(peerUrls, begun.peerUrls)) {
      throw new ClusterError(
        `a replacement of ${name} by ${begun.peerUrls.join()} is under way: leave --peer-urls out to go on with it`,
      );
    }
    say(`Going on with the replacement of ${name}`);
    return begun;
  }
  const named = all.filter(({ member }) => member.name === name || formatMemberId(member.id) === name);
  if (named.length > 1)
    throw new ClusterError(
      `${named.length} members are called ${name}: give the id of the one that is meant`,
    );
  const [old] = named;
  if (old === undefined) return noteOfUnknown(clusterId, all, options);
  return {
    clusterId,
    name: old.member.name || name,
    oldId: old.member.id,
    peerUrls: peerUrls.length > 0 ? peerUrls : old.member.peerUrls,
  };
}

/** The member is gone, and there is no note: begun on another machine, or by hand. Who it was is known by its addresses. */
function noteOfUnknown(
  clusterId: bigint,
  all: readonly KnownMember[],
  { name, peerUrls }: ReplaceOptions,
): ReplacementNote {
  const learner = all.find(({ member }) => member.isLearner && isSame(member.peerUrls, peerUrls));
  if (learner !== undefined) return { clusterId, name, oldId: 0n, peerUrls };
  const names = all.map(({ member }) => titleOf(member)).join(', ');
  throw new ClusterError(
    `no member is called ${name} (there are ${names}); one that is removed already is gone on with by the --peer-urls of the new one`,
  );
}

/** In whatever order: members are known by the whole of their URLs. */
function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length > 0 && [...a].sort().join() === [...b].sort().join();
}

async function removeOld(
  access: ClusterAccess,
  cluster: KnownCluster,
  note: ReplacementNote,
  options: ReplaceOptions,
): Promise<void> {
  const { all } = cluster;
  const { say } = options;
  const old = all.find(({ member }) => member.id === note.oldId);
  if (old === undefined) return;
  checkRemoval(all, note);
  await leaveLead(access, all, old, say);
  await removeMember(access, note.oldId, options);
  say(`Removed ${titleOf(old.member)}, member ${formatMemberId(note.oldId)}`);
}

function checkRemoval(all: readonly KnownMember[], note: ReplacementNote): void {
  const refuse = (reason: string): never => {
    throw new ClusterError(`${note.name} is not replaced: ${reason}`);
  };
  const problem = removalProblem(all, note.oldId);
  if (problem !== null) refuse(problem);
  const others = all.filter(({ member }) => member.id !== note.oldId).map(({ member }) => member);
  const learner = others.find(({ isLearner }) => isLearner);
  if (learner !== undefined) {
    refuse(
      `${titleOf(learner)} is a learner, and a cluster has one at a time: promote it or remove it first`,
    );
  }
  const taken = others.find(({ peerUrls }) => peerUrls.some((url) => note.peerUrls.includes(url)));
  if (taken !== undefined) refuse(`${taken.peerUrls.join()} is where ${titleOf(taken)} is`);
  const unstarted = others.find(({ name }) => name === '');
  if (unstarted !== undefined) refuse(`${titleOf(unstarted)} has never started: start it or remove it first`);
}

/** Whoever leads hands over first: its removal would cost an election. */
async function leaveLead(
  access: ClusterAccess,
  all: readonly KnownMember[],
  old: KnownMember,
  say: (text: string) => void,
): Promise<void> {
  if (old.status?.leader !== old.member.id) return;
  const heir = all
    .filter((known) => known.member.id !== old.member.id && isHealthy(known))
    .sort((a, b) => b.status!.raftAppliedIndex - a.status!.raftAppliedIndex)[0];
  const [endpoint] = old.member.clientUrls;
  if (heir === undefined || endpoint === undefined) return;
  await access.moveLeader(endpoint, heir.member.id);
  say(`${titleOf(heir.member)} leads now`);
}

/** Returns the id of the new member, which may be there already. */
async function addNew(
  access: ClusterAccess,
  note: ReplacementNote,
  options: ReplaceOptions,
): Promise<bigint> {
  const deadline = Date.now() + options.timeoutMs;
  for (;;) {
    const { members } = await access.membership();
    const there = members.find(({ id, peerUrls }) => id !== note.oldId && isSame(peerUrls, note.peerUrls));
    if (there !== undefined) {
      if (there.name === '') tellHost(members, there, note, options);
      return there.id;
    }
    try {
      const id = await access.addLearner(note.peerUrls);
      options.say(`Added ${note.name} as learner ${formatMemberId(id)}`);
    } catch (error) {
      if (!isFromCluster(error)) throw error;
      // The others have to notice each other first; an attempt whose answer was lost is found by the next look.
      options.signal.throwIfAborted();
      if (Date.now() >= deadline) {
        throw new ClusterError(
          `${note.name} is removed, and the cluster takes no new member: ${error.message}; run it again to go on`,
        );
      }
      await pause(options.pollMs ?? ADD_PAUSE_MS, options.signal);
    }
  }
}

const ADD_PAUSE_MS = 1_000;

function tellHost(
  members: readonly Member[],
  self: Member,
  note: ReplacementNote,
  options: ReplaceOptions,
): void {
  const { say, endpoints } = options;
  const list = initialMembers(members, self.id, note.name);
  say('On its host, with an empty data directory:');
  const secure = endpoints.find((endpoint) => endpoint.startsWith('https://'));
  if (secure !== undefined) say(`  etcdadm join ${secure} --name ${note.name} --remove-data`);
  say(`  or with a unit of your own: ETCD_NAME=${note.name} ETCD_INITIAL_CLUSTER_STATE=existing`);
  say(`    ETCD_INITIAL_CLUSTER=${list}`);
  say(`    ETCD_INITIAL_ADVERTISE_PEER_URLS=${note.peerUrls.join()}`);
}

function planOf({ all }: KnownCluster, note: ReplacementNote): string {
  const old = all.find(({ member }) => member.id === note.oldId);
  if (old !== undefined) checkRemoval(all, note);
  const removal = old === undefined ? 'it is removed already' : `remove ${formatMemberId(note.oldId)}`;
  return `Would replace ${note.name}: ${removal}, add ${note.peerUrls.join()} as a learner, wait until it is in sync, promote it`;
}
