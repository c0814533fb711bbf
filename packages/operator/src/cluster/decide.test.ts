import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { ModelCluster } from '../testing/model-cluster.ts';
import { ModelOperator, NO_FAULTS, type OperatorFaults } from '../testing/model-operator.ts';
import { ROLES } from './certificates.ts';

const STORAGE = { volumeSizeRequest: '1Gi' };

function spec(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { size: 3, version: 'v3.6.4', storageSpec: STORAGE, ...fields };
}

interface World {
  readonly cluster: ModelCluster;
  readonly operator: ModelOperator;
}

function world(fields: Record<string, unknown> = {}, seed = 1, faults: OperatorFaults = NO_FAULTS): World {
  const random = new SeededRandom(seed);
  const cluster = new ModelCluster(random, spec(fields));
  return { cluster, operator: new ModelOperator(cluster, random, faults) };
}

/** Lets time pass until `isReached`, and says how many steps that took. */
function until({ cluster, operator }: World, what: string, isReached: () => boolean, most = 400): number {
  for (let steps = 0; steps < most; steps++) {
    if (isReached()) return steps;
    operator.step();
    assert.deepEqual(cluster.violations, []);
  }
  assert.fail(
    `${what}: not within ${most} steps; ${operator.last?.phase} ${operator.last?.reason}: ${operator.last?.message}`,
  );
}

const isAvailable =
  ({ operator }: World) =>
  (): boolean =>
    operator.last?.phase === 'Available';

function assertAsDeclared({ cluster }: World): void {
  const { size } = cluster.rawSpec;
  assert.equal(cluster.members.length, size);
  assert(cluster.members.every(({ healthy, isLearner }) => healthy && !isLearner));
  assert.equal(cluster.workload?.replicas, size);
  assert.equal(cluster.record?.mayStartEmpty, null);
  assert.equal(Object.keys(cluster.record?.disks ?? {}).length, size);
  assert(cluster.pods.every((pod) => pod.template === cluster.template));
}

for (const storage of ['volumes', 'no volumes']) {
  const fields = storage === 'volumes' ? {} : { storageSpec: undefined };

  test(`a cluster is made from its size, grows and shrinks: ${storage}`, () => {
    const it = world(fields);
    until(it, 'three members', isAvailable(it));
    assertAsDeclared(it);
    for (const size of [5, 1, 4, 3]) {
      it.cluster.rawSpec['size'] = size;
      it.operator.step();
      until(it, `${size} members`, isAvailable(it));
      assertAsDeclared(it);
    }
  });

  test(`a member whose disk is gone is replaced, and the others are not touched: ${storage}`, () => {
    const it = world(fields);
    until(it, 'three members', isAvailable(it));
    const before = it.cluster.members.map(({ id }) => id);
    it.cluster.loseDisk(1);
    it.operator.step();
    until(it, 'repaired', isAvailable(it));
    assertAsDeclared(it);
    assert.equal(it.cluster.members.filter(({ id }) => before.includes(id)).length, 2);
  });

  test(`a new image goes from member to member, the leader last: ${storage}`, () => {
    const it = world(fields);
    until(it, 'three members', isAvailable(it));
    const leader = it.cluster.leaderId;
    const wasLast = it.cluster.pods.find(({ disk }) => disk.memberId === leader)!;
    it.cluster.rawSpec['version'] = 'v3.7.0';
    it.cluster.declared = 't-v3.7.0';
    it.operator.step();
    until(
      it,
      'all but one',
      () => it.cluster.pods.filter(({ template }) => template !== 't-v3.7.0').length === 1,
    );
    assert(it.cluster.pods.includes(wasLast));
    until(it, 'rolled out', isAvailable(it));
    assertAsDeclared(it);
  });
}

test('a cluster with TLS is made, and goes through another authority without a member that does not believe the others', () => {
  const it = world({ tls: { provider: 'auto' } });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  assertAsDeclared(it);
  const first = cluster.certificates.authority!.id;
  assert(cluster.members.every(({ peerUrls }) => peerUrls[0]!.startsWith('https:')));
  const pods = cluster.pods.map(({ uid }) => uid);
  const serverUntil = cluster.certificates.certificates.get('server')!.notAfterMs;
  until(
    it,
    'a new certificate',
    () => cluster.certificates.certificates.get('server')!.notAfterMs > serverUntil,
    1000,
  );
  assert.deepEqual(
    cluster.pods.map(({ uid }) => uid),
    pods,
    'nobody was restarted for it',
  );
  until(it, 'another authority', () => cluster.certificates.authority!.id !== first, 1000);
  until(it, 'that all certificates are signed by', () =>
    cluster.certificates
      .observe()
      .certificates.every(({ issuerId }) => issuerId === cluster.certificates.authority!.id),
  );
  until(it, 'rolled out', isAvailable(it));
  until(it, 'the first forgotten', () => !cluster.certificates.trust.includes(first), 1000);
  until(it, 'rolled out', isAvailable(it));
  assertAsDeclared(it);
});

test('another authority does not wait for a window when certificates that it has to sign would expire before', () => {
  const windows = [{ start: '23:00', durationMinutes: 15 }];
  const it = world({ tls: { provider: 'auto' }, maintenance: { windows } });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  const first = cluster.certificates.authority!.id;
  until(it, 'a window waited for', () => it.operator.last?.reason === 'AwaitingWindow', 1000);
  until(it, 'another authority', () => cluster.certificates.authority!.id !== first, 1000);
  for (let i = 0; i < 2000; i++) {
    it.operator.step();
    const { certificates } = cluster.certificates;
    const signer = certificates.get('peer')!.issuerId!;
    assert(cluster.pods.every(({ trustedIds }) => trustedIds.includes(signer)));
    assert(certificates.get('peer')!.notAfterMs > cluster.nowMs);
  }
  assert(!cluster.certificates.trust.includes(first));
  assert(cluster.members.every(({ healthy }) => healthy));
});

test('a cluster does not begin or cease to speak with TLS', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  it.cluster.rawSpec['tls'] = { provider: 'auto' };
  until(it, 'named', () => it.operator.last?.reason === 'TlsChanged');
  assert.equal(it.cluster.pods.length, 3);
});

test('a member that only restarts is waited for', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  const before = it.cluster.members.map(({ id }) => id);
  const { actions } = it.operator;
  it.cluster.kill(2);
  it.cluster.takeNode(0, 60_000);
  until(it, 'noticed', () => it.operator.last?.phase === 'Degraded');
  until(it, 'back', isAvailable(it));
  assert.deepEqual(
    it.cluster.members.map(({ id }) => id),
    before,
  );
  assert.equal(it.operator.actions, actions);
});

test('a member on a node that stays away is replaced only where that was asked for', () => {
  const it = world({ repair: { replaceSilentAfterSeconds: 300 } });
  until(it, 'three members', isAvailable(it));
  const before = it.cluster.members.map(({ id }) => id);
  it.cluster.takeNode(1, 100_000_000);
  until(it, 'given up', () => it.cluster.members.length === 2, 1000);
  assert(it.cluster.nowMs > 300_000);
  assert(!it.cluster.members.some(({ id }) => id === before[1]));
});

test('a quorum that is gone is reported, and nothing is done about it', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  const { actions } = it.operator;
  it.cluster.loseDisk(0);
  it.cluster.loseDisk(1);
  for (let i = 0; i < 100; i++) it.operator.step();
  assert.deepEqual([it.operator.last?.phase, it.operator.last?.reason], ['Degraded', 'QuorumLost']);
  assert.equal(it.operator.actions, actions);
  assert.deepEqual(it.cluster.violations, []);
});

test('a member that differs from the others is replaced; the leadership leaves it first', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  const leader = it.cluster.members.find(({ id }) => id === it.cluster.leaderId)!;
  leader.alarms.push('CORRUPT');
  it.operator.step();
  until(it, 'replaced', isAvailable(it));
  assertAsDeclared(it);
  assert(!it.cluster.members.includes(leader));
});

test('room is made for a cluster without space, and one that stays full is reported', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  for (const member of it.cluster.members)
    Object.assign(member, { alarms: ['NOSPACE'], databaseBytes: 2000 });
  it.operator.step();
  until(it, 'room', isAvailable(it));
  assert(
    it.cluster.members.every(({ alarms, databaseBytes }) => alarms.length === 0 && databaseBytes === 500),
  );
  assert.equal(it.cluster.record?.isCompacted, false);
  it.cluster.members[0]!.alarms.push('NOSPACE');
  for (const member of it.cluster.members) Object.assign(member, { databaseBytes: 2000, usedBytes: 1990 });
  it.cluster.record = { ...it.cluster.record!, isCompacted: true };
  until(it, 'reported', () => it.operator.last?.reason === 'NoSpace');
});

test('members that a rule finds worth it are defragmented in a window, the leader last, once', () => {
  const windows = [{ start: '01:00', durationMinutes: 60 }];
  const it = world({ maintenance: { windows, defragmentationRule: 'dbSizeFree > 300' } });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  for (const member of cluster.members) Object.assign(member, { databaseBytes: 1500, usedBytes: 900 });
  const leader = cluster.members.find(({ id }) => id === cluster.leaderId)!;
  cluster.rawSpec['version'] = 'v3.7.0';
  cluster.declared = 't-v3.7.0';
  until(it, 'waiting', () => it.operator.last?.reason === 'AwaitingWindow');
  for (let i = 0; i < 50; i++) it.operator.step();
  assert(cluster.members.every(({ databaseBytes }) => databaseBytes === 1500));
  assert.equal(cluster.workload?.version, 'v3.6.4');
  cluster.nowMs = 3_600_000;
  const isShort = ({ databaseBytes }: { databaseBytes: number }): boolean => databaseBytes === 900;
  until(it, 'two of three', () => cluster.members.filter(isShort).length === 2);
  assert(!isShort(leader));
  until(it, 'all', () => cluster.members.every(isShort));
  until(it, 'rolled out', () => cluster.workload?.version === 'v3.7.0' && isAvailable(it)());
  assertAsDeclared(it);
});

test('releases are not skipped, nor gone back to; the cluster goes on as it is', () => {
  for (const version of ['v3.8.0', 'v3.5.0', 'latest', 'v4.0.0']) {
    const it = world();
    until(it, 'three members', isAvailable(it));
    it.cluster.rawSpec['version'] = version;
    it.cluster.declared = `t-${version}`;
    until(it, 'refused', () => it.operator.last?.reason === 'UpgradeRefused');
    assert.equal(it.cluster.workload?.template, 't-v3.6.4');
    assert.equal(it.cluster.pods.length, 3);
  }
});

test('a paused cluster, and one whose declaration makes no sense, are left alone', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  const { actions } = it.operator;
  it.cluster.loseDisk(1);
  it.cluster.rawSpec['paused'] = true;
  for (let i = 0; i < 50; i++) it.operator.step();
  assert.equal(it.operator.last?.phase, 'Paused');
  it.cluster.rawSpec['paused'] = false;
  it.cluster.rawSpec['size'] = 0;
  for (let i = 0; i < 50; i++) it.operator.step();
  assert.equal(it.operator.last?.reason, 'InvalidSpec');
  assert.equal(it.operator.last?.message, 'spec.size must be an integer from 1 to 7');
  assert.equal(it.operator.actions, actions);
});

test('what belongs to somebody else is neither used nor deleted', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  const workload = { ...it.cluster.workload!, ownerUid: 'another' };
  it.cluster.workload = workload;
  it.operator.step();
  assert.equal(it.operator.last?.reason, 'ForeignWorkload');
  it.cluster.isDeleted = true;
  until(it, 'gone', () => it.cluster.isGone);
  assert.equal(it.cluster.workload, workload);
  assert.equal(it.cluster.volumes.length, 3);
});

test('volumes go with their cluster where that was asked for, and stay otherwise', () => {
  for (const [policy, left] of [
    ['Retain', 3],
    ['Delete', 0],
    [undefined, 3],
  ] as const) {
    const it = world({ volumeReclaimPolicy: policy });
    until(it, 'three members', isAvailable(it));
    it.cluster.isDeleted = true;
    until(it, 'gone', () => it.cluster.isGone);
    it.cluster.step();
    assert.equal(it.cluster.workload, null);
    assert.equal(it.cluster.volumes.length, left, policy);
  }
});

test('a stuck learner, a foreign member and a lost record are named, and change nothing', () => {
  const it = world();
  until(it, 'three members', isAvailable(it));
  it.cluster.rawSpec['size'] = 4;
  until(it, 'a learner', () => it.cluster.members.length === 4);
  it.cluster.takeNode(3, 0);
  for (let i = 0; i < 700; i++) {
    it.cluster.kill(3);
    for (const pod of it.cluster.pods) if (pod.ordinal === 3) pod.startsAtMs = Number.POSITIVE_INFINITY;
    it.operator.step();
  }
  assert.equal(it.operator.last?.reason, 'StuckLearner');
  assert.equal(it.cluster.members.length, 4);
  it.cluster.members[3]!.name = 'somebody';
  it.operator.step();
  assert.equal(it.operator.last?.reason, 'ForeignMember');
  it.cluster.record = null;
  it.operator.step();
  assert.equal(it.operator.last?.reason, 'RecordMissing');
});

const BACKUP = {
  schedule: '1h',
  store: { persistentVolumeClaim: { claimName: 'backups' } },
  encryption: { none: true },
};

test('a cluster is restored in place of what it has, where that was given up, and grows to its size again', () => {
  const it = world();
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  const before = cluster.members.map(({ id }) => id);
  const refused = cluster.restores.request(false);
  until(it, 'refused', () => refused.isOk === false);
  assert.deepEqual(
    cluster.members.map(({ id }) => id),
    before,
  );
  const restored = cluster.restores.request(true);
  until(it, 'restored', () => restored.isOk === true, 1000);
  until(it, 'three members', isAvailable(it), 1000);
  assertAsDeclared(it);
  assert(!cluster.members.some(({ id }) => before.includes(id)));
});

test('a new cluster is made from a backup; one whose backup can not be restored stays as it was, or waits for another', () => {
  const it = world();
  const { cluster } = it;
  const asked = cluster.restores.request(false);
  cluster.restores.failures = 1;
  until(it, 'failed', () => asked.isOk === false, 3000);
  until(it, 'named', () => it.operator.last?.reason === 'RestoreFailed');
  assert.equal(cluster.members.length, 0, 'nothing was begun empty');
  cluster.restores.failures = 0;
  const again = cluster.restores.request(false);
  until(it, 'restored', () => again.isOk === true, 1000);
  until(it, 'three members', isAvailable(it), 1000);
  const members = cluster.members.map(({ id }) => id);
  cluster.restores.failures = 1;
  const failing = cluster.restores.request(true);
  until(it, 'failed', () => failing.isOk === false, 3000);
  until(it, 'back as it was', isAvailable(it), 1000);
  assert.deepEqual(
    cluster.members.map(({ id }) => id),
    members,
  );
  const bare = world({ storageSpec: undefined });
  const impossible = bare.cluster.restores.request(true);
  until(bare, 'refused', () => impossible.isOk === false);
});

test('a quorum whose disks are gone is restored where the policy says so, from a verified backup, after a while', () => {
  const it = world({ repair: { restoreAfterQuorumLossSeconds: 300 } });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  cluster.loseDisk(0);
  cluster.loseDisk(1);
  until(it, 'named', () => it.operator.last?.reason === 'QuorumLost');
  assert.match(
    it.operator.last!.message,
    /2 of 3 members have lost their disks.*there is no verified backup/,
  );
  for (let i = 0; i < 400; i++) it.operator.step();
  assert.equal(cluster.restores.restores.length, 0);
  const lostMs = cluster.nowMs;
  cluster.restores.perform({ kind: 'create-backup', name: 'b', purpose: '' }, lostMs);
  until(it, 'asked for', () => cluster.restores.restores.length === 1);
  until(it, 'restored', () => cluster.restores.restores[0]!.isOk === true, 1000);
  until(it, 'three members', isAvailable(it), 1000);
  assertAsDeclared(it);
  cluster.takeNode(0, 600_000);
  cluster.takeNode(1, 600_000);
  for (let i = 0; i < 500; i++) it.operator.step();
  assert.equal(it.operator.last?.reason, 'NoMemberAnswers', 'disks that are there are waited for');
  assert.equal(cluster.restores.restores.length, 1);
});

test('what may still have its data is not restored over by itself, or without being told', () => {
  const it = world({ size: 1, repair: { restoreAfterQuorumLossSeconds: 300 } });
  const { cluster } = it;
  until(it, 'one member', isAvailable(it));
  cluster.restores.perform({ kind: 'create-backup', name: 'b', purpose: '' }, cluster.nowMs);
  until(it, 'verified', () => cluster.restores.backups[0]!.isVerified);
  cluster.rawSpec['size'] = 3;
  until(it, 'a learner with its disk', () => Object.keys(cluster.record!.disks).length === 2);
  assert(cluster.members.some(({ isLearner }) => isLearner));
  cluster.loseDisk(1);
  cluster.takeNode(0, 600_000);
  for (let i = 0; i < 500; i++) it.operator.step();
  assert.deepEqual(cluster.restores.restores, [], 'the voter has all of it');
  until(it, 'three members', isAvailable(it), 1000);

  const left = world();
  const disk = { uid: 'left', memberId: 1n, restored: null, markers: new Set<string>() };
  left.cluster.volumes.push({ ordinal: 0, name: 'data-c-0', disk, isTerminating: false });
  const refused = left.cluster.restores.request(false);
  until(left, 'refused', () => refused.isOk === false);
});

test('a backup comes before members get another image, and before a cluster goes', () => {
  const it = world({ backup: { ...BACKUP, final: true } });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  assert(cluster.restores.hasSchedule);
  cluster.rawSpec['version'] = 'v3.7.0';
  cluster.declared = 't-v3.7.0';
  cluster.restores.failures = 1;
  until(it, 'failed', () => it.operator.last?.reason === 'BackupFailed');
  assert.equal(cluster.workload?.version, 'v3.6.4');
  cluster.restores.failures = 0;
  until(it, 'an hour later', () => cluster.workload?.version === 'v3.7.0', 4000);
  assert(cluster.restores.backups.some(({ purpose, phase }) => purpose !== '' && phase === 'Succeeded'));
  until(it, 'rolled out', isAvailable(it));
  cluster.isDeleted = true;
  cluster.restores.failures = 1;
  until(it, 'failed', () => it.operator.last?.reason === 'BackupFailed');
  for (let i = 0; i < 50; i++) it.operator.step();
  assert.notEqual(cluster.workload, null, 'the members stay');
  cluster.rawSpec['backup'] = BACKUP;
  until(it, 'gone without', () => cluster.isGone);
  const last = world({ backup: { ...BACKUP, final: true } });
  until(last, 'three members', isAvailable(last));
  last.cluster.isDeleted = true;
  until(last, 'gone', () => last.cluster.isGone);
  assert.deepEqual(
    last.cluster.restores.backups.map(({ name, phase }) => [name, phase]),
    [['c-final-cluster', 'Succeeded']],
  );
});

test('a cluster whose members somebody has stopped does not go without its last backup', () => {
  const it = world({ backup: { ...BACKUP, final: true }, volumeReclaimPolicy: 'Delete' });
  const { cluster } = it;
  until(it, 'three members', isAvailable(it));
  cluster.workload = null;
  cluster.isDeleted = true;
  until(it, 'named', () => it.operator.last?.reason === 'BackupFailed');
  for (let i = 0; i < 50; i++) it.operator.step();
  assert.equal(cluster.volumes.length, 3);
  cluster.rawSpec['backup'] = BACKUP;
  until(it, 'gone without', () => cluster.isGone);
});

/** Takes a disk, a node or a process, but never so many disks that what was acknowledged is lost. */
function disturb({ cluster }: World, random: SeededRandom): void {
  const ordinal = random.below(Math.max(1, cluster.pods.length));
  const dice = random.below(10);
  if (dice < 3) cluster.kill(ordinal);
  else if (dice < 5) cluster.takeNode(ordinal, random.below(60_000));
  else if (dice < 6) cluster.leaderId = null;
  else if (dice < 8 && cluster.record?.isFounded === true) {
    const voters = cluster.voters.length;
    if (voters >= 3 && cluster.votersWithDisk() - 1 >= Math.floor(voters / 2) + 1) cluster.loseDisk(ordinal);
  } else if (dice === 8 && cluster.voters.length > 2) {
    const clean = cluster.members.every(({ alarms }) => alarms.length === 0);
    if (clean) random.pick(cluster.members).alarms.push(random.pick(['NOSPACE', 'CORRUPT'] as const));
  } else if (dice === 9 && cluster.isSecure) loseSecret(cluster, random);
}

/** Somebody deletes a secret: the authority, or a certificate while all would believe a new one. */
function loseSecret({ certificates, pods }: ModelCluster, random: SeededRandom): void {
  const { authority } = certificates;
  const isTrusted = pods.every(({ trustedIds }) => trustedIds.includes(authority?.id ?? ''));
  const isWhole = certificates.certificates.size === ROLES.length;
  if (random.chance(0.3) && isWhole) certificates.authority = null;
  else if (isTrusted) certificates.certificates.delete(random.pick(ROLES));
}

/** A life of faults and of a declaration that changes, then peace: what was declared comes about. */
function live(seed: number): void {
  const random = new SeededRandom(seed);
  const storageSpec = random.chance(0.7) ? STORAGE : undefined;
  const faults = { fails: 0.1, isLost: 0.1, ends: 0.1, isStale: 0.2 };
  const tls = random.chance(0.4) ? { provider: 'auto' } : undefined;
  const it = world({ storageSpec, tls, size: random.pick([1, 3, 3, 5]) }, seed, faults);
  const { cluster, operator } = it;
  cluster.restores.failures = 0.2;
  for (let step = 0; step < 600; step++) {
    if (random.chance(0.05)) disturb(it, random);
    if (random.chance(0.01)) cluster.rawSpec['size'] = random.pick([3, 4, 5, 7]);
    if (random.chance(0.005)) {
      cluster.rawSpec['version'] = random.pick(['v3.6.4', 'v3.6.5', 'v3.7.0']);
      cluster.declared = `t-${String(cluster.rawSpec['version'])}`;
    }
    if (storageSpec !== undefined && random.chance(0.004)) cluster.restores.request(random.chance(0.7));
    operator.step();
    assert.deepEqual(cluster.violations, [], `step ${step}`);
  }
  operator.faults = NO_FAULTS;
  cluster.restores.failures = 0;
  cluster.rawSpec['size'] = 3;
  cluster.rawSpec['version'] = cluster.workload?.version ?? 'v3.6.4';
  cluster.declared = cluster.workload?.template.split(' ')[0] ?? cluster.declared;
  for (let i = 0; i < 100; i++) operator.step();
  until(it, 'restores', () => cluster.restores.restores.every(({ isOk }) => isOk !== null), 6000);
  // Whoever has asked for a restore that failed, of a cluster that had nothing yet, has to ask again.
  if (operator.last?.reason === 'RestoreFailed') cluster.restores.request(true);
  until(it, 'as declared', isAvailable(it), 2000);
  assertAsDeclared(it);
}

test('whatever happens to pods, disks, calls and the operator itself, quorum and data are kept, and the declaration comes about', () => {
  const first = Number(process.env['SEED'] ?? 1);
  const seeds = Number(process.env['SEEDS'] ?? 60);
  for (let seed = first; seed < first + seeds; seed++) {
    try {
      live(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});
