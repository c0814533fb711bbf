/** What a member makes of the files that it finds: it goes on, or refuses in one line and leaves everything as it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Disk, GrpcCode, SeededRandom } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import type { SimDisk } from '@etcd/testing';
import type { Plant } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

const DB = '/data/member/snap/db';
const SNAP = '/data/member/snap';
const WAL = '/data/member/wal';
const FLAGS = ['--snapshot-count=10', '--snapshot-catchup-entries=5'];

/** The disk of a member that ran alone and wrote `puts` values, with a few snapshots. */
async function usedDisk(puts = 45, valueBytes = 10): Promise<SimDisk> {
  const cluster = await QuietCluster.start({ size: 1, flags: FLAGS });
  const [machine] = cluster.world.machines;
  for (let i = 1; i <= puts; i++) await cluster.put(machine!, `value ${i}`.padEnd(valueBytes));
  const { length } = cluster.lines('triggering snapshot');
  await cluster.until('snapshots are saved', 5000, () => cluster.lines('saved snapshot').length === length);
  await cluster.until('a commit', 5000, () => machine!.server!.backend.pendingBytes === 0);
  const disk = machine!.disk.crashImage(new SeededRandom(1));
  machine!.kill('the test has what it wants');
  return disk;
}

function cut(disk: SimDisk, path: string, sizeBytes: number): void {
  const file = disk.openFile(path, { access: 'readwrite' });
  file.truncate(sizeBytes);
  file.sync();
  file.close();
}

function removeAll(disk: SimDisk, directory: string, suffix: string): void {
  for (const name of disk.readDirectory(directory)) {
    if (name.endsWith(suffix)) disk.remove(disk.join(directory, name));
  }
}

/** What was done to it is durable. */
function settled(disk: SimDisk): SimDisk {
  for (const directory of ['/', '/data/member', SNAP]) disk.syncDirectory(directory);
  if (disk.stat(WAL) !== null) disk.syncDirectory(WAL);
  return disk.crashImage(new SeededRandom(3));
}

/** Every file with its content. */
function contents(disk: SimDisk): string {
  const files = [SNAP, WAL].flatMap((directory) =>
    disk.readDirectory(directory).map((name) => disk.join(directory, name)),
  );
  return files.map((path) => `${path} ${Buffer.from(disk.readFile(path)).toString('base64')}`).join('\n');
}

for (const [how, damage, expected] of [
  [
    'missing',
    (disk: SimDisk) => disk.remove(DB),
    /failed to find database snapshot file \(snap: snapshot file doesn't exist\): .*db\) of the backend is missing, but the log begins behind snapshot \d+; nothing was changed/,
  ],
  [
    'empty',
    (disk: SimDisk) => cut(disk, DB, 0),
    /failed to find database snapshot file \(snap: snapshot file doesn't exist\): .*db\) of the backend is empty/,
  ],
  [
    'cut to one page',
    (disk: SimDisk) => cut(disk, DB, 4096),
    /db: truncated: 4096 bytes.*nothing was changed/,
  ],
  ['cut to two pages', (disk: SimDisk) => cut(disk, DB, 8192), /db: truncated: 8192 bytes/],
  ['cut in a page', (disk: SimDisk) => cut(disk, DB, 9000), /db: truncated: 9000 bytes/],
  ['cut to less than its header', (disk: SimDisk) => cut(disk, DB, 20), /db: invalid database/],
] as const) {
  test(`a database that is ${how} is refused before anything is written`, async () => {
    const disk = await usedDisk();
    damage(disk);
    const before = contents(disk);
    const after = await QuietCluster.refusal({ disks: [settled(disk)], flags: FLAGS });
    assert.match(after.reason, expected);
    assert.equal(contents(after.disk.crashImage(new SeededRandom(1))), before);
  });
}

test('a database of an older time than the log is refused', async () => {
  const [older, newer] = [await usedDisk(15), await usedDisk(60)];
  const copy = older.readFile(DB);
  cut(newer, DB, 0);
  const file = newer.openFile(DB, { access: 'readwrite' });
  file.write(copy, 0, copy.length, 0);
  file.sync();
  file.close();
  const { reason } = await QuietCluster.refusal({ disks: [settled(newer)], flags: FLAGS });
  assert.match(reason, /index \d+\) does not match with snapshot \(index \d+\)/);
});

async function assertServes(disk: SimDisk, flags: readonly string[]): Promise<SimDisk> {
  const cluster = await QuietCluster.start({ size: 1, flags, disks: [disk] });
  const [machine] = cluster.world.machines;
  assert.equal((await cluster.tryRange(machine!))[0], GrpcCode.OK);
  const { revision } = machine!.server!.store;
  for (let i = 0; i < 25; i++) await cluster.put(machine!, `more ${i}`);
  assert.equal(machine!.server!.store.revision, revision + 25);
  await cluster.until('a commit', 5000, () => machine!.server!.backend.pendingBytes === 0);
  const after = machine!.disk.crashImage(new SeededRandom(2));
  machine!.kill('the test has what it wants');
  return after;
}

for (const [how, lose] of [
  ['whose log is gone', (disk: SimDisk) => disk.removeDirectory(WAL)],
  ['whose log directory is empty', (disk: SimDisk) => removeAll(disk, WAL, '.wal')],
  [
    'that was copied without anything else',
    (disk: SimDisk) => {
      disk.removeDirectory(WAL);
      removeAll(disk, SNAP, '.snap');
    },
  ],
] as const) {
  test(`a database ${how} begins a new cluster: keys are served, writes accepted, through further restarts`, async () => {
    const disk = await usedDisk();
    lose(disk);
    const flags = [...FLAGS, '--initial-cluster-token=another'];
    let after = await assertServes(settled(disk), flags);
    assert.ok(!after.readDirectory(SNAP).some((name) => name.endsWith('.snap.db')));
    for (let i = 0; i < 2; i++) {
      const before = await QuietCluster.start({ size: 1, flags, disks: [after] });
      const { revision } = before.world.machines[0]!.server!.store;
      assert.equal(revision, 46 + 25 * (i + 1), 'everything is there');
      assert.equal(before.world.machines[0]!.server!.membership.members().length, 1);
      before.world.machines[0]!.kill('seen');
      after = await assertServes(after, flags);
    }
  });
}

test('a power cut at any operation of the adoption of a database loses none of its keys', async () => {
  const disk = await usedDisk();
  disk.removeDirectory(WAL);
  settled(disk);
  for (let cutAt = 0, done = false; !done; cutAt++) {
    const copy = disk.crashImage(new SeededRandom(cutAt));
    const cluster = await QuietCluster.start({
      size: 1,
      flags: FLAGS,
      disks: [copy],
      plannedCut: { after: cutAt, by: 'power' },
    });
    done = cluster.lines('loses power').length === 0;
    cluster.world.machines[0]!.plannedCut = null;
    assert.equal(cluster.world.machines[0]!.server!.store.revision, 46);
    await cluster.put(cluster.world.machines[0]!, 'one more');
  }
});

test('a database without a log is no member that joins, nor one founder of several', async () => {
  const disk = await usedDisk();
  disk.removeDirectory(WAL);
  const joining = [...FLAGS, '--initial-cluster-state=existing'];
  assert.match(
    (await QuietCluster.refusal({ disks: [settled(disk)], flags: joining })).reason,
    /found a database .* without a log .*: a member that joins a cluster gets the keys from there; .*move the database away/,
  );
  assert.match(
    (await QuietCluster.refusal({ size: 3, disks: [settled(disk)], flags: FLAGS })).reason,
    /found a database .* without a log .*etcdutl snapshot restore/,
  );
});

test('a log whose end is missing is refused, and the way out that is named leads out', async () => {
  const disk = await usedDisk(200, 1000);
  const segments = disk.readDirectory(WAL).filter((name) => name.endsWith('.wal'));
  assert.ok(segments.length > 1, 'one segment only');
  disk.remove(disk.join(WAL, segments.at(-1)!));
  const { reason } = await QuietCluster.refusal({ disks: [settled(disk)], flags: FLAGS });
  assert.match(
    reason,
    /ends at entry \d+, but .* \d+.*move the log away and start with --initial-cluster-state=new/,
  );
  disk.removeDirectory(WAL);
  await assertServes(settled(disk), FLAGS);
});

test('segments that were emptied are refused, not taken for a log', async () => {
  const disk = await usedDisk();
  for (const name of disk.readDirectory(WAL)) cut(disk, disk.join(WAL, name), 0);
  const { reason } = await QuietCluster.refusal({ disks: [settled(disk)], flags: FLAGS });
  assert.match(reason, /\.wal/);
});

/** Changes what a database says of the members, as no log has told it to. */
function editMembers(disk: SimDisk, edit: (members: Map<string, string>) => void): void {
  const database = Database.open({ disk, path: DB });
  const write = database.beginWrite();
  const bucket = write.bucket(Buffer.from('members'))!;
  const found = new Map<string, string>();
  const cursor = bucket.cursor();
  for (let on = cursor.first(); on; on = cursor.next()) {
    found.set(Buffer.from(cursor.key()).toString(), Buffer.from(cursor.value()).toString());
  }
  const wanted = new Map(found);
  edit(wanted);
  for (const key of found.keys()) if (!wanted.has(key)) bucket.delete(Buffer.from(key));
  for (const [key, json] of wanted) bucket.put(Buffer.from(key), Buffer.from(json));
  write.commit();
  database.close();
}

function membersIn(disk: SimDisk): string[] {
  const members: string[] = [];
  editMembers(disk, (found) => members.push(...found.values()));
  return members.sort();
}

for (const puts of [3, 45]) {
  const how = puts > 10 ? 'a snapshot and a log' : 'a log';
  test(`a database that lists other members, or its own as a learner, is mended from ${how}`, async () => {
    const disk = await usedDisk(puts);
    const original = membersIn(disk);
    assert.equal(original.length, 1);
    const stranger = '{"id":255,"peerURLs":["http://10.9.9.9:2380"],"name":"stranger"}';
    for (const [edit, finding] of [
      [(found: Map<string, string>) => found.set('ff', stranger), 'listed ff, which is no member'],
      [
        (found: Map<string, string>) => {
          for (const [id, json] of found)
            found.set(id, json.replace(/("peerURLs":\[.*?\])/, '$1,"isLearner":true'));
        },
        'changed member',
      ],
      [(found: Map<string, string>) => found.clear(), 'lacked member'],
    ] as const) {
      const copy = disk.crashImage(new SeededRandom(1));
      editMembers(copy, edit);
      assert.notDeepEqual(membersIn(copy), original);
      const cluster = await QuietCluster.start({ size: 1, flags: FLAGS, disks: [copy] });
      const [machine] = cluster.world.machines;
      await cluster.put(machine!, 'accepted');
      assert.equal(cluster.lines(finding).length, 1, cluster.lines('mended').join('\n'));
      await cluster.until('a commit', 5000, () => machine!.server!.backend.pendingBytes === 0);
      const image = machine!.disk.crashImage(new SeededRandom(1));
      machine!.kill('seen');
      assert.deepEqual(membersIn(image), original);
    }
  });
}

test('the names of the directories that a first start makes are durable before anything is in them', async () => {
  const synced: string[] = [];
  const plant: Plant = {
    disk: (disk) =>
      new Proxy(disk, {
        get(of, name) {
          const value = of[name as keyof Disk];
          if (name !== 'syncDirectory') return typeof value === 'function' ? value.bind(of) : value;
          return (path: string) => {
            synced.push(path);
            of.syncDirectory(path);
          };
        },
      }),
  };
  await QuietCluster.start({ size: 1, plant });
  assert.deepEqual(synced.slice(0, 3), ['/', '/data', SNAP]);
  assert.ok(synced.includes('/data/member'), synced.join());
});
