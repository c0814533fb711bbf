/** Disks that are damaged: one file is another afterwards, and a member that starts from it says what it finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { damageDisk } from './damage-disk.ts';
import { QuietCluster } from './quiet-cluster.ts';
import { probeStart } from './start-probe.ts';

test('one file is damaged, somewhere, and nothing where there is nothing', () => {
  assert.equal(damageDisk(new SimDisk(), new SeededRandom(1)), null);
  const disk = new SimDisk();
  disk.makeDirectory('/data', 0o700);
  const content = Buffer.from(Array.from({ length: 2000 }, (_, i) => 1 + (i % 255)));
  for (const path of ['/data/one', '/two']) {
    const file = disk.openFile(path, { access: 'readwrite', create: true });
    file.write(content, 0, content.length, 0);
    file.close();
  }
  const kinds = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) {
    const copy = disk.killImage();
    const told = damageDisk(copy, new SeededRandom(seed))!;
    const changed = ['/data/one', '/two'].filter((path) => !content.equals(copy.readFile(path)));
    // A sector may be put where it was.
    assert.ok(changed.length === 1 || told.startsWith('a sector of another'), told);
    assert.ok(
      changed.every((path) => told.endsWith(` of ${path}`)),
      told,
    );
    kinds.add(told.split(' at ')[0]!);
  }
  assert.equal(kinds.size, 4);
});

test('a member starts from a disk that has rotted, or says why it does not', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  for (let i = 0; i < 20; i++) await cluster.put(cluster.leader, `value ${i}`);
  const { world, leader } = cluster;
  for (let seed = 1; seed <= 60; seed++) {
    const random = new SeededRandom(seed);
    const disk = leader.disk.killImage();
    const name = `seed ${seed}: ${damageDisk(disk, random)}`;
    const { config } = leader;
    await probeStart({ world, name, config: config!, disk, random, segmentBytes: 65_536, isDamaged: true });
    assert.equal(world.violation, null, world.violation?.details);
  }
});
