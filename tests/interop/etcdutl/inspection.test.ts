/** What only `bin/etcdutl` has: reading every record of a snapshot, and looking into a database; the files are those of a real etcd. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { NodeDisk } from '@etcd/base/node';
import { Database } from '@etcd/bbolt';
import { needs, peer, ROOT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type Files, goTool, makeFiles } from './files.ts';

const OURS = `${ROOT}bin/etcdutl`;

describe('etcdutl', needs('etcd 3.7'), () => {
  let files: Files;

  before(async () => {
    files = await makeFiles(peer('3.7', 'etcd'));
  });

  const utl = (...args: string[]): ReturnType<typeof run> => run(OURS, args, { cwd: files.directory });

  test('snapshot verify reads all of a snapshot, and gives its hash', async () => {
    const { code, stdout, stderr } = await utl('snapshot', 'verify', 'snapshot.db', '-w', 'json');
    assert.equal(code, 0, stderr);
    const found = JSON.parse(stdout) as Readonly<Record<string, number>>;
    const hash = await run(goTool('3.7'), ['hashkv', join(files.directory, 'without-hash.db'), '-w', 'json']);
    const theirs = JSON.parse(hash.stdout) as Readonly<Record<string, number>>;
    assert.equal(found['hash'], theirs['hash']);
    assert.equal(found['hashRevision'], theirs['hashRevision']);
    assert.deepEqual([found['tombstones'], found['leases'], found['members']], [1, 1, 1]);
  });

  test('snapshot verify refuses a snapshot that is cut, changed, or has no digest', async () => {
    for (const name of ['truncated', 'flipped', 'tiny', 'empty', 'without-hash', 'nothing']) {
      const { code, stdout, stderr } = await utl('snapshot', 'verify', `${name}.db`);
      assert.equal(code, 1, name);
      assert.equal(stdout, '');
      assert.match(stderr, /^Error: [^\n]+\n$/, name);
    }
    const copied = await utl('snapshot', 'verify', 'without-hash.db', '--skip-hash-check');
    assert.equal(copied.code, 0, copied.stderr);
  });

  test('bbolt lists buckets and keys, and prints values', async () => {
    const buckets = (await utl('bbolt', 'buckets', 'snapshot.db')).stdout.split('\n');
    assert.ok(buckets.includes('key') && buckets.includes('members_removed'));
    assert.match((await utl('bbolt', 'keys', 'snapshot.db', 'key')).stdout, /^([0-9a-f]{34}(74)?\n)+$/);
    const member = await utl('bbolt', 'keys', 'snapshot.db', 'members');
    const json = await utl('bbolt', 'get', 'snapshot.db', 'members', member.stdout.trim());
    assert.match(json.stdout, /^\{"id":\d+,"peerURLs":\[.+\].*\}\n$/);
    const hex = await utl('bbolt', 'get', 'snapshot.db', '--hex', '6d657461', '7465726d');
    assert.match(hex.stdout, /^[0-9a-f]{16}\n$/);
    assert.match((await utl('bbolt', 'stats', 'snapshot.db')).stdout, /bucket "members": 1 keys, \d+ bytes/);
    for (const names of [
      ['nothing', 'x'],
      ['meta', 'x'],
    ]) {
      const { code, stderr } = await utl('bbolt', 'get', 'snapshot.db', ...names);
      assert.equal(code, 1);
      assert.match(stderr, /^Error: (bucket|key) not found\n$/);
    }
  });

  test('bbolt compact makes a copy with the same data, and no other file', async () => {
    const { code, stderr } = await utl('bbolt', 'compact', 'snapshot.db', '-o', 'compact.db');
    assert.equal(code, 0, stderr);
    assert.equal((await utl('bbolt', 'check', 'compact.db')).stdout, 'OK\n');
    const hashOf = async (name: string): Promise<string | undefined> =>
      (await run(goTool('3.7'), ['snapshot', 'status', join(files.directory, name)])).stdout.split(',')[0];
    assert.equal(await hashOf('compact.db'), await hashOf('snapshot.db'));
    assert.equal((await utl('bbolt', 'compact', 'snapshot.db', '-o', 'compact.db')).code, 1);
    assert.equal((await utl('bbolt', 'compact', 'truncated.db', '-o', 'other.db')).code, 1);
    assert.equal(existsSync(join(files.directory, 'other.db')), false);
  });

  test('bbolt page and dump print what the tool of bbolt prints', needs('bbolt'), async () => {
    const cwd = temporaryDirectory();
    const large = join(cwd, 'large.db');
    const database = Database.open({ disk: new NodeDisk(), path: large, freelist: 'stored' });
    for (let round = 0; round < 3; round++) {
      const write = database.beginWrite();
      const bucket = write.createBucketIfNotExists(Buffer.from('many'));
      for (let i = 0; i < 2000; i++) {
        const key = i % 5 === 0 ? Buffer.from([0xff, i >> 8, i & 0xff]) : Buffer.from(`key "${i}" é\\`);
        const value = i % 7 === 0 ? Buffer.from([1, 2, 0xfe]) : Buffer.from(`text ${i} "quoted" ☃ ${round}`);
        bucket.put(key, value);
      }
      bucket.put(Buffer.from('long'), Buffer.alloc(20_000, 'x'));
      write.createBucketIfNotExists(Buffer.from('empty'));
      write.commit();
    }
    database.close();
    const snapshot = join(files.directory, 'snapshot.db');
    const lines = [
      ...['auto', 'ascii-encoded', 'hex', 'bytes', 'redacted'].flatMap((format) =>
        [snapshot, large].map((path) => `page --all --format-value=${format} ${path}`),
      ),
      `page ${snapshot} 0 1 4`,
      `dump ${snapshot} 0`,
      `dump ${large} 1 3 2`,
      `dump ${snapshot} 99999`,
      `dump ${snapshot}`,
      `page ${snapshot}`,
      `page ${snapshot} x`,
      'page',
      'page nothing.db 1',
      `page ${join(files.directory, 'empty.db')} 1`,
    ];
    for (const line of lines) {
      const words = line.split(' ');
      const options = { cwd, encoding: 'latin1' } as const;
      const [ours, theirs] = await Promise.all([
        run(OURS, ['bbolt', ...words], options),
        run(tool('bbolt'), words, options),
      ]);
      // What can't be printed is told in words of our own.
      const shown = (text: string): string =>
        text.replace(/^(Prining|Page \d+ can not).*/gm, 'can not be printed');
      // Its tool ends well even where it could print nothing, and tells on stdout what is wrong.
      if (line.includes('empty.db')) assert.equal(ours.code, 1);
      else assert.equal(ours.code, theirs.code, line);
      if (ours.code === 0) assert.equal(shown(ours.stdout), shown(theirs.stdout), line);
      else assert.match(ours.stderr, /^Error: [^\n]+\n$/);
    }
  });
});
