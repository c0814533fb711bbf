import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { dataIdentity } from '@etcd/etcdutl/inspect';
import { verifySnapshotFile } from '@etcd/etcdutl/snapshot';
import { snapshotOf } from '@etcd/etcdutl/testing';
import { runProgram } from '@etcd/host/cli';
import { ETCDADM } from '../root.ts';
import { NotingIo } from '../testing/noting-io.ts';
import { planText, shellWord } from './restore-plan.ts';

const KEYS = 20;
const BUMP = 1_000_000_000;
const root = mkdtempSync(join(tmpdir(), 'admin-restore-'));
after(() => rmSync(root, { recursive: true }));

const database = join(root, 'member.db');
const snapshot = join(root, 'saved.db');
const CLUSTER = 'm0=https://10.0.0.6:2380,m1=https://10.0.0.7:2380,m2=https://10.0.0.8:2380';

before(async () => {
  writeFileSync(snapshot, await snapshotOf(database, KEYS));
});

interface Told {
  readonly code: number;
  readonly text: string;
  readonly errors: string;
}

async function restore(...words: string[]): Promise<Told> {
  const io = new NotingIo({});
  const code = await runProgram(ETCDADM, ['restore', ...words], io);
  return { code, text: io.text, errors: io.errors };
}

async function good(...words: string[]): Promise<string> {
  const { code, text, errors } = await restore(...words);
  assert.equal(code, 0, errors);
  return text;
}

/** The newest revision of what was restored. */
async function revisionIn(dataDir: string): Promise<number> {
  return (await verifySnapshotFile(join(dataDir, 'member/snap/db'), 0, true)).hashRevision;
}

test('a snapshot, a copy of a database and a data directory make the same member', async () => {
  const member = join(root, 'stopped');
  mkdirSync(join(member, 'member/snap'), { recursive: true });
  writeFileSync(join(member, 'member/snap/db'), readFileSync(database));
  const made: Buffer[] = [];
  for (const [name, given, kind] of [
    ['of-snapshot', snapshot, /^Restoring snapshot .*saved\.db, revision 21\n$/],
    ['of-copy', database, /^Restoring database .*member\.db, which has no digest .*, revision 21\n$/],
    ['of-directory', member, /^Restoring database .*stopped\/member\/snap\/db, which has no digest/],
  ] as const) {
    const dataDir = join(root, name);
    assert.match(await good('--snapshot', given, '--data-dir', dataDir), kind);
    assert.equal(await revisionIn(dataDir), KEYS + 1 + BUMP);
    made.push(readFileSync(join(dataDir, 'member/snap/db')));
    assert.ok(existsSync(given), 'what is given stays');
  }
  assert.ok(made.every((one) => one.equals(made[0]!)));
  const plain = join(root, 'plain');
  await good('--snapshot', snapshot, '--data-dir', plain, '--bump-revision=0');
  assert.equal(await revisionIn(plain), KEYS + 1);
});

test('what a plan says, done on each host, makes the members of one new cluster', async () => {
  const text = await good(
    '--snapshot',
    snapshot,
    '--cluster',
    `--initial-cluster=${CLUSTER}`,
    '--data-dir=etcd',
  );
  assert.match(
    text,
    /^A cluster of 3 from snapshot .*saved\.db, revision 21; every record was read\.\n\n1\. /,
  );
  const [, sum] = /echo '(\S+) {2}\S+' \| sha256sum --check/.exec(text)!;
  assert.equal(spawnSync('sha256sum', [snapshot], { encoding: 'utf8' }).stdout.slice(0, 64), sum);
  assert.ok(!existsSync('etcd'), 'nothing is made');
  const commands = text.match(/^ +etcdadm restore .*$/gm)!.map((line) => line.trim().split(' ').slice(2));
  assert.equal(commands.length, 3);
  const clusters = new Set<bigint>();
  const members = new Set<bigint>();
  for (const [i, words] of commands.entries()) {
    const dataDir = join(root, `planned-${i}`);
    await good(...words.map((word) => word.replace('--data-dir=etcd', `--data-dir=${dataDir}`)));
    const { clusterId, memberId } = dataIdentity(dataDir)!;
    clusters.add(clusterId);
    members.add(memberId);
    assert.equal(await revisionIn(dataDir), KEYS + 1 + BUMP);
  }
  assert.equal(clusters.size, 1);
  assert.equal(members.size, 3);
  // A cluster is never taken for one that was restored before.
  const again = await good(
    '--snapshot',
    snapshot,
    '--cluster',
    `--initial-cluster=${CLUSTER}`,
    '--init-system=kubelet',
  );
  const scratch = mkdtempSync(join(root, 'scratch-'));
  await good('--snapshot', snapshot, '--cluster', `--initial-cluster=${CLUSTER}`, '--scratch', scratch);
  assert.deepEqual(readdirSync(scratch), []);
  assert.match(again, /--initial-cluster-token=restored-\d{8}T\d{6}Z /);
  assert.match(again, /mv \/etc\/kubernetes\/manifests\/etcd\.yaml \/etc\/kubernetes\/stopped\//);
});

/** A backup in the clear, as `etcdadm backup` leaves it. */
function storeBackup(store: string, createdAt: string, revision: number): string {
  const content = readFileSync(snapshot);
  const time = createdAt.replace(/[-:]|\.\d+/g, '');
  const name = `etcd-ab-${time}-${String(revision).padStart(16, '0')}.db`;
  const sha256 = createHash('sha256').update(content).digest('hex');
  const texts = { name, createdAt, clusterId: 'ab', memberId: 'cd', memberVersion: '3.7.3', source: 'a:1' };
  const sizes = { sizeBytes: content.length, storedBytes: content.length, sha256, storedSha256: sha256 };
  const rest = {
    format: 1,
    revision,
    hash: 1,
    hashCompactRevision: 0,
    compression: 'none',
    encryption: 'none',
  };
  mkdirSync(store, { recursive: true });
  writeFileSync(join(store, name), content);
  writeFileSync(join(store, `${name}.json`), JSON.stringify({ ...texts, ...sizes, ...rest }));
  return name;
}

test('a plan from a store names the backup, which stays the one when a newer one comes', async () => {
  const store = join(root, 'store');
  const name = storeBackup(store, '2026-11-01T00:00:00.000Z', KEYS + 1);
  const text = await good('--store', store, '--cluster', `--initial-cluster=${CLUSTER}`, '--data-dir=etcd');
  assert.match(
    text,
    new RegExp(`^A cluster of 3 from backup ${name}, revision 21; every record was read\\.\n`),
  );
  assert.doesNotMatch(text, /sha256sum/, 'every host reaches the store');
  storeBackup(store, '2026-11-02T00:00:00.000Z', KEYS + 2);
  const [first] = text.match(/^ +etcdadm restore .*$/gm)!;
  const words = first!.trim().split(' ').slice(2);
  assert.deepEqual(words.slice(0, 2), [name, `--store=${store}`]);
  const dataDir = join(root, 'of-store');
  const told = await good(...words.map((word) => word.replace('--data-dir=etcd', `--data-dir=${dataDir}`)));
  assert.match(told, new RegExp(`^Restoring backup ${name}, `));
  writeFileSync(join(store, name), 'damaged');
  const { code, errors } = await restore(name, '--store', store, '--cluster', `--initial-cluster=${CLUSTER}`);
  assert.equal(code, 1);
  assert.match(errors, new RegExp(`${name}: `));
});

test('one of several is made, and what the others need is said', async () => {
  const dataDir = join(root, 'first');
  const { code, text, errors } = await restore(
    ...['--snapshot', snapshot, '--data-dir', dataDir, `--initial-cluster=${CLUSTER}`],
    ...['--name=m1', '--initial-advertise-peer-urls=https://10.0.0.7:2380'],
  );
  assert.equal(code, 0, errors);
  assert.match(errors, /WARNING: without --initial-cluster-token members of the cluster that was/);
  const others = text.match(/^ {2}etcdadm restore .*$/gm)!;
  assert.deepEqual(
    others.map((line) => /--name=(\S+)/.exec(line)![1]),
    ['m0', 'm2'],
  );
  assert.ok(others.every((line) => line.includes(`--bump-revision=${BUMP}`)));
});

test('what can not be restored is refused with one line before anything is made', async () => {
  const flipped = join(root, 'flipped.db');
  const bytes = readFileSync(snapshot);
  bytes[9_000]! ^= 1;
  writeFileSync(flipped, bytes);
  const copy = join(root, 'flipped-copy.db');
  // The root of the whole, in both places where it may stand.
  writeFileSync(copy, readFileSync(database).fill(1, 0, 8192));
  const cut = join(root, 'cut.db');
  writeFileSync(cut, readFileSync(database).subarray(0, 5_000));
  const taken = join(root, 'taken');
  mkdirSync(join(taken, 'member'), { recursive: true });
  const dataDir = join(root, 'never');
  const before = readdirSync(root).sort();
  const three = `--initial-cluster=${CLUSTER}`;
  for (const [words, reason] of [
    [['--snapshot', flipped], /expected sha256 \[/],
    [['--snapshot', copy], /invalid database/],
    [['--snapshot', cut], /5000 bytes are neither a snapshot nor a database: it was cut off/],
    [['--snapshot', join(root, 'absent.db')], /absent\.db: no such file/],
    [['--snapshot', taken], /taken is neither a snapshot nor the data directory of a member/],
    [['--snapshot', snapshot, '--store', root], /give one of --store, --snapshot/],
    [[], /give one of --store, --snapshot/],
    [['NAME', '--snapshot', snapshot], /no backup is to be named/],
    [['--snapshot', snapshot, '--to-revision=5'], /--to-revision needs a --store with the changes/],
    [['--snapshot', snapshot, '--data-dir', taken], /data-dir ".*taken" not empty or could not be read/],
    [['--snapshot', snapshot, three], /couldn't find local name "default" in the initial cluster/],
    [
      ['--snapshot', snapshot, three, '--cluster', '--init-system=initd'],
      /initd is none of systemd, kubelet/,
    ],
    [['--snapshot', snapshot, '--cluster'], /--cluster needs an --initial-cluster/],
    [['--snapshot', flipped, '--cluster', three], /expected sha256 \[/],
    [['--snapshot', snapshot, '--cluster', '--initial-cluster=m0=nonsense'], /nonsense/],
  ] as const) {
    const { code, errors } = await restore('--data-dir', dataDir, ...words);
    assert.equal(code, 1, words.join(' '));
    assert.match(errors, reason, words.join(' '));
    assert.equal(errors.split('\n').filter((line) => line !== '').length, 1, errors);
    assert.deepEqual(readdirSync(root).sort(), before);
  }
});

test('words are read by a shell as they are meant', () => {
  for (const word of [
    "it's",
    'a b',
    's3://bucket/x?endpoint=http://h&region=r',
    '$(x)',
    '',
    'm0=https://[::1]:2380',
  ]) {
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
    assert.equal(stdout, word);
  }
  assert.equal(shellWord('--name=m0'), '--name=m0');
});

test('members in one place are stopped once, and hosts that reach a store need no file', () => {
  const member = { peerUrls: ['http://h:2380'], command: 'restore it', dataDir: '/d', walDir: '' };
  const members = ['a', 'b'].map((name) => ({ ...member, name }));
  const text = planText({ title: 'T.', members, initSystem: 'systemd', file: null });
  assert.equal(text.match(/mv -T \/d \/d\.old/g)?.length, 1);
  assert.equal(text.match(/chown -R --reference=\/d\.old \/d$/gm)?.length, 2);
  assert.doesNotMatch(text, /sha256sum/);
});

test('what a plan says is read by a shell as it is meant, whatever a file is called', () => {
  const member = { name: 'a', peerUrls: ['http://h:2380'], command: 'restore it', dataDir: '/d', walDir: '' };
  const file = { path: "/it's; echo no", sha256: 'ab' };
  const text = planText({ title: 'T.', members: [member], initSystem: 'systemd', file });
  const [line] = /echo .*(?= \| sha256sum --check)/.exec(text)!;
  assert.equal(spawnSync('sh', ['-c', line], { encoding: 'utf8' }).stdout, `ab  ${file.path}\n`);
});

test('a log with a directory of its own is out of the way of its restore', () => {
  const member = { name: 'a', peerUrls: ['http://h:2380'], command: 'restore it', dataDir: '/d' };
  const plan = (walDir: string): string =>
    planText({ title: 'T.', members: [{ ...member, walDir }], initSystem: 'systemd', file: null });
  const text = plan('/w');
  assert.match(text, /^ +mv -T \/d \/d\.old\n +mv -T \/w \/w\.old$/m);
  assert.match(text, /^ +chown -R --reference=\/d\.old \/d\n +chown -R --reference=\/w\.old \/w$/m);
  assert.doesNotMatch(plan('/d/wal'), /\/d\/wal/);
});
