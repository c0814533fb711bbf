/** What is read out of logs: only what was committed, and every disagreement. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfState, Entry, HardState } from '@etcd/api/raftpb';
import { Snapshot } from '@etcd/api/walpb';
import { createWal, type Wal } from '@etcd/storage/wal';
import { SimClock, SimDisk } from '@etcd/testing';
import { temporaryDirectory } from '../support/temporary.ts';
import { readCommittedLog, readOneLog } from './committed-log.ts';

function entries(from: number, count: number, term: number): Entry[] {
  return Array.from(
    { length: count },
    (_, i) => new Entry({ index: from + i, term, data: Buffer.from(`${from + i} of ${term}`) }),
  );
}

const state = (term: number, commit: number): HardState => new HardState({ term, vote: 1n, commit });

/** The segments of a log that `write` has written. */
function logOf(write: (wal: Wal) => void): Buffer[] {
  const disk = new SimDisk();
  const options = { disk, directory: '/wal', clock: new SimClock(), segmentSizeBytes: 1024 };
  const wal = createWal(options, Buffer.from('0801100f', 'hex'));
  write(wal);
  wal.close();
  const names = disk.readDirectory('/wal').filter((name) => name.endsWith('.wal'));
  return names.sort().map((name) => Buffer.from(disk.readFile(`/wal/${name}`)));
}

function terms(segments: Buffer[]): number[][] {
  return [...readOneLog(segments).entries.values()].map(({ index, term }) => [index, term]);
}

test('entries that were replaced, and those that were never committed, do not count', () => {
  const segments = logOf((wal) => {
    wal.save(state(1, 2), entries(1, 4, 1));
    wal.save(state(2, 3), entries(3, 2, 2));
  });
  assert.deepEqual(terms(segments), [
    [1, 1],
    [2, 1],
    [3, 2],
  ]);
});

test('a log of several segments is read in order', () => {
  const segments = logOf((wal) => {
    for (let index = 1; index <= 200; index++) wal.save(state(1, index), entries(index, 1, 1));
  });
  assert.ok(segments.length > 1);
  assert.equal(readOneLog(segments).entries.size, 200);
});

test('what a database from the leader took the place of counts as far as it was committed', () => {
  const segments = logOf((wal) => {
    wal.save(state(1, 2), entries(1, 4, 1));
    wal.saveSnapshot(new Snapshot({ index: 9, term: 2, confState: new ConfState({ voters: [1n] }) }));
    wal.save(state(2, 10), entries(10, 1, 2));
  });
  assert.deepEqual(terms(segments), [
    [1, 1],
    [2, 1],
    [10, 2],
  ]);
});

function directoryOf(write: (wal: Wal) => void): string {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'member', 'wal'), { recursive: true });
  for (const [i, segment] of logOf(write).entries()) {
    writeFileSync(join(directory, 'member', 'wal', `${i}.wal`), segment);
  }
  return directory;
}

test('members complete each other, and what they disagree about is told', () => {
  const first = directoryOf((wal) => wal.save(state(1, 3), entries(1, 3, 1)));
  const longer = directoryOf((wal) => wal.save(state(1, 5), entries(1, 5, 1)));
  const other = directoryOf((wal) => wal.save(state(2, 3), [...entries(1, 2, 1), ...entries(3, 1, 2)]));
  const agreed = readCommittedLog(
    new Map([
      ['m0', first],
      ['m1', longer],
    ]),
  );
  assert.deepEqual([agreed.entries.length, agreed.isWhole, agreed.conflicts], [5, true, []]);
  const split = readCommittedLog(
    new Map([
      ['m0', first],
      ['m1', other],
    ]),
  );
  assert.deepEqual(split.conflicts, ['entry 3 has term 1 at m0 and 2 at m1']);
});
