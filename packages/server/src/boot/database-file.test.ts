/** A database beside a log that begins elsewhere, and one without a log: gone on with, taken over, or refused as it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendPath, snapDirectory, walDirectory } from '@etcd/storage/data';
import { addMemberChange, newMember } from '@etcd/storage/membership';
import type { SimDisk } from '@etcd/testing';
import { MemberStartError } from '../config/index.ts';
import { BootWorld, closeParts } from './testing/boot-world.ts';
import { FormerRun } from './testing/former-run.ts';

const SNAPSHOT_INDEX = 10;
const DB = '/data/member/snap/db';
const RECEIVED = `/data/member/snap/${SNAPSHOT_INDEX.toString(16).padStart(16, '0')}.snap.db`;

/** A member whose log begins behind its snapshot. */
async function member(): Promise<{ readonly disk: SimDisk; readonly old: Uint8Array }> {
  const world = await BootWorld.create();
  const former = new FormerRun(await world.boot());
  former.log(2).apply().end();
  const old = world.disk.readFile(DB);
  const next = await BootWorld.create([], world.disk);
  const parts = await next.boot();
  new FormerRun(parts)
    .log(SNAPSHOT_INDEX - 3)
    .apply()
    .recordSnapshot()
    .end();
  return { disk: next.disk, old };
}

function replace(disk: SimDisk, path: string, content: Uint8Array | null): void {
  if (disk.stat(path) !== null) disk.remove(path);
  if (content === null) return;
  const file = disk.openFile(path, { access: 'readwrite', create: true });
  file.write(content, 0, content.length, 0);
  file.close();
}

async function start(disk: SimDisk, flags: readonly string[] = []): Promise<BootWorld> {
  return await BootWorld.create(flags, disk);
}

async function refusal(disk: SimDisk, flags: readonly string[] = []): Promise<string> {
  const world = await start(disk, flags);
  const names = (): string[] => [
    ...world.disk.readDirectory('/data/member'),
    ...world.disk.readDirectory('/data/member/snap'),
  ];
  const before = [names(), world.disk.stat(DB)?.sizeBytes];
  try {
    closeParts(await world.boot());
  } catch (error) {
    assert.ok(error instanceof MemberStartError, (error as Error).stack);
    assert.deepEqual([names(), world.disk.stat(DB)?.sizeBytes], before, 'nothing was changed');
    return error.message;
  }
  return assert.fail('it started');
}

test('a database that is missing, empty or older than where the log begins is refused in the words that tools wait for', async () => {
  const words = /^failed to find database snapshot file \(snap: snapshot file doesn't exist\): /;
  const advice = /; nothing was changed: put the file back, or remove this member .* without data$/;
  const older = (await member()).old;
  for (const [content, what] of [
    [null, /\(\/data\/member\/snap\/db\) of the backend is missing, but the log begins behind snapshot 10/],
    [new Uint8Array(0), /of the backend is empty, but the log begins behind snapshot 10/],
    [older, /\(\/data\/member\/snap\/db index 3\) does not match with snapshot \(index 10\)/],
  ] as const) {
    const { disk } = await member();
    replace(disk, DB, content);
    const reason = await refusal(disk);
    for (const part of [words, what, advice]) assert.match(reason, part);
  }
});

test('a database that is cut anywhere, or is none, is refused with what is wrong with it', async () => {
  const whole = (await member()).disk.readFile(DB);
  for (const cut of [1, 100, 4096, 8191, 8192, 3 * 4096]) {
    const { disk } = await member();
    replace(disk, DB, whole.slice(0, cut));
    assert.match(await refusal(disk), /\/data\/member\/snap\/db/, `cut at ${cut}`);
  }
  const { disk } = await member();
  replace(
    disk,
    DB,
    whole.map((byte) => byte ^ 0xff),
  );
  assert.match(await refusal(disk), /both meta pages.*nothing was changed: restore the file/);
});

test('a database that came from the leader, and whose place a crash has left to the old one, is taken over', async () => {
  for (const what of ['older', 'damaged', 'missing'] as const) {
    const { disk, old } = await member();
    const received = disk.readFile(DB);
    replace(disk, RECEIVED, received);
    replace(disk, DB, what === 'missing' ? null : what === 'older' ? old : new Uint8Array(4096).fill(7));
    const world = await start(disk);
    const parts = await world.boot();
    assert.equal(parts.consistentIndex.index, SNAPSHOT_INDEX, what);
    assert.equal(world.disk.stat(RECEIVED), null, 'it has moved to its place');
    closeParts(parts);
  }
});

test('a received database of another snapshot does not take the place of one that is missing', async () => {
  const { disk } = await member();
  replace(disk, RECEIVED.replace('a.snap', 'b.snap'), disk.readFile(DB));
  replace(disk, DB, null);
  assert.match(await refusal(disk), /failed to find database snapshot file/);
});

test('a database that somebody has open is refused, even where it is to be replaced', async () => {
  for (const isReceived of [false, true]) {
    const { disk } = await member();
    const world = await start(disk);
    if (isReceived) replace(world.disk, RECEIVED, world.disk.readFile(DB));
    const file = world.disk.openFile(DB, { access: 'readwrite' });
    assert.equal(file.tryLock('flock'), true);
    await assert.rejects(
      world.boot(),
      (error: Error) => error instanceof MemberStartError && /lock/.test(error.message),
    );
    file.close();
  }
});

/** A member whose log is gone, with one more in its cluster. */
async function withoutLog(): Promise<SimDisk> {
  const world = await BootWorld.create();
  const former = new FormerRun(await world.boot());
  former.change(addMemberChange(newMember(5n, { peerUrls: ['http://m5:2380'], isLearner: false })));
  former.log(4).apply().recordSnapshot().end();
  const { disk, config } = world;
  const directory = walDirectory(config);
  for (const name of disk.readDirectory(directory)) disk.remove(`${directory}/${name}`);
  disk.removeDirectory(directory);
  return disk;
}

test('a database without a log begins a new cluster of this member alone, and forgets the old one', async () => {
  const world = await start(await withoutLog());
  const parts = await world.boot();
  assert.deepEqual(
    [parts.consistentIndex.index, parts.snapshotIndex, parts.membership.members()],
    [0, 0, []],
  );
  assert.deepEqual(
    world.disk.readDirectory(snapDirectory(world.config)).filter((name) => name.includes('.snap')),
    [],
    'snapshots of the old log',
  );
  assert.equal(backendPath(world.config), DB);
  closeParts(parts);
});

test('a database without a log is no founder of several members, and does not join', async () => {
  const two = '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380';
  assert.match(
    await refusal(await withoutLog(), [two]),
    /found a database .* without a log .*etcdutl snapshot restore/s,
  );
  const joins = '--initial-cluster-state=existing';
  assert.match(
    await refusal(await withoutLog(), [two, joins]),
    /a member that joins a cluster gets the keys from there/,
  );
});

test('a database without a log in which nothing has ever been is as good as none', async () => {
  const world = await BootWorld.create();
  closeParts(await world.boot());
  const { disk, config } = world;
  const directory = walDirectory(config);
  for (const name of disk.readDirectory(directory)) disk.remove(`${directory}/${name}`);
  disk.removeDirectory(directory);
  const three = '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380,m3=http://m3:2380';
  const parts = await (await start(disk, [three])).boot();
  assert.equal(parts.node.committed, 3);
  closeParts(parts);
});
