import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DiskError, SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { newCluster } from '@etcd/storage/membership';
import { snapshotOf } from '../testing/snapshot.ts';
import { runSteps } from '../tool.ts';
import { restoreSnapshot } from './restore.ts';

const root = mkdtempSync(join(tmpdir(), 'restore-'));
after(() => rmSync(root, { recursive: true }));

/** What becomes of the data directory. */
async function restored(
  name: string,
  content: Buffer,
  takesFile: boolean,
  disk = new NodeDisk(),
): Promise<{ readonly snapshotPath: string; readonly dataDir: string; readonly database: Buffer }> {
  const snapshotPath = join(root, `${name}.db`);
  writeFileSync(snapshotPath, content, { mode: 0o600 });
  const dataDir = join(root, name);
  const cluster = newCluster('token', new Map([['m0', ['http://localhost:2380']]]));
  const how = { walDir: '', skipHashCheck: false, bumpRevision: 1000, takesFile };
  const options = { ...how, snapshotPath, dataDir, name: 'm0', cluster };
  await runSteps(restoreSnapshot({ disk, clock: new NodeClock(), logger: SILENT_LOGGER }, options));
  return { snapshotPath, dataDir, database: readFileSync(join(dataDir, 'member/snap/db')) };
}

/** Files that are renamed out of a place lie in another file system there. */
class TwoFileSystems extends NodeDisk {
  override rename(from: string, to: string): void {
    if (!to.endsWith('/snap/db')) return super.rename(from, to);
    throw new DiskError('EXDEV', from, 'cross-device link not permitted');
  }
}

test('a snapshot that may be taken is moved, and makes the same database as a copy of it', async () => {
  const content = await snapshotOf(join(root, 'source.db'), 200);
  const copied = await restored('copied', content, false);
  assert.ok(existsSync(copied.snapshotPath), 'what is copied stays');
  const moved = await restored('moved', content, true);
  assert.ok(!existsSync(moved.snapshotPath));
  assert.ok(moved.database.equals(copied.database));
  assert.equal(statSync(join(moved.dataDir, 'member/snap/db')).mode & 0o777, 0o600);
  const elsewhere = await restored('elsewhere', content, true, new TwoFileSystems());
  assert.ok(existsSync(elsewhere.snapshotPath), 'it can only be copied to another file system');
  assert.ok(elsewhere.database.equals(copied.database));
});

test('a restore that fails behind the move leaves no data directory, and one into a place that is taken not even begins', async () => {
  const noDatabase = Buffer.alloc(512 * 64, 'no database');
  const content = Buffer.concat([noDatabase, createHash('sha256').update(noDatabase).digest()]);
  await assert.rejects(restored('broken', content, true));
  assert.ok(!existsSync(join(root, 'broken')));
  await assert.rejects(restored('moved', content, true), /not empty/);
  assert.ok(existsSync(join(root, 'moved.db')), 'it is still there');
  assert.deepEqual(readdirSync(join(root, 'moved')), ['member']);
});
