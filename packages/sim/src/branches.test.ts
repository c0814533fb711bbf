/** Blocks of the core that have run are told apart from those that have not, and remembered for the next exploration. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KnownBlocks } from './branches.ts';

/** A process of its own, as V8 counts only what is loaded afterwards. */
const SCRIPT = `
import { readFileSync } from 'node:fs';
const { Branches } = await import(process.argv[1]);
const branches = new Branches(JSON.parse(readFileSync(0, 'utf8')));
const { MemoryStorage } = await import(process.argv[2]);
const entry = (index) => ({ index, term: 1, type: 0, data: new Uint8Array(0) });
const counts = [];
const storage = new MemoryStorage();
for (let index = 1; index < 40; index++) storage.append([entry(index)]);
counts.push(branches.take());
storage.append([entry(40)]);
counts.push(branches.take());
storage.compact(2);
counts.push(branches.take());
process.stdout.write(JSON.stringify({ counts, covered: branches.covered, known: branches }));
`;

interface Told {
  readonly counts: readonly number[];
  readonly covered: number;
  readonly known: KnownBlocks;
}

function run(known: KnownBlocks): Told {
  const modules = ['./branches.ts', '../../raft/src/memory-storage.ts'];
  const urls = modules.map((path) => new URL(path, import.meta.url).href);
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', SCRIPT, ...urls], {
    input: JSON.stringify(known),
    encoding: 'utf8',
  });
  return JSON.parse(text) as Told;
}

test('a block that has never run counts once, also behind what an earlier exploration knows', () => {
  const first = run({});
  assert.ok(first.counts[0]! > 0 && first.covered > 0, 'nothing has run');
  assert.equal(first.counts[1], 0, 'what has run runs again');
  assert.ok(first.counts[2]! > 0, 'a function that had not run before');
  const second = run(first.known);
  assert.deepEqual(second.counts, [0, 0, 0]);
  assert.equal(second.covered, first.covered);
  // Places in another source mean nothing.
  const other = Object.entries(first.known).map(([file, one]) => [file, { ...one, digest: one.digest ^ 1 }]);
  assert.deepEqual(run(Object.fromEntries(other)).counts, first.counts);
});
