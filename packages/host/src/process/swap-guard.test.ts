import assert from 'node:assert/strict';
import { test } from 'node:test';
import { swapGuard } from './swap-guard.ts';

const HEAD = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
const SWAP = `${HEAD}/dev/sda2                               partition\t8388604\t\t0\t\t-2\n`;

const guard = (files: Readonly<Record<string, string>>): string | null =>
  swapGuard((path) => files[path] ?? null);

test('a machine without swap swaps nothing out', () => {
  assert.equal(guard({ '/proc/swaps': HEAD }), 'the machine has no swap');
});

test('nor does a control group that may not, or one that lies in such a group', () => {
  const limit = (path: string, text: string) => ({
    '/proc/swaps': SWAP,
    '/proc/self/cgroup': '5:memory:/old\n0::/system.slice/etcd.service\n',
    [path]: text,
  });
  for (const path of [
    '/sys/fs/cgroup/system.slice/etcd.service/memory.swap.max',
    '/sys/fs/cgroup/system.slice/memory.swap.max',
    '/sys/fs/cgroup/memory.swap.max',
    '/sys/fs/cgroup/unified/system.slice/memory.swap.max',
  ]) {
    assert.equal(guard(limit(path, '0\n')), `${path} is 0`);
    for (const text of ['max\n', '4096\n', '']) assert.equal(guard(limit(path, text)), null);
  }
  const other = '/sys/fs/cgroup/system.slice/other.service/memory.swap.max';
  assert.equal(guard(limit(other, '0\n')), null);
});

test('where nobody can tell, nothing is promised', () => {
  assert.equal(guard({}), null);
  assert.equal(guard({ '/proc/swaps': SWAP }), null);
  assert.equal(guard({ '/proc/swaps': SWAP, '/proc/self/cgroup': '4:memory:/a\n' }), null);
});

test('S17 a path of a control group leads nowhere else', () => {
  const files = {
    '/proc/swaps': SWAP,
    '/proc/self/cgroup': '0::/../../tmp\n',
    '/sys/fs/cgroup/../../tmp/memory.swap.max': '0\n',
  };
  assert.equal(guard(files), null);
});
