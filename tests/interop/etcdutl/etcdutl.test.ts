/**
 * `bin/etcdutl` prints what the tools of etcd 3.7 and 3.5 print, and ends as they end, on the same files; and what it makes of a
 * snapshot is what they make of it.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { needs, peer, ROOT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type Files, goTool, makeFiles } from './files.ts';
import { type Outcome, runLine } from './run-line.ts';

const OURS = `${ROOT}bin/etcdutl`;
const RESTORE = 'snapshot restore snapshot.db --data-dir made';
const THREE =
  '--name b --initial-cluster a=http://127.0.0.1:5001,b=http://127.0.0.1:5002,c=http://127.0.0.1:5003 ' +
  '--initial-advertise-peer-urls http://127.0.0.1:5002 --initial-cluster-token=other';

interface Line {
  readonly line: string;
  /** The tool of 3.5 does not have it, or says it otherwise. */
  readonly since36?: boolean;
}

/** Each is run on a copy of the files, `made` being what it may make. */
const LINES: readonly Line[] = [
  { line: 'version', since36: true },
  ...['simple', 'json', 'fields', 'table'].map((format) => ({
    line: `snapshot status snapshot.db -w ${format}`,
    since36: true,
  })),
  { line: 'snapshot status snapshot.db --write-out=protobuf' },
  { line: 'snapshot status snapshot.db -w nonsense' },
  { line: 'snapshot status nothing.db -w nonsense', since36: true },
  { line: 'snapshot status' },
  { line: 'snapshot status a b' },
  { line: 'snapshot status nothing.db' },
  { line: 'snap stat snapshot.db', since36: true },
  ...[
    '',
    '--rev 4',
    '--rev 5 -w json',
    '--rev=6 -w table',
    '--rev 2',
    '--rev 99',
    '-w fields',
    '-w protobuf',
  ].map((flags) => ({ line: `hashkv member/member/snap/db ${flags}`.trim(), since36: true })),
  { line: 'hashkv', since36: true },
  { line: 'hashkv a b', since36: true },
  { line: 'hashkv nothing.db', since36: true },
  { line: 'hashkv snapshot.db --timeout=soon', since36: true },
  { line: 'hashkv snapshot.db --timeout=1s', since36: true },
  { line: RESTORE },
  { line: `${RESTORE} --wal-dir made-wal` },
  { line: `${RESTORE} ${THREE}` },
  { line: '--data-dir made snapshot restore snapshot.db', since36: true },
  { line: `${RESTORE} --bump-revision 1000000000 --mark-compacted` },
  { line: `${RESTORE} --initial-memory-map-size 0` },
  { line: 'snapshot restore without-hash.db --skip-hash-check --data-dir made' },
  { line: 'snapshot restore snapshot.db', since36: true },
  { line: 'snapshot restore', since36: true },
  { line: 'snapshot restore snapshot.db --data-dir member' },
  { line: `${RESTORE} --wal-dir member` },
  ...['truncated', 'without-hash', 'tiny', 'empty', 'flipped', 'nothing'].map((name) => ({
    line: `snapshot restore ${name}.db --data-dir made`,
  })),
  { line: `${RESTORE} --bump-revision 5` },
  { line: `${RESTORE} --mark-compacted` },
  { line: `${RESTORE} --bump-revision x` },
  { line: `${RESTORE} --name nobody` },
  { line: `${RESTORE} --initial-cluster a=b` },
  { line: `${RESTORE} --initial-advertise-peer-urls http://127.0.0.1:2380` },
  { line: `${RESTORE} --initial-advertise-peer-urls nowhere` },
  { line: 'defrag' },
  { line: 'defrag --data-dir nothing', since36: true },
  { line: 'defrag --data-dir member' },
  { line: 'migrate', since36: true },
  { line: 'migrate --data-dir member', since36: true },
  ...['3', 'x.y', '3.4', '3.5', '3.6', '3.7', '3.9', '4.0', '3.9 --force'].map((target) => ({
    line: `migrate --data-dir member --target-version ${target}`,
    since36: true,
  })),
  { line: 'migrate --data-dir nothing --target-version 3.6', since36: true },
  { line: 'nonsense' },
  { line: 'completion', since36: true },
  { line: 'completion nonsense', since36: true },
];

describe('etcdutl', needs('etcd 3.5', 'etcd 3.7'), () => {
  let files: Files;

  before(async () => {
    files = await makeFiles(peer('3.7', 'etcd'));
  });

  test('prints, ends and leaves files as those of etcd 3.7 and 3.5', async () => {
    const differences: string[] = [];
    for (const { line, since36 } of LINES) {
      const releases = since36 === true ? (['3.7'] as const) : (['3.7', '3.5'] as const);
      const programs = [OURS, ...releases.map(goTool)];
      const [ours, ...others] = await Promise.all(programs.map((program) => runLine(program, line, files)));
      assert.ok(ours !== undefined);
      for (const [i, theirs] of others.entries()) {
        // A restore that fails leaves nothing behind here.
        const expected: Outcome = theirs.code === 0 ? theirs : { ...theirs, files: ours.files };
        try {
          assert.deepEqual(ours, expected);
        } catch (error) {
          differences.push(
            `etcdutl ${line} (${releases[i]})\n${error instanceof Error ? error.message : ''}`,
          );
        }
      }
    }
    assert.equal(differences.join('\n'), '');
  });

  test('what fails leaves nothing behind', async () => {
    for (const name of ['truncated', 'without-hash', 'tiny', 'empty', 'flipped', 'nothing']) {
      const cwd = temporaryDirectory();
      const source = join(files.directory, `${name}.db`);
      if (existsSync(source)) cpSync(source, join(cwd, `${name}.db`));
      mkdirSync(join(cwd, 'there'));
      const restore = (...flags: string[]): Promise<Ended> =>
        run(OURS, ['snapshot', 'restore', `${name}.db`, ...flags], { cwd });
      const { code, stderr } = await restore('--data-dir', 'above/made', '--wal-dir', 'other/log');
      assert.equal(code, 1, name);
      assert.equal(stderr.split('\n').filter((text) => text.startsWith('Error:')).length, 1, stderr);
      assert.equal(existsSync(join(cwd, 'above')) || existsSync(join(cwd, 'other')), false, name);
      assert.equal((await restore('--data-dir', 'there')).code, 1);
      assert.deepEqual(readdirSync(join(cwd, 'there')), []);
    }
  });

  test('a database whose keys were changed is found damaged', async () => {
    const cwd = temporaryDirectory();
    // Behind the pages of its head, and before its digest, bytes that make no database.
    const bytes = readFileSync(files.snapshot);
    bytes.fill(0xee, 8192, bytes.length - 32);
    writeFileSync(join(cwd, 'damaged.db'), bytes);
    const { code, stderr } = await run(OURS, ['snapshot', 'status', 'damaged.db'], { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /^Error: .+\n/);
  });

  test('hashkv leaves the snapshot as it is', async () => {
    const cwd = temporaryDirectory();
    const snapshot = join(cwd, 'snapshot.db');
    cpSync(files.snapshot, snapshot);
    assert.equal((await run(OURS, ['hashkv', snapshot])).code, 0);
    assert.deepEqual(readFileSync(snapshot), readFileSync(files.snapshot));
    assert.equal(
      (await run(OURS, ['snapshot', 'restore', snapshot, '--data-dir', join(cwd, 'made')])).code,
      0,
    );
  });

  test('restores the log that the tool of etcd 3.5 writes, byte by byte', async () => {
    const wals: Buffer[] = [];
    for (const program of [OURS, goTool('3.5')]) {
      const cwd = temporaryDirectory();
      const flags = `${RESTORE.replace('snapshot.db', files.snapshot)} ${THREE}`.split(' ');
      assert.equal((await run(program, flags, { cwd })).code, 0);
      const log = join(cwd, 'made/member/wal/0000000000000000-0000000000000000.wal');
      wals.push(readFileSync(log));
    }
    assert.ok(wals[0]?.equals(wals[1] ?? Buffer.alloc(0)));
  });
});
