/** A start on what a former run has left: whole, cut off by a loss of power, or taken apart by somebody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, InvariantError, SeededRandom } from '@etcd/base';
import { Backend } from '@etcd/storage/backend';
import {
  backendPath,
  leftDataProblem,
  membershipReader,
  membershipWriter,
  walDirectory,
} from '@etcd/storage/data';
import {
  addMemberChange,
  Membership,
  newMember,
  parseVersion,
  readMembership,
} from '@etcd/storage/membership';
import { writeConsistentIndex } from '@etcd/storage/schema';
import { type SimDisk, SimulatedCrash } from '@etcd/testing';
import { MemberStartError } from '../config/index.ts';
import { BootWorld, closeParts } from './testing/boot-world.ts';
import { FormerRun } from './testing/former-run.ts';

const SECTOR_BYTES = 512;
const OTHER = 0x22n;
const other = (isLearner: boolean) =>
  addMemberChange(newMember(OTHER, { peerUrls: ['http://m2:2380'], isLearner }));

async function run(world: BootWorld): Promise<FormerRun> {
  return new FormerRun(await world.boot());
}

const restart = (disk: SimDisk, flags: readonly string[] = []): Promise<BootWorld> =>
  BootWorld.create(flags, disk);

async function refusal(world: BootWorld): Promise<string> {
  try {
    closeParts(await world.boot());
  } catch (error) {
    assert.ok(error instanceof MemberStartError, `${String(error)}\n${(error as Error).stack}`);
    return error.message;
  }
  return assert.fail('it started');
}

/** The directory as a whole, to see that nothing was changed. */
function contents(disk: SimDisk): Record<string, string> {
  const files: Record<string, string> = {};
  const visit = (path: string): void => {
    for (const name of disk.readDirectory(path)) {
      const child = `${path}/${name}`;
      if (disk.stat(child)!.isDirectory) visit(child);
      else files[child] = Buffer.from(disk.readFile(child)).toString('latin1');
    }
  };
  visit('/data');
  return files;
}

/** Opens the database as somebody else's program would. */
function change(world: BootWorld, what: (backend: Backend) => void): void {
  const { disk, clock, config } = world;
  const backend = new Backend({
    disk,
    clock,
    path: backendPath(config),
    onFatal: (error) => assert.fail(error),
  });
  clock.settle();
  what(backend);
  backend.close();
}

test('a member goes on with the log and the database that it has left, behind its last snapshot', async () => {
  const world = await BootWorld.create();
  const former = await run(world);
  const { memberId, clusterId } = former.parts;
  former.log(9).apply().recordSnapshot().log(5, 13).apply(12).end();
  const parts = await (await restart(world.disk)).boot();
  assert.deepEqual([parts.memberId, parts.clusterId], [memberId, clusterId]);
  assert.deepEqual([parts.snapshotIndex, parts.consistentIndex.index], [10, 12]);
  const { node, raftStorage, membership } = parts;
  assert.deepEqual([node.committed, raftStorage.firstIndex(), raftStorage.lastIndex()], [13, 11, 15]);
  assert.deepEqual(
    membership.members().map(({ id, name }) => [id, name]),
    [[memberId, 'm1']],
  );
  closeParts(parts);
});

test('what the database has applied is committed, though the log, cut off by a kill, does not say so', async () => {
  for (const [term, committed] of [
    [1, 4],
    // By another leader than the one whose entry the log has there.
    [2, 2],
  ] as const) {
    const world = await BootWorld.create();
    (await run(world)).change(other(false)).log(3, 2).apply(4).end();
    if (term !== 1) change(world, (backend) => writeConsistentIndex(backend, { index: 4, term }));
    const place = world.config;
    assert.match(leftDataProblem({ disk: world.disk, place })!, /index 4 .* is beyond what is committed, 2$/);
    const next = await restart(world.disk);
    const parts = await next.boot();
    assert.deepEqual([parts.node.committed, parts.raftStorage.lastIndex()], [committed, 5]);
    closeParts(parts);
    const problem = leftDataProblem({ disk: next.disk, place });
    assert.equal(problem === null, term === 1, String(problem));
  }
});

/** Disks on which a start has something else to do each time. */
const DISKS: Readonly<Record<string, () => Promise<SimDisk | null>>> = {
  'with nothing': () => Promise.resolve(null),
  'of a member': async () => {
    const world = await BootWorld.create();
    (await run(world)).log(9).apply().recordSnapshot().log(2).apply().end();
    return world.disk;
  },
  'with a database whose log is gone': async () => {
    const world = await BootWorld.create();
    (await run(world)).log(9).apply().end();
    removeLog(world);
    return world.disk;
  },
};

function removeLog({ disk, config }: BootWorld): void {
  const directory = walDirectory(config);
  for (const name of disk.readDirectory(directory)) disk.remove(`${directory}/${name}`);
  disk.syncDirectory(directory);
  disk.removeDirectory(directory);
  disk.syncDirectory('/data/member');
}

for (const [what, newDisk] of Object.entries(DISKS)) {
  test(`wherever power is cut during a start on a disk ${what}, the next one comes to the same`, async () => {
    const random = new SeededRandom(7);
    const made = await newDisk();
    const newWorld = (): Promise<BootWorld> => BootWorld.create([], made?.crashImage(new SeededRandom(1)));
    const reference = await (await newWorld()).boot();
    let cuts = 0;
    for (let isOver = false; !isOver; cuts++) {
      const world = await newWorld();
      let operations = 0;
      world.onOperation = () => {
        if (++operations > cuts) throw new SimulatedCrash('cut');
      };
      try {
        await world.boot();
        // What a start leaves to be written is written.
        world.clock.advance(1000);
        isOver = operations <= cuts;
      } catch (error) {
        assert.ok(!(error instanceof InvariantError), (error as Error).stack);
      }
      const parts = await (await restart(world.disk.afterCrash(random))).boot();
      assert.deepEqual([parts.memberId, parts.clusterId], [reference.memberId, reference.clusterId]);
      assert.equal(parts.node.committed, reference.node.committed, `cut ${cuts}`);
      assert.equal(parts.consistentIndex.index, reference.consistentIndex.index, `cut ${cuts}`);
      closeParts(parts);
    }
    assert.ok(cuts > 10, `${cuts} places`);
  });

  test(`a failure of the disk ${what} is named wherever it comes, and never taken for a fault of the program`, async () => {
    const made = await newDisk();
    let failures = 0;
    for (let failAt = 1; ; failAt++) {
      const world = await BootWorld.create([], made?.crashImage(new SeededRandom(1)));
      let operations = 0;
      world.onOperation = ({ kind, path }) => {
        if (++operations === failAt) throw new DiskError('EIO', path, `EIO: ${kind} '${path}'`);
      };
      let failure: Error | undefined;
      try {
        await world.boot();
        world.clock.advance(1000);
        failure = world.backendFailures[0];
      } catch (error) {
        assert.ok(error instanceof MemberStartError, `operation ${failAt}: ${(error as Error).stack}`);
        failure = error;
      }
      if (operations < failAt) break;
      if (failure === undefined) continue;
      assert.match(failure.message, /EIO: \w+ '\//);
      failures++;
    }
    assert.ok(failures > 8, `${failures} failures`);
  });
}

test('a log that is torn at its end, as by a kill, is repaired; without what was committed it is refused as it is', async () => {
  const world = await BootWorld.create();
  (await run(world)).log(80, 30).apply(30).end();
  const { disk } = world;
  const [segment] = disk.readDirectory(walDirectory(world.config)).filter((name) => name.endsWith('.wal'));
  const path = `${walDirectory(world.config)}/${segment}`;
  const bytes = disk.readFile(path);
  // A write that was under way leaves sectors as they were: the file is filled up with zeros.
  const tear = async (sectors: number): Promise<BootWorld> => {
    const from =
      (Math.floor(bytes.findLastIndex((byte) => byte !== 0) / SECTOR_BYTES) - sectors) * SECTOR_BYTES;
    const file = disk.openFile(path, { access: 'readwrite' });
    file.write(bytes, 0, bytes.length, 0);
    file.write(new Uint8Array(bytes.length - from), 0, bytes.length - from, from);
    file.sync();
    file.close();
    return await restart(disk.crashImage(new SeededRandom(1)));
  };
  const parts = await (await tear(0)).boot();
  assert.ok(parts.raftStorage.lastIndex() < 81 && parts.raftStorage.lastIndex() >= 30);
  closeParts(parts);
  const short = await tear(3);
  const before = contents(short.disk);
  assert.match(
    await refusal(short),
    /ends at entry \d+, but .*(is incomplete|its end is missing).*; nothing was changed: /s,
  );
  assert.deepEqual(
    Object.keys(contents(short.disk)).filter((name) => !name.endsWith('.broken')),
    Object.keys(before),
  );
});

test('a database that has applied more than the log has is gone on with only where others can send the rest', async () => {
  const alone = await BootWorld.create();
  (await run(alone)).log(3).apply(9).end();
  const before = contents(alone.disk);
  const next = await restart(alone.disk);
  assert.match(
    await refusal(next),
    /ends at entry 4, but the database has applied 9: its end is missing; nothing was changed: /,
  );
  assert.deepEqual(contents(next.disk), before);
  const withLearner = await BootWorld.create();
  (await run(withLearner)).change(other(true)).apply().apply(9).end();
  assert.match(
    await refusal(await restart(withLearner.disk)),
    /its end is missing/,
    'a learner can not lead',
  );
  const withVoter = await BootWorld.create();
  (await run(withVoter)).change(other(false)).apply().apply(9).end();
  const parts = await (await restart(withVoter.disk)).boot();
  assert.equal(parts.consistentIndex.index, 9);
  closeParts(parts);
  const forced = await restart(withVoter.disk.crashImage(new SeededRandom(1)), ['--force-new-cluster']);
  assert.match(await refusal(forced), /its end is missing/, 'nobody will send it');
});

test('who belongs to the cluster is what the log says; the database is mended, whatever it has', async () => {
  for (const isRecorded of [false, true]) {
    const world = await BootWorld.create();
    const former = await run(world);
    const { memberId, clusterId } = former.parts;
    former.change(other(false)).apply();
    if (isRecorded) former.recordSnapshot();
    former.end();
    const stranger = await restart(world.disk);
    change(stranger, (backend) => {
      const membership = new Membership({ clusterId, state: readMembership(membershipReader(backend)) });
      const strange = newMember(0x99n, { peerUrls: ['http://old:2380'], isLearner: false });
      membership.applyConfChange(addMemberChange(strange), membershipWriter(backend));
    });
    const next = await restart(stranger.disk);
    const parts = await next.boot();
    const expected = [memberId, OTHER].sort((a, b) => (a < b ? -1 : 1));
    const ids = ({ members }: { members: readonly { readonly id: bigint }[] }) => members.map(({ id }) => id);
    assert.deepEqual(ids({ members: parts.membership.members() }), expected);
    assert.deepEqual(
      [...parts.confState.voters].sort((a, b) => (a < b ? -1 : 1)),
      expected,
    );
    assert.deepEqual(ids(readMembership(membershipReader(parts.backend))), expected);
    closeParts(parts);
  }
});

test('a database of a later release than this program is refused, and stays as it is', async () => {
  const world = await BootWorld.create();
  const former = await run(world);
  former.log(1).apply();
  former.parts.membership.setVersion(parseVersion('3.99.0')!, membershipWriter(former.parts.backend));
  former.end();
  const before = contents(world.disk);
  const next = await restart(world.disk);
  assert.match(
    await refusal(next),
    /^invalid downgrade; .*cluster 3\.99; .*use a release of at least 3\.99$/s,
  );
  assert.deepEqual(contents(next.disk), before);
});

test('a member of a lost cluster that is forced goes on alone, for good, with what was committed', async () => {
  const world = await BootWorld.create();
  const former = await run(world);
  const { memberId } = former.parts;
  former.change(other(false)).log(6, 6).apply(5).end();
  const forced = await restart(world.disk, ['--force-new-cluster']);
  const parts = await forced.boot();
  const { node, raftStorage } = parts;
  assert.deepEqual([node.committed, raftStorage.lastIndex()], [7, 7], 'six entries, and the removal');
  closeParts(parts);
  const later = await (await restart(forced.disk)).boot();
  assert.equal(later.node.committed, 7);
  assert.equal(later.memberId, memberId);
  closeParts(later);
});

test('a database with much free space is made smaller at the start where that is asked for', async () => {
  const world = await BootWorld.create();
  (await run(world)).log(1).apply().end();
  const grown = await restart(world.disk);
  const name = 'rubbish';
  const bucket = { name, nameBytes: Buffer.from(name) };
  for (const isThere of [true, false]) {
    change(grown, (backend) => {
      if (isThere) backend.createBucket(bucket as never);
      for (let i = 0; i < 3000 && isThere; i++)
        backend.put(bucket as never, Buffer.from(`k${i}`), Buffer.alloc(1000));
      if (!isThere) backend.deleteBucket(bucket as never);
    });
  }
  const size = (disk: SimDisk): number => disk.stat(backendPath(grown.config))!.sizeBytes;
  const large = size(grown.disk);
  assert.ok(large > 3_000_000);
  const image = (): SimDisk => grown.disk.crashImage(new SeededRandom(1));
  for (const [flags, isSmaller] of [
    [[], false],
    [['--bootstrap-defrag-threshold-megabytes=100'], false],
    [['--bootstrap-defrag-threshold-megabytes=1'], true],
  ] as const) {
    const next = await restart(image(), flags);
    closeParts(await next.boot());
    assert.equal(size(next.disk) < large / 4, isSmaller, flags.join());
  }
});
