/**
 * `bin/etcdctl` prints what the tools of etcd 3.7 and 3.5 print, and ends as they end: each runs the same command lines against
 * a real server of its own, and what differs between any two runs (ids of leases, durations, ports) is masked.
 */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, REFERENCE, ROOT, versionOf } from '../../support/programs.ts';
import { type Ended, eventually, Running, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { BACKUP_LINES, DEPRECATED_LINES } from '../etcdutl/deprecated-lines.ts';
import { COMMAND_LINES, type Entry } from './command-lines.ts';
import { type Outcome, runLine } from './run-lines.ts';

type Outcomes = ReadonlyMap<Entry, Outcome>;

/** What `program` does with all lines, one after the other, on a server that nobody else uses. */
async function runAll(program: string): Promise<Outcomes> {
  const server = await EtcdServer.start({
    program: peer('3.7', 'etcd'),
    // Ids come from the members' peer URLs: with one URL, ids are equal too.
    advertisedPeerUrl: 'http://127.0.0.1:2380',
    flags: [...FAST_ELECTION, '--bcrypt-cost=4'],
  });
  const outcomes = new Map<Entry, Outcome>();
  const tool = { program, endpoint: server.address, cwd: temporaryDirectory() };
  for (const entry of COMMAND_LINES) outcomes.set(entry, await runLine(tool, entry));
  await server.stop();
  return outcomes;
}

describe('etcdctl', needs('etcd 3.5', 'etcd 3.7'), () => {
  let ours: Outcomes;
  let theirs: Readonly<Record<'3.5' | '3.7', Outcomes>>;

  before(async () => {
    const all = await Promise.all(
      [`${ROOT}bin/etcdctl`, peer('3.7', 'etcdctl'), peer('3.5', 'etcdctl')].map(runAll),
    );
    const [first, newer, older] = all;
    assert.ok(first !== undefined && newer !== undefined && older !== undefined);
    ours = first;
    theirs = { '3.5': older, '3.7': newer };
  });

  for (const release of ['3.7', '3.5'] as const) {
    test(`prints and ends as that of etcd ${release}`, () => {
      const differences: string[] = [];
      for (const entry of COMMAND_LINES) {
        if (release === '3.5' && entry.since36 === true) continue;
        const our = ours.get(entry);
        const their = theirs[release].get(entry);
        assert.ok(our !== undefined && their !== undefined);
        const difference = compare(entry, our, their);
        if (difference !== '') differences.push(`etcdctl ${entry.line}\n${difference}`);
      }
      assert.equal(differences.join('\n'), '');
    });
  }
});

function compare(entry: Entry, our: Outcome, their: Outcome): string {
  const differences: string[] = [];
  if (our.code !== their.code) differences.push(`  exit code ${our.code} instead of ${their.code}`);
  // The tool of 3.5 prints help on stdout with every mistake.
  const isHelp = their.stdout.startsWith('NAME:') && their.error !== '';
  const isOwn = entry.ownOutput === true || isHelp;
  if (!isOwn && our.stdout !== their.stdout)
    differences.push(`  ours   ${JSON.stringify(our.stdout)}\n  theirs ${JSON.stringify(their.stdout)}`);
  if (entry.ownOutput === true && !isHelp && (our.stdout === '') !== (their.stdout === '')) {
    differences.push(`  ours prints ${our.stdout === '' ? 'nothing' : 'something'} on stdout`);
  }
  if (entry.ownWords !== true && our.error !== their.error)
    differences.push(`  ours   ${our.error}\n  theirs ${their.error}`);
  return differences.join('\n');
}

test('every flag of etcdctl stands in a command line of the table at least once', async () => {
  const { ROOT: root } = await import('@etcd/etcdctl/root');
  const lines = [
    ...COMMAND_LINES.map(({ line, env }) => `${line} ${Object.keys(env ?? {}).join(' ')}`),
    ...DEPRECATED_LINES,
    ...BACKUP_LINES,
  ].join('\n');
  const missing: string[] = [];
  const collect = (command: typeof root, path: string): void => {
    for (const { name, short } of [...(command.flags ?? []), ...(command.sharedFlags ?? [])]) {
      const variable = `ETCDCTL_${name.toUpperCase().replaceAll('-', '_')}`;
      const isUsed =
        lines.includes(`--${name}`) ||
        lines.includes(variable) ||
        (short !== undefined && lines.includes(` -${short}`));
      if (!isUsed) missing.push(`${path} --${name}`);
    }
    for (const below of command.commands ?? []) collect(below, `${path} ${below.name}`);
  };
  collect(root, root.name);
  assert.deepEqual(missing, []);
});

test('etcdctl has the version of etcd', async () => {
  const { stdout } = await run(`${ROOT}bin/etcdctl`, ['version']);
  const { major, minor, patch } = versionOf(`${ROOT}bin/etcd`);
  assert.equal(stdout, `etcdctl version: ${major}.${minor}.${patch}\nAPI version: ${major}.${minor}\n`);
});

test('make-mirror copies what is there and what comes, under another prefix', needs('etcd 3.5'), async () => {
  const [source, target] = await Promise.all(
    [1, 2].map(() => EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION })),
  );
  assert.ok(source !== undefined && target !== undefined);
  const tool = `${ROOT}bin/etcdctl`;
  const call = (server: EtcdServer, ...args: string[]): Promise<Ended> =>
    run(tool, [`--endpoints=${server.address}`, ...args]);
  for (const server of [source, target]) {
    for (const args of [
      ['user', 'add', 'root:pw'],
      ['auth', 'enable'],
    ])
      await call(server, ...args);
  }
  const user = ['--user=root:pw'];
  await call(source, ...user, 'put', 'a/1', 'one');
  await call(source, ...user, 'put', 'b/1', 'other');
  const mirror = new Running(tool, [
    `--endpoints=${source.address}`,
    ...user,
    'make-mirror',
    '--prefix=a/',
    '--dest-prefix=copy/',
    '--max-txn-ops=2',
    '--dest-user=root',
    '--dest-password=pw',
    target.address,
  ]);
  const copied = async (): Promise<string> => (await call(target, ...user, 'get', '', '--prefix')).stdout;
  await eventually('what was there is copied', async () => (await copied()) === 'copy/1\none\n');
  await run(tool, [`--endpoints=${source.address}`, ...user, 'txn'], {
    stdin: '\nput a/2 two\nput a/3 three\nput a/4 four\ndel a/1\n\n\n',
  });
  await eventually(
    'what comes is copied',
    async () => (await copied()) === 'copy/2\ntwo\ncopy/3\nthree\ncopy/4\nfour\n',
  );
  mirror.kill();
  await mirror.ended;
  await Promise.all([source.stop(), target.stop()]);
});

test('a snapshot is whole or not there', needs('etcd 3.5'), async () => {
  const server = await EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION });
  const cwd = temporaryDirectory();
  const tool = `${ROOT}bin/etcdctl`;
  await run(tool, [`--endpoints=${server.address}`, 'put', 'k', 'v']);
  const saved = await run(tool, [`--endpoints=${server.address}`, 'snapshot', 'save', 's.db'], { cwd });
  assert.deepEqual([saved.code, saved.stdout], [0, 'Snapshot saved at s.db\n']);
  assert.deepEqual(readdirSync(cwd), ['s.db']);
  assert.equal(statSync(join(cwd, 's.db')).mode & 0o777, 0o600);
  const status = await run(peer('3.5', 'etcdutl'), ['snapshot', 'status', 's.db'], { cwd });
  assert.equal(status.code, 0, status.stderr);
  await server.stop();
  const failed = await run(
    tool,
    [`--endpoints=${server.address}`, '--command-timeout=300ms', 'snapshot', 'save', 't.db'],
    { cwd },
  );
  assert.equal(failed.code, 5);
  assert.deepEqual(readdirSync(cwd), ['s.db']);
});

test('keys and values that are no text come and go as they are', needs('etcd 3.5'), async () => {
  const server = await EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION });
  const put = `"$0" --endpoints=${server.address} put "$(printf 'k\\377\\001')" "$(printf '\\200v')"`;
  assert.equal((await run('/bin/sh', ['-c', put, `${ROOT}bin/etcdctl`])).stdout, 'OK\n');
  for (const tool of [`${ROOT}bin/etcdctl`, peer('3.5', 'etcdctl')]) {
    const { stdout } = await run(tool, [`--endpoints=${server.address}`, 'get', 'k', '--prefix'], {
      encoding: 'latin1',
    });
    assert.equal(stdout, 'k\xff\x01\n\x80v\n');
  }
  await server.stop();
});

test('a reader that has gone ends etcdctl without a word', async () => {
  const script = '{ "$0" version; echo "code $?" >&2; } | true';
  const { stderr } = await run('/bin/sh', ['-c', script, `${ROOT}bin/etcdctl`]);
  assert.equal(stderr, 'code 141\n');
});
