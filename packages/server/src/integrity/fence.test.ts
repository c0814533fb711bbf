import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type Disk, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { SimDisk, SimulatedCrash } from '@etcd/testing';
import { Fence } from './fence.ts';

const SEED = 3;
const FACTS = { revision: 42, foundIn: 'changes' } as const;

function fenceOn(disk: Disk): Fence {
  return new Fence({ disk, directory: '/data/member', logger: SILENT_LOGGER });
}

function diskWithMember(onOperation: () => void = () => {}): SimDisk {
  const disk = new SimDisk({ onOperation });
  disk.makeDirectory('/data/member', 0o700);
  disk.syncDirectory('/data');
  disk.syncDirectory('/');
  return disk;
}

test('a fence stands after a power cut, with what was found', () => {
  const disk = diskWithMember();
  const fence = fenceOn(disk);
  let raised = 0;
  fence.whenRaised(() => raised++);
  assert.deepEqual([fence.isRaised, raised], [false, 0]);
  fence.raise(FACTS);
  fence.raise({ revision: 50, foundIn: 'store' });
  assert.deepEqual([fence.isRaised, raised, fence.facts], [true, 1, FACTS]);

  const next = fenceOn(disk.afterCrash(new SeededRandom(SEED)));
  assert.deepEqual(next.facts, FACTS);
  next.whenRaised(() => raised++);
  assert.equal(raised, 2, 'who comes late is told at once');
});

test('a power cut while a fence is raised leaves one, or none', () => {
  for (let cut = 0; ; cut++) {
    let left = Number.POSITIVE_INFINITY;
    const disk = diskWithMember(() => {
      if (left-- === 0) throw new SimulatedCrash(`operation ${cut}`);
    });
    const fence = fenceOn(disk);
    left = cut;
    let isCut = false;
    try {
      fence.raise(FACTS);
    } catch (error) {
      assert.ok(error instanceof SimulatedCrash);
      isCut = true;
    }
    left = Number.POSITIVE_INFINITY;
    const next = fenceOn(disk.afterCrash(new SeededRandom(SEED + cut)));
    if (!isCut) return assert.deepEqual(next.facts, FACTS);
    assert.ok(next.facts === null || next.facts.revision === 42 || next.facts.revision === 0);
  }
});

test('the file removed, the fence is gone', () => {
  const disk = diskWithMember();
  fenceOn(disk).raise(FACTS);
  disk.remove('/data/member/fenced');
  assert.equal(fenceOn(disk).isRaised, false);
});
