/**
 * `etcdadm migrate`: the member on this host goes on as another program, on the data that it has, while the others serve. Before, between and
 * behind it is looked whether the cluster is as it should be; a program that does not come up is exchanged for the one before. Killed
 * anywhere, it is begun again and goes on.
 */

import type { ClusterAccess } from '../cluster/cluster-access.ts';
import { ClusterError } from '../cluster/cluster-error.ts';
import { pause } from '../cluster/guarded.ts';
import { type KnownCluster, knownCluster } from '../cluster/known-members.ts';
import {
  clientUrlsOf,
  formatMemberId,
  isCorrupt,
  isHealthy,
  type KnownMember,
  quorumOf,
  titleOf,
} from '../cluster/quorum.ts';
import { isFromCluster } from '../cluster/transient.ts';
import type { Exchange, MemberHost, Program } from './member-host.ts';

export interface ComparedHash {
  readonly hash: number;
  readonly compactRevision: number;
}

export interface MigrationAccess extends ClusterAccess {
  /** Of the member at an endpoint; null when it does not say. */
  hashAt(endpoint: string, revision: number): Promise<ComparedHash | null>;
  /** Of the cluster, as `3.5`; null when nobody says. */
  clusterVersion(endpoints: readonly string[]): Promise<string | null>;
  /** What the member at an endpoint runs on, as `go1.25` or `node24`; null when it does not say. */
  runtime(endpoint: string): Promise<string | null>;
}

export interface MigrateOptions {
  /** Of the member on this host. */
  readonly endpoint: string;
  /** Path or image of the program; null: back to the original. */
  readonly to: string | null;
  /** A lone member is not there while it is exchanged. */
  readonly acceptsDowntime: boolean;
  readonly isDryRun: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
  say(text: string): void;
}

const POLL_MS = 500;
/** How far behind the others a member may be that counts as caught up. */
const MAX_LAG_ENTRIES = 100;

/** Throws {@link ClusterError}; the program before runs then, unless the message says otherwise. */
export async function migrateMember(
  access: MigrationAccess,
  host: MemberHost,
  options: MigrateOptions,
): Promise<void> {
  const { say } = options;
  const program = await host.describe(options.to ?? (await host.original()));
  access.widen(host.exchange()?.others ?? []);
  const cluster = await knownCluster(access);
  const id = await localMember(access, host, options);
  const self = cluster.all.find(({ member }) => member.id === id);
  if (self === undefined)
    throw new ClusterError(`the cluster does not have member ${formatMemberId(id)} of this host`);
  const others = clientUrlsOf(cluster.all.map(({ member }) => member).filter((member) => member.id !== id));
  access.widen(others);
  const original = await host.original();
  const exchangeFor = (name: string): Exchange | null =>
    name === original ? null : { program: name, memberId: id, others };
  const former = host.exchange()?.program ?? original;
  const isSet = former === program.name;
  if (isSet && (await runsAs(access, self, program))) {
    await awaitCaughtUp(access, id, options);
    say(`${titleOf(self.member)} runs ${program.name} already`);
    return sayNext(access, options);
  }
  await checkBefore(access, cluster, self, program, options);
  if (options.isDryRun) return say(`Would exchange ${former} for ${program.name} on ${titleOf(self.member)}`);
  if (!isSet) await host.setExchange(exchangeFor(program.name));
  await leaveLead(access, cluster, self, say);
  options.signal.throwIfAborted();
  try {
    await restart(host, program.name, options);
    await awaitCaughtUp(access, id, options);
  } catch (error) {
    // Begun again, it is not known any more what ran before; the original has run once.
    await goBack(access, host, exchangeFor(isSet ? original : former), id, error, options);
  }
  say(`${titleOf(self.member)} has caught up, with the same data as the others`);
  await sayNext(access, options);
}

async function restart(host: MemberHost, program: string, { say, signal }: MigrateOptions): Promise<void> {
  say(`Stopping ${host.title}`);
  await host.stop(signal);
  say(`Starting it as ${program}`);
  await host.start();
}

/** As far as the member tells: by its release, and by what it runs on. */
async function runsAs(
  access: MigrationAccess,
  { member, status }: KnownMember,
  program: Program,
): Promise<boolean> {
  if (status === null) return false;
  if (program.version !== null && status.version !== program.version) return false;
  const runtime = await access.runtime(member.clientUrls[0]!);
  return program.isOurs === null || runtime === null || isOurs(runtime) === program.isOurs;
}

function isOurs(runtime: string): boolean {
  return !/^go\d/.test(runtime);
}

/** By the member itself, or by what was written before it was stopped. */
async function localMember(
  access: MigrationAccess,
  host: MemberHost,
  { endpoint }: MigrateOptions,
): Promise<bigint> {
  const status = await access.status(endpoint);
  const id = status?.header?.memberId ?? host.exchange()?.memberId;
  if (id !== undefined) return id;
  throw new ClusterError(
    `the member on this host does not answer at ${endpoint}: start it first, or give its --endpoint`,
  );
}

async function checkBefore(
  access: MigrationAccess,
  { all }: KnownCluster,
  self: KnownMember,
  program: Program,
  { acceptsDowntime }: MigrateOptions,
): Promise<void> {
  const refuse = (reason: string): never => {
    throw new ClusterError(`${titleOf(self.member)} is not exchanged: ${reason}; etcdadm doctor says more`);
  };
  const voters = all.filter(({ member }) => !member.isLearner);
  const others = voters.filter(({ member }) => member.id !== self.member.id);
  if (others.length === 0 && !acceptsDowntime) {
    refuse('it is the only member, and clients would have nobody: --accept-downtime');
  }
  const healthy = others.filter(isHealthy).length;
  if (others.length > 0 && !self.member.isLearner && healthy < quorumOf(voters.length)) {
    refuse(
      `without it ${healthy} of ${voters.length} would be healthy, and ${quorumOf(voters.length)} are needed`,
    );
  }
  const corrupt = all.filter(({ member }) => isCorrupt(all, member.id)).map(({ member }) => titleOf(member));
  if (corrupt.length > 0) refuse(`${corrupt.join(', ')} has the alarm CORRUPT`);
  const endpoints = all.flatMap(({ member, status }) => (status === null ? [] : member.clientUrls));
  const problem = versionProblem(program, await access.clusterVersion(endpoints));
  if (problem !== null) refuse(problem);
  if (self.status === null) return;
  const difference = await dataDifference(access, all);
  if (difference !== null) refuse(difference);
}

/** Why a program of this release can not be a member of a cluster of that version; null if it can. */
export function versionProblem(
  { name, version, isOurs }: Program,
  clusterVersion: string | null,
): string | null {
  if (version === null || clusterVersion === null) return null;
  const [target, cluster] = [minorOf(version), minorOf(clusterVersion)];
  if (target < cluster) {
    return `${name} is of release ${version}, and the cluster has version ${clusterVersion}: etcdctl downgrade enable 3.${target}.0 first`;
  }
  // Every release of Go's etcd reads the data of the one before it.
  if (isOurs !== true && target > cluster + 1) {
    return `${name} is of release ${version}, more than one above the cluster's version ${clusterVersion}: take the releases between first`;
  }
  return null;
}

function minorOf(version: string): number {
  return Number(version.split('.')[1]);
}

/** Compared at a revision that all have; null where they agree, or nothing can be compared. */
async function dataDifference(access: MigrationAccess, all: readonly KnownMember[]): Promise<string | null> {
  const answering = all.filter(({ status }) => status !== null);
  const revision = Math.min(...answering.map(({ status }) => status!.header?.revision ?? 0));
  const hashes = await Promise.all(
    answering.map(async ({ member }) => ({
      member,
      hash: await access.hashAt(member.clientUrls[0]!, revision),
    })),
  );
  for (const group of Map.groupBy(
    hashes.filter(({ hash }) => hash !== null),
    ({ hash }) => hash!.compactRevision,
  ).values()) {
    const values = new Set(group.map(({ hash }) => hash!.hash));
    if (values.size > 1) {
      return `${group.map(({ member }) => titleOf(member)).join(', ')} have different data at revision ${revision}`;
    }
  }
  return null;
}

async function leaveLead(
  access: MigrationAccess,
  { all }: KnownCluster,
  self: KnownMember,
  say: (text: string) => void,
): Promise<void> {
  if (self.status?.leader !== self.member.id) return;
  const heir = all
    .filter((known) => known.member.id !== self.member.id && isHealthy(known))
    .sort((a, b) => b.status!.raftAppliedIndex - a.status!.raftAppliedIndex)[0];
  if (heir === undefined) return;
  await access.moveLeader(self.member.clientUrls[0]!, heir.member.id);
  say(`${titleOf(heir.member)} leads now`);
}

/** Until it answers, has a leader, has applied what the others have, and has the same data. */
async function awaitCaughtUp(access: MigrationAccess, id: bigint, options: MigrateOptions): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  for (;;) {
    options.signal.throwIfAborted();
    const reason = await lagReason(access, id);
    if (reason === null) return;
    if (Date.now() >= deadline) throw new ClusterError(reason);
    await pause(options.pollMs ?? POLL_MS, options.signal);
  }
}

async function lagReason(access: MigrationAccess, id: bigint): Promise<string | null> {
  let cluster: KnownCluster;
  try {
    cluster = await knownCluster(access);
  } catch (error) {
    if (isFromCluster(error)) return error.message;
    throw error;
  }
  const { all } = cluster;
  const self = all.find(({ member }) => member.id === id);
  if (self === undefined) throw new ClusterError('the member was removed meanwhile');
  if (self.status === null) return 'it does not answer';
  if (self.status.leader === 0n) return 'it has no leader';
  const newest = Math.max(...all.map(({ status }) => status?.raftAppliedIndex ?? 0));
  const behind = newest - self.status.raftAppliedIndex;
  if (behind > MAX_LAG_ENTRIES) return `it is ${behind} entries behind`;
  return await dataDifference(access, all);
}

/** Always throws: what was asked for has not come to be. */
async function goBack(
  access: MigrationAccess,
  host: MemberHost,
  former: Exchange | null,
  id: bigint,
  error: unknown,
  options: MigrateOptions,
): Promise<never> {
  if (options.signal.aborted || !(error instanceof ClusterError)) throw error;
  const name = former?.program ?? (await host.original());
  options.say(`It does not come up (${error.message}); back to ${name}`);
  await host.setExchange(former);
  await restart(host, name, options);
  await awaitCaughtUp(access, id, options);
  throw new ClusterError(`${error.message}; ${name} runs again, and the cluster is as before`);
}

const UNKNOWN = 'unknown';

async function sayNext(access: MigrationAccess, { say, to }: MigrateOptions): Promise<void> {
  const { all } = await knownCluster(access);
  const lines = await Promise.all(
    all.map(async ({ member, status }) => {
      const runtime = status === null ? null : await access.runtime(member.clientUrls[0]!);
      return {
        title: titleOf(member),
        version: status?.version ?? 'does not answer',
        runtime: runtime ?? UNKNOWN,
      };
    }),
  );
  say('');
  for (const { title, version, runtime } of lines) say(`  ${title}: ${version} on ${runtime}`);
  // Who does not say what it runs on may run anything.
  const kinds = new Set(lines.map(({ runtime }) => (runtime === UNKNOWN ? null : isOurs(runtime))));
  if (kinds.size === 1 && !kinds.has(null)) return say('All members run the same kind of program.');
  say(`Next, on one of the others: etcdadm migrate${to === null ? ' --back' : ''}`);
}
