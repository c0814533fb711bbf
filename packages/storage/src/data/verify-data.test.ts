import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, HardState } from '@etcd/api/raftpb';
import { SimClock, SimDisk } from '@etcd/testing';
import { Backend } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { createMetaBucket, writeConsistentIndex } from '../schema/index.ts';
import { createWal } from '../wal/index.ts';
import { checkLogs } from '../wal/testing/check-logs.ts';
import { backendPath, type DataPlace, snapDirectory, walDirectory } from './paths.ts';
import { leftDataProblem } from './verify-data.ts';

checkLogs();

checkDatabases();

const PLACE: DataPlace = { dataDir: '/data', walDir: '' };

interface Left {
  readonly index: number;
  readonly term: number;
  readonly commit: number;
  readonly entries: number;
}

/** What a member leaves that has applied up to `index`. */
function leave({ index, term, commit, entries }: Left): SimDisk {
  const clock = new SimClock();
  const disk = new SimDisk();
  disk.makeDirectory(snapDirectory(PLACE), 0o700);
  const backend = new Backend({ disk, clock, path: backendPath(PLACE), onFatal: assert.fail });
  createMetaBucket(backend);
  writeConsistentIndex(backend, { index, term });
  backend.close();
  const wal = createWal(
    { disk, clock, directory: walDirectory(PLACE), segmentSizeBytes: 65_536 },
    Buffer.from('m'),
  );
  const log = Array.from({ length: entries }, (_, i) => new Entry({ index: i + 1, term: 2 }));
  wal.save(new HardState({ term: 2, vote: 1n, commit }), log);
  wal.close();
  return disk;
}

const problemOf = (disk: SimDisk): string | null => leftDataProblem({ disk, place: PLACE });

test('a database that has applied what its log says is committed, or less, is whole', () => {
  assert.equal(problemOf(leave({ index: 3, term: 2, commit: 3, entries: 3 })), null);
  assert.equal(problemOf(leave({ index: 1, term: 2, commit: 3, entries: 5 })), null);
});

test('a database that is ahead of its log, or of its time, is not', () => {
  assert.match(
    problemOf(leave({ index: 3, term: 2, commit: 2, entries: 3 }))!,
    /3 of the database is beyond what is committed, 2$/,
  );
  assert.match(
    problemOf(leave({ index: 3, term: 4, commit: 3, entries: 3 }))!,
    /term 4 of the database is later than 2$/,
  );
});

test('a log that says that more is committed than it has is found', () => {
  assert.match(
    problemOf(leave({ index: 3, term: 2, commit: 5, entries: 3 }))!,
    /committed up to 5, and ends at 3$/,
  );
});

test('a record of the log whose bytes have changed is found, with its file', () => {
  const disk = leave({ index: 3, term: 2, commit: 3, entries: 3 });
  const [name] = disk.readDirectory(walDirectory(PLACE)).filter((file) => file.endsWith('.wal'));
  const file = disk.openFile(`${walDirectory(PLACE)}/${name}`, { access: 'readwrite' });
  file.write(Buffer.from([0x5a]), 0, 1, 40);
  file.close();
  assert.match(problemOf(disk)!, /\/data\/member\/wal\/.*\.wal/);
});

test('what else is to hold of the database is asked, and named with the file', () => {
  const disk = leave({ index: 3, term: 2, commit: 3, entries: 3 });
  const problem = leftDataProblem({ disk, place: PLACE, alsoCheck: () => 'a key is missing' });
  assert.equal(problem, '/data/member/snap/db: a key is missing');
});

test('a database without a log beside it is no member, and one that is no database is named', () => {
  const disk = leave({ index: 3, term: 2, commit: 3, entries: 3 });
  disk.removeDirectory(walDirectory(PLACE));
  assert.match(problemOf(disk)!, /no log beside the database$/);
  const file = disk.openFile(backendPath(PLACE), { access: 'readwrite' });
  file.truncate(10);
  file.close();
  assert.match(problemOf(disk)!, /\/data\/member\/snap\/db/);
});
