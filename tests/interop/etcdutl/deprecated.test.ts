/** `etcdctl snapshot status` and `restore`, which etcd 3.6 took away: they do what those of etcd 3.5 do. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { needs, peer, ROOT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { BACKUP_LINES, DEPRECATED_LINES } from './deprecated-lines.ts';
import { type Files, goTool, makeFiles } from './files.ts';
import { type Outcome, runLine } from './run-line.ts';

const OURS = `${ROOT}bin/etcdctl`;

describe('etcdctl snapshot', needs('etcd 3.5', 'etcd 3.7'), () => {
  let files: Files;

  before(async () => {
    files = await makeFiles(peer('3.5', 'etcd'));
  });

  test('status and restore print, end and leave files as those of etcd 3.5', async () => {
    const differences: string[] = [];
    for (const line of DEPRECATED_LINES) {
      const programs = [OURS, peer('3.5', 'etcdctl')];
      const [ours, theirs] = await Promise.all(programs.map((program) => runLine(program, line, files)));
      assert.ok(ours !== undefined && theirs !== undefined);
      // A restore that fails leaves nothing behind here.
      const expected: Outcome = theirs.code === 0 ? theirs : { ...theirs, files: ours.files };
      try {
        assert.deepEqual(ours, expected);
      } catch (error) {
        differences.push(`etcdctl ${line}\n${error instanceof Error ? error.message : ''}`);
      }
    }
    assert.equal(differences.join('\n'), '');
  });

  test('backup ends as etcdutl of etcd 3.5 does, and leaves files of the same names', async () => {
    for (const line of BACKUP_LINES) {
      const programs = [OURS, goTool('3.5')];
      const [ours, theirs] = await Promise.all(programs.map((program) => runLine(program, line, files)));
      assert.ok(ours !== undefined && theirs !== undefined);
      assert.equal(ours.code === 0, theirs.code === 0, line);
      // What is in a file names a member of its own.
      const named = (outcome: Outcome): string[] => outcome.files.map((file) => file.split(' ', 1)[0]!);
      if (theirs.code === 0) assert.deepEqual(named(ours), named(theirs), line);
    }
  });

  test('each says on stderr first where it has gone', async () => {
    for (const words of [
      ['status', 'snapshot.db'],
      ['restore', 'nothing.db'],
    ]) {
      const outputs = await Promise.all(
        [OURS, peer('3.5', 'etcdctl')].map((program) =>
          run(program, ['snapshot', ...words], { cwd: files.directory }),
        ),
      );
      const [ours, theirs] = outputs.map(({ stderr }) => stderr.split('\n').slice(0, 2));
      assert.deepEqual(ours, theirs);
      assert.equal(ours?.[0], `Deprecated: Use \`etcdutl snapshot ${words[0]}\` instead.`);
    }
  });
});
