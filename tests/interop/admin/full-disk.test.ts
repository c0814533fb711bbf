/** A disk that fills up under a backup, its rehearsal, a restore, a member's own backups: one line, exit code 1, and nothing half-made. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from '@etcd/client/node';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { ROOT, SUBJECT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const DISK = '2m';
const VALUES = 30;
const VALUE_BYTES = 100 * 1024;
/** Becomes root of a machine of its own, whose only difference is a small disk. */
const ALONE = ['unshare', '--user', '--map-root-user', '--mount', '--propagation', 'private'];
/** A disk of a size at a place, with what lies in a directory; a command; what it leaves there. */
const ON_SMALL_DISK = `mount -t tmpfs -o size="$1" tmpfs "$2" && cp -R "$3/." "$2" || exit 99
place=$2; shift 3; "$@"; code=$?
cd "$place" && find . -mindepth 1 | sed 's/^/left: /'; exit $code`;

function canMount(): { skip?: string } {
  const tried = spawnSync('unshare', [...ALONE.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return tried.status === 0 ? {} : { skip: 'no disk can be mounted here' };
}

interface Outcome {
  readonly code: number | null;
  readonly stderr: string;
  readonly left: readonly string[];
}

async function onSmallDisk(
  place: string,
  contents: string,
  words: readonly string[],
  size = DISK,
): Promise<Outcome> {
  const [program, ...args] = [...ALONE, 'sh', '-c', ON_SMALL_DISK, 'sh', size, place, contents, ...words];
  const { code, stdout, stderr } = await run(program!, args);
  const left = stdout.split('\n').flatMap((line) => /^left: \.\/(.*)$/.exec(line)?.[1] ?? []);
  return { code, stderr, left: left.sort() };
}

const FULL = /^Error: .*\/full.*: ENOSPC: no space left on device, \w+\n$/;

test(
  'a full disk ends a backup, a rehearsal, a copy and a restore with a line, and nothing is left of them',
  canMount(),
  async (t) => {
    const directory = temporaryDirectory();
    const place = join(directory, 'full');
    const nothing = join(directory, 'nothing');
    for (const path of [place, nothing]) mkdirSync(path);
    const [older, newer] = [join(directory, 'older'), join(directory, 'newer')];
    const server = await EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION });
    t.after(() => server.stop());
    const etcdadm = `${ROOT}bin/etcdadm`;
    const backupTo = (store: string): string[] => [
      etcdadm,
      'backup',
      '--endpoints',
      server.address,
      '--unencrypted',
      '--compression=none',
      '--store',
      store,
    ];
    const good = async ([program, ...args]: string[]): Promise<void> => {
      const ended = await run(program!, args);
      assert.equal(ended.code, 0, ended.stderr);
    };
    await good(backupTo(older));
    const client = connect({ endpoints: [server.address] });
    t.after(() => client.close());
    for (let i = 0; i < VALUES; i++) await client.kv.put(`key/${i}`, randomBytes(VALUE_BYTES));
    await good(backupTo(newer));

    const backup = await onSmallDisk(place, older, backupTo(place));
    assert.deepEqual([backup.code, backup.left], [1, readdirSync(older).sort()], backup.stderr);
    assert.match(backup.stderr, FULL);
    const from = ['--store', newer];
    for (const words of [
      ['backup', 'verify', ...from, '--scratch', place],
      ['backup', 'get', ...from, '--output', join(place, 'snapshot.db')],
      ['restore', ...from, '--data-dir', join(place, 'data')],
    ]) {
      const { code, stderr, left } = await onSmallDisk(place, nothing, [etcdadm, ...words]);
      assert.deepEqual([code, left], [1, []], `${words.join(' ')}: ${stderr}`);
      assert.match(stderr, FULL, words.join(' '));
    }
    // The snapshot has room there, and nothing that a member needs beside it.
    const restore = [etcdadm, 'restore', ...from, '--data-dir', join(place, 'data')];
    const late = await onSmallDisk(place, nothing, restore, '6m');
    assert.deepEqual([late.code, late.left], [1, []], late.stderr);
    assert.match(late.stderr, /^Error: .*no space left on device/m);
  },
);

test(
  'a member whose store is full goes on, keeps what is there, and backs up when there is room again',
  canMount(),
  async (t) => {
    const directory = temporaryDirectory();
    const place = join(directory, 'full');
    const contents = join(directory, 'contents');
    for (const path of [place, contents]) mkdirSync(path);
    writeFileSync(join(contents, 'filler'), Buffer.alloc(2 << 20));
    const program = join(directory, 'etcd');
    const script = `mount -t tmpfs -o size=${DISK} tmpfs "$0" && { cp ${contents}/filler "$0" || :; } && exec "$@"`;
    const words = [...ALONE, 'sh', '-c', `'${script}'`, place, SUBJECT];
    writeFileSync(program, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`);
    chmodSync(program, 0o755);
    const flags = [
      ...FAST_ELECTION,
      `--backup-store=${place}`,
      '--backup-unencrypted',
      '--backup-schedule=24h',
    ];
    const server = await EtcdServer.start({ program, flags });
    t.after(() => server.stop());
    const client = connect({ endpoints: [server.address] });
    t.after(() => client.close());
    const backups = async (success: boolean): Promise<number> => {
      const text = await (await fetch(`http://${server.address}/metrics`)).text();
      return Number(
        new RegExp(`^etcd_server_backups_total\\{success="${success}"\\} (\\d+)$`, 'm').exec(text)?.[1],
      );
    };
    while (!((await backups(false)) > 0)) await setTimeout(100);
    // As the member sees it.
    const inside = `/proc/${server.pid}/root${place}`;
    assert.deepEqual(readdirSync(inside), ['filler']);
    await client.kv.put('k', 'v');
    rmSync(join(inside, 'filler'));
    while (!((await backups(true)) > 0)) await setTimeout(100);
    const names = readdirSync(inside);
    assert.equal(names.length, 2);
    assert.ok(names.every((name) => name.startsWith('etcd-') && existsSync(join(inside, name))));
  },
);
