/** `etcdadm backup` and `restore` with members of real etcd and ours; the programs `age` and `zstd`, and Go's etcdutl, open what it makes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Cluster, QUICK_ELECTION } from '../../support/cluster.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const KEYS = 200;
const PROGRAMS = { ours: SUBJECT, '3.7': peer('3.7', 'etcd') };

function etcdadm(...args: string[]): Promise<Ended> {
  return run(`${ROOT}bin/etcdadm`, args);
}

async function good(...args: string[]): Promise<string> {
  const ended = await etcdadm(...args);
  assert.equal(ended.code, 0, `${args.join(' ')}\n${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}

interface Place {
  readonly store: string;
  readonly identity: string;
  readonly recipient: string;
  readonly directory: string;
}

function newPlace(): Place {
  const directory = temporaryDirectory();
  const identity = join(directory, 'key.txt');
  const made = spawnSync('age-keygen', ['-o', identity], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const recipient = /public key: (age1\w+)/.exec(readFileSync(identity, 'utf8'))![1]!;
  return { directory, identity, recipient, store: join(directory, 'store') };
}

async function ctl(server: EtcdServer, ...args: string[]): Promise<string> {
  const ended = await run(peer('3.7', 'etcdctl'), [`--endpoints=${server.address}`, ...args]);
  assert.equal(ended.code, 0, ended.stderr);
  return ended.stdout;
}

async function fill(server: EtcdServer): Promise<void> {
  for (let i = 0; i < KEYS; i++) await ctl(server, 'put', `key/${i}`, `${i}`.repeat(100));
  await ctl(server, 'del', 'key/7');
}

interface Listed {
  readonly name: string;
  readonly revision: number;
  readonly sha256: string;
  readonly source: string;
}

async function listed(store: string): Promise<Listed[]> {
  return JSON.parse(await good('backup', 'list', '--store', store, '--json')) as Listed[];
}

/** A snapshot that is whole, and another than its metadata say. */
async function refusesOtherMetadata(path: string, store: string, identity: string): Promise<void> {
  const text = readFileSync(path, 'utf8');
  const metadata = JSON.parse(text) as { hash: number; keys: number; revision: number };
  const { hash, keys, revision } = metadata;
  const is = (value: number, other: number): string => `at revision ${revision} is ${value}.*, not ${other}`;
  for (const [change, reason, ...flags] of [
    [{ hash: hash ^ 1 }, `the hash ${is(hash, hash ^ 1)} as its member said`, '--skip-start'],
    [{ hash: hash ^ 1 }, `the hash ${is(hash, hash ^ 1)}`],
    [{ keys: keys + 1 }, `the number of keys ${is(keys, keys + 1)}`],
    [{ revision: revision + 1 }, 'future revision', '--skip-start'],
    [{ revision: revision + 1 }, 'future revision'],
  ] as const) {
    writeFileSync(path, JSON.stringify({ ...metadata, ...change }));
    const ended = await etcdadm('backup', 'verify', '--store', store, '--identity', identity, ...flags);
    assert.equal(ended.code, 1, ended.stdout);
    assert.match(ended.stderr, new RegExp(reason));
  }
  writeFileSync(path, text);
}

const tools = needs('etcd 3.7', 'age', 'zstd');

for (const kind of ['ours', '3.7'] as const) {
  test(`a member of ${kind} is backed up, and a member made of it goes on`, tools, async () => {
    const { store, recipient, identity, directory } = newPlace();
    const server = await EtcdServer.start({ program: PROGRAMS[kind], flags: FAST_ELECTION });
    try {
      await fill(server);
      await good('backup', '--store', store, '--endpoints', server.address, '--recipient', recipient);
    } finally {
      await server.stop();
    }
    const [made] = await listed(store);
    assert.match(made!.name, /^etcd-[0-9a-f]+-\d{8}T\d{6}Z-\d{16}\.db\.zst\.age$/);
    assert.equal(made!.revision, KEYS + 2);
    const snapshot = join(directory, 'snapshot.db');
    await good('backup', 'get', '--store', store, '--identity', identity, '--output', snapshot);
    const opened = spawnSync(
      'sh',
      ['-c', 'age -d -i "$1" "$2" | zstd -d | sha256sum', 'sh', identity, join(store, made!.name)],
      { encoding: 'utf8' },
    );
    assert.equal(opened.stdout.slice(0, 64), made!.sha256, opened.stderr);
    const report = await good('backup', 'verify', '--store', store, '--identity', identity);
    assert.match(
      report,
      new RegExp(
        `is good: ${KEYS + 1} revisions, 0 leases, 0 users; the hash is that of its member; a member made of it starts at revision ${KEYS + 2} with ${KEYS - 1} keys\n$`,
      ),
    );
    if (kind === 'ours') await refusesOtherMetadata(join(store, `${made!.name}.json`), store, identity);
    const theirs = join(directory, 'theirs');
    const restored = await run(peer('3.7', 'etcdutl'), [
      'snapshot',
      'restore',
      snapshot,
      '--data-dir',
      theirs,
    ]);
    assert.equal(restored.code, 0, restored.stderr);
    const ours = join(directory, 'ours');
    await good('restore', '--store', store, '--identity', identity, '--data-dir', ours);
    for (const [dataDir, program] of [
      [theirs, PROGRAMS['3.7']],
      [ours, PROGRAMS['3.7']],
      [ours, SUBJECT],
    ] as const) {
      const member = await EtcdServer.launch({ name: 'default', dataDir, program, flags: FAST_ELECTION });
      try {
        await member.ready();
        const keys = await ctl(member, 'get', 'key/', '--prefix', '--keys-only');
        assert.equal(keys.match(/key\//g)?.length, KEYS - 1);
        const status = await ctl(member, 'endpoint', 'status', '-w', 'json');
        const revision = Number(/"revision":(\d+)/.exec(status)![1]);
        assert.equal(revision > 1_000_000_000, dataDir === ours, status);
      } finally {
        await member.stop();
      }
    }
    assert.deepEqual(readdirSync(directory).sort(), ['key.txt', 'ours', 'snapshot.db', 'store', 'theirs']);
  });
}

describe('a backup', tools, () => {
  const place = newPlace();
  const { store, recipient, identity, directory } = place;

  test('is not made of a member that is not there, nor in the clear unless asked for', async () => {
    const absent = await etcdadm(
      'backup',
      '--store',
      store,
      '--endpoints',
      '127.0.0.1:1',
      '--command-timeout=2s',
      '--recipient',
      recipient,
    );
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /^Error: no member can be backed up: 127\.0\.0\.1:1: /);
    assert.ok(!existsSync(store));
    const unsealed = await etcdadm('backup', '--store', store);
    assert.match(unsealed.stderr, /^Error: give one of --recipient/);
    const wrong = await etcdadm(
      'backup',
      '--store',
      store,
      '--recipient',
      'age1nonsense',
      '--endpoints',
      '127.0.0.1:1',
      '--command-timeout=2s',
    );
    assert.equal(wrong.code, 1);
  });

  test('that is damaged, cut off or somebody else’s is refused, and nothing is left of a restore', async () => {
    const server = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
    await fill(server);
    const common = ['backup', '--store', store, '--endpoints', server.address];
    await good(...common, '--recipient', recipient, '--compression', 'gzip');
    await server.stop();
    const [{ name }] = (await listed(store)) as [Listed];
    const path = join(store, name);
    const content = readFileSync(path);
    const dataDir = join(directory, 'restored');
    const refused = async (reason: RegExp, ...secrets: string[]): Promise<void> => {
      for (const command of [
        ['backup', 'verify', '--store', store],
        ['restore', '--store', store, '--data-dir', dataDir],
      ]) {
        const ended = await etcdadm(...command, ...secrets);
        assert.equal(ended.code, 1, ended.stdout);
        assert.match(ended.stderr, reason);
        assert.equal(ended.stderr.split('\n').length, 2, ended.stderr);
      }
      assert.deepEqual(readdirSync(directory).sort(), ['key.txt', 'store']);
    };
    await refused(/can not be opened with this key/, '--identity', newPlace().identity);
    for (const damage of [
      (bytes: Buffer) => {
        bytes[bytes.length >> 1]! ^= 1;
        return bytes;
      },
      (bytes: Buffer) => bytes.subarray(0, bytes.length - 100),
      () => Buffer.alloc(0),
    ]) {
      writeFileSync(path, damage(Buffer.from(content)));
      await refused(
        new RegExp(`^Error: ${name.replaceAll('.', '\\.')}: the backup `),
        '--identity',
        identity,
      );
    }
    writeFileSync(path, content);
    mkdirSync(join(dataDir, 'member'), { recursive: true });
    const second = await etcdadm('restore', '--store', store, '--identity', identity, '--data-dir', dataDir);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /not empty|exists/);
    assert.deepEqual(readdirSync(dataDir), ['member']);
  });

  test('of a cluster comes from a follower, and old ones go', async () => {
    const cluster = await Cluster.start(['ours', '3.7', 'ours'], { flags: () => QUICK_ELECTION });
    const own = join(directory, 'own');
    try {
      const leader = await cluster.leader();
      for (let i = 0; i < 3; i++) {
        await cluster.at(0).rpc.call('KV.Put', { key: 'key', value: `${i}` });
        await good('backup', '--store', own, '--unencrypted', '--endpoints', cluster.addresses.join());
      }
      const all = await listed(own);
      assert.equal(all.length, 3);
      for (const { source } of all) assert.notEqual(source, leader.address);
      assert.match(
        await good('backup', 'prune', '--store', own, '--keep-last=2', '--dry-run'),
        /^Would remove /,
      );
      assert.equal((await listed(own)).length, 3);
      await good('backup', 'prune', '--store', own, '--keep-last=2');
      assert.deepEqual(
        (await listed(own)).map(({ name }) => name),
        all.slice(1).map(({ name }) => name),
      );
      const nothing = await etcdadm('backup', 'prune', '--store', own);
      assert.match(nothing.stderr, /say what is to stay/);
    } finally {
      await cluster.stop();
    }
  });
});

test(
  'a member backs itself up, and any revision of the changes since is restored, hash for hash',
  tools,
  async () => {
    const { store, recipient, identity, directory } = newPlace();
    const server = await EtcdServer.start({
      program: SUBJECT,
      flags: [
        ...FAST_ELECTION,
        `--backup-store=${store}`,
        `--backup-recipients=${recipient}`,
        '--backup-schedule=24h',
        '--backup-changes-interval=200ms',
      ],
    });
    const hashAt = new Map<number, string>();
    try {
      while (!existsSync(store) || (await listed(store)).length === 0) await setTimeout(100);
      for (let i = 0; i < 20; i++) await ctl(server, 'put', `key/${i % 7}`, `${i}`.repeat(50));
      await ctl(server, 'del', 'key/', '--prefix');
      await ctl(server, 'put', 'last', 'one');
      for (const revision of [9, 15, 22, 23]) {
        const told = await ctl(server, 'endpoint', 'hashkv', '--rev', String(revision), '-w', 'json');
        hashAt.set(revision, /"hash":(\d+)/.exec(told)![1]!);
      }
      const reached = /^etcd_server_backup_changes_revision\{.*\} 23$/m;
      while (!reached.test(await (await fetch(`http://${server.address}/metrics`)).text()))
        await setTimeout(100);
    } finally {
      await server.stop();
    }
    const restore = ['restore', '--store', store, '--identity', identity, '--bump-revision', '0'];
    for (const [revision, hash] of hashAt) {
      const dataDir = join(directory, `at-${revision}`);
      await good(...restore, '--data-dir', dataDir, '--to-revision', String(revision));
      const told = await run(peer('3.7', 'etcdutl'), [
        'hashkv',
        join(dataDir, 'member/snap/db'),
        '-w',
        'json',
      ]);
      assert.equal(told.code, 0, told.stderr);
      assert.equal(/"hash":(\d+)/.exec(told.stdout)![1], hash, told.stdout);
      assert.match(told.stdout, new RegExp(`"hashRevision":${revision}\\b`));
    }
    const beyond = await etcdadm(...restore, '--data-dir', join(directory, 'beyond'), '--to-revision', '24');
    assert.equal(beyond.code, 1);
    assert.match(beyond.stderr, /^Error: .*: the changes reach to revision 23, not to 24\n$/);
    assert.ok(!existsSync(join(directory, 'beyond')));
  },
);
