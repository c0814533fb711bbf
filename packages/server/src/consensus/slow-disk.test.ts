import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlowDisk } from './slow-disk.ts';

test('who was faster in each of three slow saves in a row should lead', () => {
  const disk = new SlowDisk(500);
  assert.deepEqual(
    disk.onSaved(600, () => [2n]),
    [],
  );
  assert.deepEqual(
    disk.onSaved(600, () => [2n, 3n]),
    [],
  );
  assert.deepEqual(
    disk.onSaved(500, () => [2n, 3n]),
    [2n],
  );
  // What was long ago does not count.
  assert.deepEqual(
    disk.onSaved(700, () => [3n]),
    [3n],
  );
  assert.deepEqual(
    disk.onSaved(700, () => []),
    [],
  );
});

test('a fast save in between means that the disk is not slow', () => {
  const disk = new SlowDisk(500);
  for (let i = 0; i < 10; i++) {
    for (const waitedMs of [900, 900, 499])
      assert.deepEqual(
        disk.onSaved(waitedMs, () => [2n]),
        [],
      );
  }
});
