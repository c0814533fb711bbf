/**
 * A data directory goes from program to program, each of which finds everything that the one before has
 * written, and writes more. After each leg real tools check the files.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { assertStillThere, type Contents, readContents } from '../support/contents.ts';
import { EtcdRpc } from '../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import {
  foundedAt,
  isGo,
  needs,
  type PeerVersion,
  peer,
  REFERENCE,
  SUBJECT,
  versionOf,
} from '../support/programs.ts';
import { run } from '../support/run.ts';
import { freePort, temporaryDirectory } from '../support/temporary.ts';

type Ending = 'SIGTERM' | 'SIGKILL';

interface Journey {
  readonly programs: readonly string[];
  /** How each leg ends. */
  readonly ending: Ending;
  /** Of the program under test only. */
  readonly flags?: readonly string[];
  readonly writesPerLeg?: number;
  /** Whose tools look at the files after each leg; etcd 3.5 unless told, which reads the log as well. */
  readonly tools?: PeerVersion;
}

/** Small enough that every leg leaves `.snap` files and discards log entries. */
const SNAPSHOT_COUNT = 100;
const WRITES_PER_LEG = 350;

async function travel(journey: Journey): Promise<string> {
  const directory = temporaryDirectory();
  const dataDir = join(directory, 'data');
  const clientPort = await freePort();
  const peerPort = await freePort();
  const everywhere = [...FAST_ELECTION, `--snapshot-count=${SNAPSHOT_COUNT}`];
  const random = new SeededRandom(7);
  let before: Contents | null = null;
  for (const [leg, program] of journey.programs.entries()) {
    const flags = program === SUBJECT ? [...everywhere, ...(journey.flags ?? [])] : everywhere;
    const server = await EtcdServer.start({ program, dataDir, clientPort, peerPort, flags });
    try {
      if (before !== null) await assertStillThere(server, before);
      await write(server, leg, random, journey.writesPerLeg ?? WRITES_PER_LEG);
      before = await readContents(server);
    } finally {
      const ended = await server.stop(journey.ending);
      assert.equal(ended.signal, journey.ending, server.lastLines());
    }
    await checkFiles(journey.tools ?? '3.5', dataDir, join(directory, `backup-${leg}`), before.revision);
  }
  return dataDir;
}

/** Every kind of write: versions, tombstones, transactions, leases, a compaction. */
async function write(server: EtcdServer, leg: number, random: SeededRandom, count: number): Promise<void> {
  const rpc = new EtcdRpc(server.address);
  const kept = await rpc.call('Lease.LeaseGrant', { ID: 100 + leg, TTL: 10_000 + leg });
  const revoked = await rpc.call('Lease.LeaseGrant', { TTL: 10_000 });
  let last = 0n;
  for (let i = 0; i < count; i++) {
    const key = `key/${random.below(60)}`;
    const value = `leg ${leg}, write ${i} ${'x'.repeat(random.below(300))}`;
    const dice = random.below(10);
    const put = { request_put: { key: `txn/${random.below(30)}`, value } };
    if (dice < 6) last = (await rpc.call('KV.Put', { key, value })).header!.revision;
    else if (dice < 7) await rpc.call('KV.DeleteRange', { key, range_end: `${key}~` });
    else if (dice < 8) await rpc.call('KV.Put', { key, value, lease: [kept.ID, revoked.ID][i % 2]! });
    else await rpc.call('KV.Txn', { success: [put, { request_delete_range: { key } }] });
  }
  await rpc.call('Lease.LeaseRevoke', { ID: revoked.ID });
  await rpc.call('KV.Compact', { revision: last - BigInt(Math.floor(count / 4)), physical: leg % 2 === 0 });
  await rpc.call('KV.Put', { key: `end of leg ${leg}`, value: '' });
  rpc.close();
}

/** Real tools read what the server has left behind. */
async function checkFiles(
  tools: PeerVersion,
  dataDir: string,
  backupDir: string,
  revision: bigint,
): Promise<void> {
  const etcdutl = peer(tools, 'etcdutl');
  const db = join(dataDir, 'member/snap/db');
  const status = await run(etcdutl, ['snapshot', 'status', db, '-w', 'json']);
  assert.equal(status.code, 0, status.stderr);
  const { revision: inFile } = JSON.parse(status.stdout) as { revision: number };
  // The database may be behind the log, by what was not committed when the process ended.
  assert(inFile > 0 && BigInt(inFile) <= revision, `${inFile} of ${revision}`);
  // Later releases have no such command.
  if (tools !== '3.5') return;
  // Reads the newest snapshot and the whole log after it, and writes both anew.
  const backup = await run(etcdutl, ['backup', `--data-dir=${dataDir}`, `--backup-dir=${backupDir}`]);
  assert.equal(backup.code, 0, backup.stderr);
  assert(existsSync(join(backupDir, 'member/wal')));
}

const SUBJECT_IS_LATER_GO = isGo(SUBJECT) && versionOf(SUBJECT).minor > 5;
/** Go etcd never gives a directory back to an earlier release; the program under test must. */
const back = (release: PeerVersion): string[] => {
  const minor = Number(release.slice(2));
  return isGo(SUBJECT) && versionOf(SUBJECT).minor > minor ? [] : [peer(release, 'etcd'), SUBJECT];
};
const options = needs('etcd 3.4', 'etcd 3.5');
const allReleases = needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6', 'etcd 3.7');

for (const ending of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a directory of etcd 3.5 and back again, each leg ended by ${ending}`, options, async () => {
    await travel({ programs: [REFERENCE, SUBJECT, ...back('3.5'), ...back('3.5')], ending });
  });

  for (const release of ['3.5', '3.6', '3.7'] as const) {
    test(
      `a directory begun here at ${release} is continued by its etcd, each leg ended by ${ending}`,
      allReleases,
      async () => {
        const programs = [SUBJECT, ...back(release), ...back(release)];
        await travel({ programs, ending, flags: foundedAt(release), tools: release });
      },
    );
  }
}

for (const release of ['3.6', '3.7'] as const) {
  test(`a directory of etcd ${release}, and back again`, allReleases, async () => {
    const programs = [peer(release, 'etcd'), SUBJECT, ...back(release)];
    await travel({ programs, ending: 'SIGKILL', tools: release });
  });
}

test('a directory of etcd 3.4, and back again', options, async () => {
  await travel({ programs: [peer('3.4', 'etcd'), SUBJECT, ...back('3.4')], ending: 'SIGTERM' });
});

test('a directory of etcd 3.4 that went through 3.5', options, async () => {
  const programs = [peer('3.4', 'etcd'), peer('3.5', 'etcd'), SUBJECT, ...back('3.5')];
  await travel({ programs, ending: 'SIGKILL' });
});

test(
  'a directory goes up through every release of etcd, with the program under test between them',
  allReleases,
  async () => {
    const [v34, v35, v36, v37] = (['3.4', '3.5', '3.6', '3.7'] as const).map((release) =>
      peer(release, 'etcd'),
    );
    const programs = [v34!, SUBJECT, v35!, SUBJECT, v36!, SUBJECT, v37!, SUBJECT];
    await travel({ programs, ending: 'SIGKILL', writesPerLeg: 60, tools: '3.7' });
  },
);

for (const from of ['3.4', '3.5'] as const) {
  test(`a directory of etcd ${from} that is raised here is continued by etcd 3.7`, allReleases, async () => {
    const programs = [peer(from, 'etcd'), SUBJECT, ...back('3.7')];
    // Few enough that requests of the v2 API are still in the log when the version goes up.
    await travel({ programs, ending: 'SIGKILL', flags: foundedAt('3.7'), writesPerLeg: 20, tools: '3.7' });
  });
}

test('no state is lost over many short lives', options, async () => {
  const programs = Array.from({ length: 6 }, () => SUBJECT);
  await travel({ programs, ending: 'SIGKILL', writesPerLeg: 40 });
});

test('snapshots and log segments are where etcd looks for them', options, async () => {
  const dataDir = await travel({ programs: [SUBJECT, SUBJECT], ending: 'SIGTERM' });
  const names = globSync('member/**', { cwd: dataDir }).sort();
  assert(names.includes('member/snap/db'), names.join(' '));
  const snaps = names.filter((name) => /^member\/snap\/[0-9a-f]{16}-[0-9a-f]{16}\.snap$/.test(name));
  assert(snaps.length >= 2, names.join(' '));
  const segments = names.filter((name) => /^member\/wal\/[0-9a-f]{16}-[0-9a-f]{16}\.wal$/.test(name));
  assert(segments.length >= 1, names.join(' '));
});

test('a separate directory for the log', options, async () => {
  const walDir = join(temporaryDirectory(), 'wal');
  const dataDir = join(temporaryDirectory(), 'data');
  const flags = [...FAST_ELECTION, `--wal-dir=${walDir}`];
  const first = await EtcdServer.start({ dataDir, flags: [...flags, ...foundedAt('3.5')] });
  await write(first, 0, new SeededRandom(1), 50);
  const before = await readContents(first);
  await first.stop();
  assert(globSync('*.wal', { cwd: walDir }).length > 0);
  assert(!existsSync(join(dataDir, 'member/wal')));
  const program = SUBJECT_IS_LATER_GO ? SUBJECT : REFERENCE;
  const second = await first.restart({ program, flags });
  await assertStillThere(second, before);
  await second.stop();
});

test('a directory that exists and is empty is used', options, async () => {
  const dataDir = join(temporaryDirectory(), 'data');
  mkdirSync(dataDir, { mode: 0o700 });
  const server = await EtcdServer.start({ dataDir, flags: FAST_ELECTION });
  await server.stop();
});

test('S01 a directory that etcd keeps for those who may is not opened to everybody', options, async () => {
  const dataDir = join(temporaryDirectory(), 'data');
  const first = await EtcdServer.start({ program: REFERENCE, dataDir, flags: FAST_ELECTION });
  const etcdctl = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await run(peer('3.5', 'etcdctl'), [`--endpoints=${first.address}`, ...args]);
    assert.equal(code, 0, stderr);
  };
  await etcdctl('put', 'key', 'for some');
  await etcdctl('user', 'add', 'root:password');
  await etcdctl('user', 'grant-role', 'root', 'root');
  await etcdctl('auth', 'enable');
  await first.stop();
  const second = await EtcdServer.start({ dataDir, flags: FAST_ELECTION });
  const rpc = new EtcdRpc(second.address);
  const outcome = await rpc.outcome('KV.Range', { key: 'key' });
  rpc.close();
  await second.stop();
  assert.deepEqual(outcome, { ok: false, code: 3, details: 'etcdserver: user name is empty' });
});
