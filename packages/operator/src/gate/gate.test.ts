import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { judgeStart } from './gate.ts';

test('a member with data starts; one without only while the record names it', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'gate-'));
  t.after(() => rmSync(root, { recursive: true }));
  const dataDir = join(root, 'data');
  assert.equal(judgeStart(dataDir, 'c-1', '').opens, false);
  assert.equal(judgeStart(dataDir, 'c-1', 'c-2').opens, false);
  assert.equal(judgeStart(dataDir, 'c-1', 'c-1').opens, true);
  // A start that was cut off has left the directory, and nothing in it.
  mkdirSync(join(dataDir, 'member'), { recursive: true });
  assert.equal(judgeStart(dataDir, 'c-1', '').opens, false);
  mkdirSync(join(dataDir, 'member', 'wal'));
  assert.equal(judgeStart(dataDir, 'c-1', '').opens, true);
});
