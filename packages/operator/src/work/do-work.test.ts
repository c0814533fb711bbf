import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { doWork } from './do-work.ts';
import { type BackupWork, parseWork, type RestoreWork } from './work.ts';

const BACKUP: BackupWork = {
  kind: 'backup',
  resultFile: '/dev/null',
  store: '/backup/a',
  endpoints: ['https://c-0:2379', 'https://c-1:2379'],
  tlsDirectory: '/tls',
  passphraseFile: null,
  identityFile: '/key/identity',
  recipients: ['age1x'],
  compression: 'gzip',
  verify: true,
  scratch: '/scratch',
  retention: { last: 3, withinMs: 3_600_000, hourly: 0, daily: 7, weekly: 0, monthly: 0 },
};
const MADE = {
  name: 'etcd-1.db.gz.age',
  clusterId: 'a',
  memberVersion: '3.6.4',
  revision: 7,
  sizeBytes: 20,
  storedBytes: 10,
};

/** Notes what it is asked for, and answers as `etcdadm` does. */
function tool(calls: string[], fails: (args: readonly string[]) => boolean = () => false) {
  return async (args: readonly string[]): Promise<string> => {
    calls.push(args.join(' '));
    if (fails(args)) throw new Error('etcdadm backup: no');
    if (args[1] === 'prune') return 'Removed a\nRemoved b\nFreed 1 that were never finished\n';
    return args.includes('--json') ? JSON.stringify(MADE) : '';
  };
}

test('a backup is made, verified, and only then older ones go', async () => {
  const calls: string[] = [];
  const { name, ...known } = MADE;
  assert.deepEqual(await doWork(BACKUP, tool(calls)), {
    backupName: name,
    ...known,
    isVerified: true,
    removed: 2,
  });
  assert.deepEqual(calls, [
    'backup --store=/backup/a --endpoints=https://c-0:2379,https://c-1:2379 --compression=gzip --recipient=age1x --cacert=/tls/ca.crt --cert=/tls/tls.crt --key=/tls/tls.key --json',
    'backup verify etcd-1.db.gz.age --store=/backup/a --identity=/key/identity --scratch=/scratch',
    'backup prune --up-to=etcd-1.db.gz.age --store=/backup/a --keep-last=3 --keep-daily=7 --keep-within=3600s',
  ]);
  const failing: string[] = [];
  await assert.rejects(
    doWork(
      BACKUP,
      tool(failing, (args) => args[1] === 'verify'),
    ),
    /etcdadm backup: no/,
  );
  assert(!failing.some((call) => call.includes('prune')));
});

test('nothing is verified or removed that nobody has asked for, and an open backup is asked for as such', async () => {
  const calls: string[] = [];
  const plain = { ...BACKUP, verify: false, retention: null, recipients: [], tlsDirectory: null };
  await doWork(plain, tool(calls));
  assert.deepEqual(calls, [
    'backup --store=/backup/a --endpoints=https://c-0:2379,https://c-1:2379 --compression=gzip --unencrypted --json',
  ]);
});

function restoreIn(t: TestContext): RestoreWork {
  const volume = mkdtempSync(join(tmpdir(), 'restore-'));
  t.after(() => rmSync(volume, { recursive: true }));
  return {
    kind: 'restore',
    resultFile: '/dev/null',
    store: 's3://b/p',
    passphraseFile: '/p/passphrase',
    identityFile: null,
    backupName: 'etcd-1.db',
    toTime: null,
    volume,
    restoreUid: 'u2',
    member: 'c-0',
    peerUrl: 'http://c-0.c.n.svc:2380',
    clusterToken: 'n-c-u2',
  };
}

/** As `etcdadm restore` does. */
async function restoreTool(args: readonly string[]): Promise<string> {
  const directory = args.find((arg) => arg.startsWith('--data-dir='))!.slice('--data-dir='.length);
  mkdirSync(directory);
  writeFileSync(join(directory, 'member'), 'new');
  return '';
}

const data = ({ volume }: RestoreWork): string => readFileSync(join(volume, 'data', 'member'), 'utf8');

test('a restore takes the place of the data, which stays beside it until the next one', async (t) => {
  const work = restoreIn(t);
  const { volume } = work;
  mkdirSync(join(volume, 'data'));
  writeFileSync(join(volume, 'data', 'member'), 'old');
  mkdirSync(join(volume, 'before-u1'));
  writeFileSync(join(volume, 'restored-u1'), '');
  const calls: string[] = [];
  const run = (args: readonly string[]): Promise<string> => {
    calls.push(args.join(' '));
    return restoreTool(args);
  };
  assert.deepEqual(await doWork(work, run), { backupName: 'etcd-1.db' });
  assert.equal(data(work), 'new');
  assert.deepEqual(readdirSync(volume).sort(), ['before-u2', 'data', 'restored-u2']);
  assert.equal(readFileSync(join(volume, 'before-u2', 'member'), 'utf8'), 'old');
  assert.deepEqual(calls, [
    `restore etcd-1.db --store=s3://b/p --passphrase-file=/p/passphrase --data-dir=${volume}/restoring-u2 --name=c-0 --initial-cluster=c-0=http://c-0.c.n.svc:2380 --initial-advertise-peer-urls=http://c-0.c.n.svc:2380 --initial-cluster-token=n-c-u2`,
  ]);
  writeFileSync(join(volume, 'data', 'member'), 'written since');
  await doWork(work, run);
  assert.equal(data(work), 'written since', 'a worker that comes twice changes nothing');
});

test('a restore that failed leaves the data, and one that was cut off goes on where it was', async (t) => {
  const work = restoreIn(t);
  const { volume } = work;
  const path = (...names: string[]): string => join(volume, ...names);
  const never = (): Promise<string> => Promise.reject(new Error('asked again'));
  mkdirSync(path('data'));
  writeFileSync(path('data', 'member'), 'old');
  await assert.rejects(
    doWork(work, () => Promise.reject(new Error('no backup'))),
    /no backup/,
  );
  assert.equal(data(work), 'old');
  // A worker that was killed leaves a directory that is not whole, and a snapshot.
  const killed = async (): Promise<string> => {
    mkdirSync(path('restoring-u2', 'member.tmp'), { recursive: true });
    mkdirSync(path('.etcd-restore-x'));
    throw new Error('killed');
  };
  await assert.rejects(doWork(work, killed), /killed/);
  assert.equal(data(work), 'old');
  await doWork(work, restoreTool);
  assert.equal(data(work), 'new');
  assert.deepEqual(readdirSync(volume).sort(), ['before-u2', 'data', 'restored-u2']);
  // After the second rename.
  renameSync(path('restored-u2'), path('restoring-u2.whole'));
  await doWork(work, never);
  assert.equal(data(work), 'new');
  // Between the two of them.
  renameSync(path('restored-u2'), path('restoring-u2.whole'));
  renameSync(path('data'), path('restoring-u2'));
  await doWork(work, never);
  assert.equal(data(work), 'new');
  // Before the first.
  renameSync(path('restored-u2'), path('restoring-u2.whole'));
  renameSync(path('data'), path('restoring-u2'));
  renameSync(path('before-u2'), path('data'));
  await doWork(work, never);
  assert.equal(data(work), 'new');
  assert.equal(readFileSync(path('before-u2', 'member'), 'utf8'), 'old');
  assert(existsSync(path('restored-u2')));
});

test('work that nobody has described is refused', () => {
  assert.throws(() => parseWork('null'), /says nothing/);
  assert.throws(() => parseWork('{"kind":"other"}'), /says nothing/);
});
