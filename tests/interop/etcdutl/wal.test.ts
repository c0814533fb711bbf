/** `etcdutl wal` reads the logs of etcd 3.5 and ours, and finds what is wrong with one. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { KEYS, makeFiles } from './files.ts';

const SEGMENT = 'member/wal/0000000000000000-0000000000000000.wal';

function wal(...args: string[]): Promise<Ended> {
  return run(`${ROOT}bin/etcdutl`, ['wal', ...args]);
}

describe('etcdutl wal', needs('etcd 3.5'), () => {
  let member: string;

  before(async () => {
    member = join((await makeFiles(peer('3.5', 'etcd'))).directory, 'member');
  });

  /** A copy of the member whose log `change` has changed: a view of it from its start to the end of its records. */
  function damaged(change: (log: Buffer, end: number) => Buffer): string {
    const copy = join(temporaryDirectory(), 'member');
    cpSync(member, copy, { recursive: true });
    const log = readFileSync(join(copy, SEGMENT));
    let end = log.length;
    while (log[end - 1] === 0) end--;
    writeFileSync(join(copy, SEGMENT), change(log, end));
    return copy;
  }

  test('prints every entry, with its index and what it asks for', async () => {
    for (const directory of [member, join((await makeFiles(SUBJECT)).directory, 'member')]) {
      const { code, stdout, stderr } = await wal(directory);
      assert.equal(code, 0, stderr);
      const entries = [...stdout.matchAll(/^(\d+)\t(\d+)\t(.+)$/gm)];
      assert.deepEqual(
        entries.map(([, , index]) => Number(index)),
        entries.map((_entry, i) => i + 1),
      );
      assert.match(stdout, /\tadd member [0-9a-f]+\n/);
      assert.match(stdout, /\tdeleteRange \{"key":"key\/3"\}\n/);
      assert.match(stdout, /\tput \{"key":"last","value":"one"\}\n/);
      assert.match(stdout, /\tcompaction \{"revision":4/);
      assert.equal(stdout.match(/"requestPut":/g)?.length, 2 * KEYS);
      assert.match(stdout, /^member [0-9a-f]+ of cluster [0-9a-f]+$/m);
      assert.match(stdout, /^state: term \d+, vote [0-9a-f]+, committed up to \d+$/m);
      const [whole, part] = await Promise.all([
        wal(join(directory, 'member/wal'), '--check-only'),
        wal(directory, '--start-index=3', '--end-index=4'),
      ]);
      assert.equal(whole.stdout, stdout.slice(stdout.indexOf('member ', stdout.lastIndexOf('\n\n'))));
      assert.equal(part.stdout.match(/^\d+\t/gm)?.length, 2);
    }
  });

  test('an interrupted last write is told, and is no error', async () => {
    const copy = damaged((log, end) => {
      log.fill(0, end - 3, end);
      return log.subarray(0, end - 3);
    });
    const { code, stdout, stderr } = await wal(copy, '--check-only');
    assert.match(stderr, /^warning: wal: .*An interrupted write is dropped/);
    // What had been committed by then may be in it.
    assert.ok(code === 0 || /were committed, and the log ends/.test(stderr), stderr);
    assert.match(stdout, /^state: /m);
  });

  test('a changed byte is found, with file and offset', async () => {
    const copy = damaged((log, end) => {
      const at = end >> 1;
      log[at] = (log[at] ?? 0) ^ 0xff;
      return log;
    });
    const { code, stderr } = await wal(copy, '--check-only');
    assert.equal(code, 1);
    assert.match(stderr, /^Error: wal: [^\n]+\.wal at offset \d+\)[^\n]+\n$/);
  });

  test('a directory without a log is refused', async () => {
    for (const args of [['/nothing'], [temporaryDirectory()], [], ['a', 'b']]) {
      const { code, stdout, stderr } = await wal(...args);
      assert.deepEqual([code, stdout], [args.length === 1 ? 1 : 128, '']);
      assert.match(stderr, /^Error: [^\n]+\n$/);
    }
  });
});
