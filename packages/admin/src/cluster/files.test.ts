import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeWhole } from './files.ts';

test('a file is written whole, and what is not yet has a name that a kubelet passes over', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'admin-files-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'etcd.yaml');
  // Nothing takes the place of this.
  mkdirSync(join(path, 'in-the-way'), { recursive: true });
  assert.throws(() => writeWhole(path, 'new', 0o600));
  assert.deepEqual(
    readdirSync(directory).filter((name) => !name.startsWith('.')),
    ['etcd.yaml'],
  );
  rmSync(path, { recursive: true });
  writeFileSync(path, 'old', { mode: 0o644 });
  writeWhole(path, 'new', 0o600);
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(directory), ['etcd.yaml']);
});
