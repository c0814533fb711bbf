/** `etcdutl backup` as that of etcd 3.5, which is the last to have it: members of both programs go on from what either makes. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { foundedAt, needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type Ended, eventually, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { goTool } from './files.ts';

const OURS = `${ROOT}bin/etcdutl`;
const KEYS = 30;

async function ctl(server: EtcdServer, ...args: string[]): Promise<string> {
  return await eventually(`etcdctl ${args.join(' ')}`, async () => {
    const ended = await run(peer('3.5', 'etcdctl'), [`--endpoints=${server.address}`, ...args]);
    return ended.code === 0 ? ended.stdout : null;
  });
}

/** The data directory of a member that has ended; with a small `snapshotCount`, its log begins at a snapshot. */
async function makeMember(program: string, snapshotCount: number): Promise<string> {
  const dataDir = join(temporaryDirectory(), 'member');
  const flags = [
    ...FAST_ELECTION,
    `--snapshot-count=${snapshotCount}`,
    ...(program === SUBJECT ? foundedAt('3.5') : []),
  ];
  const server = await EtcdServer.start({ program, dataDir, flags });
  for (let i = 0; i < KEYS; i++) await ctl(server, 'put', `key/${i}`, `value ${i}`);
  await ctl(server, 'del', 'key/3');
  await server.stop();
  return dataDir;
}

/** Starts a member alone on a copy of the directory; gives its keys, and writes one. */
async function goOn(program: string, made: string): Promise<string> {
  const dataDir = join(temporaryDirectory(), 'copy');
  cpSync(made, dataDir, { recursive: true });
  const more = program === SUBJECT ? foundedAt('3.5') : [];
  const server = await EtcdServer.start({
    program,
    dataDir,
    flags: [...FAST_ELECTION, '--force-new-cluster', ...more],
  });
  try {
    const keys = await ctl(server, 'get', 'key/', '--prefix', '--keys-only');
    assert.equal(await ctl(server, 'put', 'written', 'later'), 'OK\n');
    assert.match(await ctl(server, 'member', 'list'), /^[0-9a-f]+, started, [^\n]+\n$/);
    return keys;
  } finally {
    await server.stop();
  }
}

describe('etcdutl backup', needs('etcd 3.5'), () => {
  let members: { readonly name: string; readonly dataDir: string }[];

  before(async () => {
    members = [
      { name: 'of etcd 3.5, without a snapshot', dataDir: await makeMember(peer('3.5', 'etcd'), 100_000) },
      { name: 'of etcd 3.5, with snapshots', dataDir: await makeMember(peer('3.5', 'etcd'), 10) },
      { name: 'of ours, with snapshots', dataDir: await makeMember(SUBJECT, 10) },
    ];
  });

  test('members of etcd 3.5 and ours go on from a backup as from one that etcd 3.5 has made', async () => {
    for (const { name, dataDir } of members) {
      for (const withKeys of [true, false]) {
        const [ours, theirs] = await Promise.all(
          [OURS, goTool('3.5')].map(async (program) => {
            const backup = join(temporaryDirectory(), 'backup');
            const flags = ['backup', '--data-dir', dataDir, '--backup-dir', backup, `--with-v3=${withKeys}`];
            const { code, stdout, stderr } = await run(program, flags);
            assert.deepEqual([code, stdout], [0, ''], stderr);
            return backup;
          }),
        );
        assert.ok(ours !== undefined && theirs !== undefined);
        const names = (directory: string): string[] =>
          readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
        assert.deepEqual(names(ours), names(theirs), name);
        assert.equal(statSync(join(ours, 'member/snap/db')).mode & 0o777, 0o600);
        for (const program of [peer('3.5', 'etcd'), SUBJECT]) {
          const keys = await goOn(program, ours);
          assert.equal(keys, await goOn(program, theirs), `${name}, ${program}, keys: ${withKeys}`);
          assert.equal(keys.match(/key\//g)?.length ?? 0, withKeys ? KEYS - 1 : 0, name);
        }
      }
    }
  });

  test('the log may be elsewhere, on both sides', async () => {
    const cwd = temporaryDirectory();
    const [{ dataDir } = assert.fail()] = members;
    cpSync(dataDir, join(cwd, 'from'), { recursive: true });
    cpSync(join(cwd, 'from/member/wal'), join(cwd, 'log'), { recursive: true });
    const flags = ['--wal-dir', 'log', '--backup-wal-dir', 'to/log'];
    const made = await run(OURS, ['backup', '--data-dir', 'from', '--backup-dir', 'to', ...flags], { cwd });
    assert.equal(made.code, 0, made.stderr);
    assert.ok(existsSync(join(cwd, 'to/log/0000000000000000-0000000000000000.wal')));
    assert.equal(existsSync(join(cwd, 'to/member/wal')), false);
  });

  test('what can not be read, or has something where it would write, is refused as by etcd 3.5, and left alone', async () => {
    const cwd = temporaryDirectory();
    const [{ dataDir } = assert.fail()] = members;
    mkdirSync(join(cwd, 'full/member/snap/db'), { recursive: true });
    cpSync(join(dataDir, 'member/wal'), join(cwd, 'logged'), { recursive: true });
    mkdirSync(join(cwd, 'halved/member'), { recursive: true });
    cpSync(join(dataDir, 'member/snap'), join(cwd, 'halved/member/snap'), { recursive: true });
    const backUp = (program: string, ...flags: string[]): Promise<Ended> =>
      run(program, ['backup', ...flags], { cwd });
    for (const flags of [
      [],
      ['--data-dir', dataDir],
      ['--data-dir', 'nothing', '--backup-dir', 'made'],
      ['--data-dir', 'halved', '--backup-dir', 'made'],
      ['--data-dir', dataDir, '--backup-dir', 'full'],
      ['--data-dir', dataDir, '--backup-dir', dataDir],
      ['--data-dir', dataDir, '--backup-dir', 'made', '--backup-wal-dir', 'logged'],
    ]) {
      const { code, stdout, stderr } = await backUp(OURS, ...flags);
      assert.deepEqual([code, stdout], [1, ''], flags.join(' '));
      assert.equal(stderr.match(/^Error: /gm)?.length, 1, stderr);
      assert.equal(existsSync(join(cwd, 'made')), false, flags.join(' '));
      assert.equal((await backUp(goTool('3.5'), ...flags)).code, code, flags.join(' '));
      for (const left of ['made', 'made/member/wal'])
        if (existsSync(join(cwd, left))) await run('/bin/rm', ['-r', left], { cwd });
    }
    assert.deepEqual(readdirSync(join(cwd, 'full/member/snap')), ['db']);
  });

  test('an empty place is taken', async () => {
    const cwd = temporaryDirectory();
    const [{ dataDir } = assert.fail()] = members;
    mkdirSync(join(cwd, 'made/member/snap'), { recursive: true });
    const { code, stderr } = await run(OURS, ['backup', '--data-dir', dataDir, '--backup-dir', 'made'], {
      cwd,
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(readdirSync(join(cwd, 'made')), ['member']);
    assert.ok(readFileSync(join(cwd, 'made/member/snap/db')).length > 0);
  });
});
