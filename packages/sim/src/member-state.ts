/**
 * Compares members that should be equal: every pair that they have with what the log says, the hash of the store at one
 * revision (HashKV), their leases, and who they think is in the cluster.
 */
import { AlarmType, RangeRequest } from '@etcd/api/etcdserverpb';
import { decodeKeyValue } from '@etcd/api/mvccpb';
import { formatClusterVersion, type Member, type Membership } from '@etcd/storage/membership';
import { executeRange, type KeyValueHash } from '@etcd/storage/mvcc';
import { readStorageVersion } from '@etcd/storage/schema';
import { isSamePair } from './checks.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

const HASH_LIMIT_MS = 60_000;
/**
 * A compaction may still be removing what it may remove. etcd's hash takes no notice of that, except at a revision at which no
 * key lives: then it is of everything that is there.
 */
const COMPACTION_MS = 1000;
/** Where little is removed between two commits it may take longer. */
const COMPACTION_LIMIT_MS = 60_000;
const EVERYTHING = { key: new Uint8Array(1), rangeEnd: new Uint8Array(1) };

export async function compareMembers(world: World): Promise<void> {
  const machines = world.activeMachines;
  for (const machine of machines) compareWithModel(world, machine);
  compareMembership(world, machines);
  compareVersions(world, machines);
  for (const machine of machines) machine.mustBeSound();
  // Leases may end meanwhile, which makes further revisions.
  const { revision } = world.model;
  await world.run(COMPACTION_MS);
  const isClean = (): boolean => machines.every(({ server }) => server?.store.isCompacting !== true);
  const areClean = await world.run(COMPACTION_LIMIT_MS, isClean);
  if (!areClean && world.model.range('\0', '\0', revision).length === 0) return;
  const hashes = new Map<Machine, KeyValueHash>();
  for (const machine of machines) {
    const { server, run } = machine;
    run?.process.run(() =>
      server?.store.hashes.hashByRevThen(revision, (error, hash) => {
        if (error === null) hashes.set(machine, hash!);
      }),
    );
  }
  const isDone = await world.run(HASH_LIMIT_MS, () => hashes.size === machines.length);
  if (!isDone) return world.violate('progress', 'no hash of the store');
  compareHashes(world, hashes);
}

/** All have the same list of members, and raft has those who vote and those who learn from it. */
function compareMembership(world: World, machines: readonly Machine[]): void {
  const lists = machines.map(({ server }) => listMembers(server!.membership.members()));
  for (const [i, list] of lists.entries()) {
    if (list !== lists[0]) {
      const both = `${machines[0]!.name} has ${lists[0]}; ${machines[i]!.name} has ${list}`;
      return world.violate('equal states', both);
    }
  }
  const members = machines[0]!.server!.membership.members();
  const voters = idsOf(members.filter(({ isLearner }) => !isLearner).map(({ id }) => id));
  const learners = idsOf(members.filter(({ isLearner }) => isLearner).map(({ id }) => id));
  for (const { name, run } of machines) {
    const { config } = run!.parts!.node.status();
    const [incoming, outgoing] = [config.voters.incoming.ids, config.voters.outgoing.ids];
    if (idsOf(incoming) === voters && outgoing.length === 0 && idsOf(config.learners.ids) === learners)
      continue;
    const raft = `voters ${idsOf(incoming)} before ${idsOf(outgoing)} learners ${idsOf(config.learners.ids)}`;
    world.violate('equal states', `raft of ${name} has ${raft}; the members are ${lists[0]}`);
  }
}

function listMembers(members: readonly Member[]): string {
  const texts = members.map(({ id, name, peerUrls, clientUrls, isLearner }) =>
    [id.toString(16), name, peerUrls.join(' '), clientUrls.join(' '), isLearner ? 'learns' : 'votes'].join(
      ' ',
    ),
  );
  return texts.sort().join(', ');
}

/** All know of the same version and downgrade; and a database is never for an earlier release than the cluster. */
function compareVersions(world: World, machines: readonly Machine[]): void {
  const texts = machines.map(({ server }) => releaseText(server!.membership));
  for (const [i, text] of texts.entries()) {
    if (text === texts[0]) continue;
    world.violate('equal states', `${machines[0]!.name} is in ${texts[0]}; ${machines[i]!.name} in ${text}`);
  }
  for (const { name, server } of machines) {
    const cluster = server!.membership.version;
    const storage = readStorageVersion(server!.backend);
    if (cluster === null || cluster.minor < FIRST_STORED_MINOR) continue;
    if (storage !== null && storage.minor >= cluster.minor) continue;
    world.violate(
      'equal states',
      `the database of ${name} is for 3.${storage?.minor}, the cluster at 3.${cluster.minor}`,
    );
  }
}

/** The first release, 3.6, that writes into the database which it is for. */
const FIRST_STORED_MINOR = 6;

export function releaseText({ version, downgrade }: Pick<Membership, 'version' | 'downgrade'>): string {
  const target = downgrade.enabled ? `, on its way down to ${downgrade.targetVersion}` : '';
  return `${version === null ? 'no version' : formatClusterVersion(version)}${target}`;
}

function idsOf(ids: readonly bigint[]): string {
  return ids
    .map((id) => id.toString(16))
    .sort()
    .join();
}

function compareHashes(world: World, hashes: ReadonlyMap<Machine, KeyValueHash>): void {
  const texts = [...hashes].map(
    ([{ name }, { hash, revision, compactRevision }]) =>
      `${name} ${hash.toString(16)} at ${revision}, compacted at ${compactRevision}`,
  );
  const isEqual = [...hashes.values()].every(({ hash, revision, compactRevision }) =>
    // A compaction leaves a hash of what there was before it, which who has come later can't know: it hashes what is left.
    [...hashes.values()].every(
      (other) =>
        revision === other.revision && (compactRevision !== other.compactRevision || hash === other.hash),
    ),
  );
  world.note(`hashes: ${texts.join('; ')}`);
  if (!isEqual) world.violate('equal states', texts.join('; '));
}

function compareWithModel(world: World, { name, server }: Machine): void {
  const { model } = world;
  if (server === null) return world.violate('equal states', `${name} does not run`);
  // Members compare themselves as well; what they say must be true.
  const { value: mismatches } = server.metrics.handles.integrityMismatchesTotal;
  if (mismatches > 0) return world.violate('equal states', `${name} has found ${mismatches} differences`);
  const { kvs, revision } = executeRange(server.store, new RangeRequest(EVERYTHING));
  if (revision !== model.revision) {
    return world.violate('equal states', `${name} is at revision ${revision}, the log at ${model.revision}`);
  }
  const { isEnabled, revision: authRevision } = server.auth;
  if (isEnabled !== model.auth.isEnabled || authRevision !== model.auth.revision) {
    const has = `${isEnabled ? 'on' : 'off'} at ${authRevision}`;
    const log = `${model.auth.isEnabled ? 'on' : 'off'} at ${model.auth.revision}`;
    return world.violate('equal states', `${name} has authentication ${has}, the log ${log}`);
  }
  const alarms = server.alarms
    .list(AlarmType.NONE)
    .map(({ memberId, alarm }) => `${memberId.toString(16)} ${alarm}`)
    .sort()
    .join();
  if (alarms !== [...model.alarms].sort().join()) {
    return world.violate(
      'equal states',
      `${name} has the alarms ${alarms}, the log ${[...model.alarms].join()}`,
    );
  }
  const expected = model.range('\0', '\0', revision);
  const isSame =
    kvs.count === expected.length &&
    expected.every((version, i) =>
      isSamePair(decodeKeyValue(kvs.buffer(i), kvs.start(i), kvs.end(i)), version),
    );
  if (!isSame) world.violate('equal states', `${name} does not have what the log says at ${revision}`);
  const leases = server.lessor.leases().map(String).sort().join();
  const expectedLeases = [...model.leases.keys()].map(String).sort().join();
  if (leases !== expectedLeases) {
    world.violate('equal states', `${name} has the leases ${leases}, the log ${expectedLeases}`);
  }
}
