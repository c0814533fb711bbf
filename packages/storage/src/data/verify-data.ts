/**
 * What a member leaves behind when it stops, looked at as the next start will find it: the database's pages, the log's records, and
 * that the two belong together. What etcd looks for with `ETCD_VERIFY`, and the pages besides.
 */
import type { Disk } from '@etcd/base';
import { BoltError, Database, type ReadTransaction } from '@etcd/bbolt';
import { transactionReader } from '../backend/index.ts';
import { readConsistentIndex } from '../schema/index.ts';
import { newestSnapshot, readWal, WalError, walExists } from '../wal/index.ts';
import { backendPath, type DataPlace, walDirectory } from './paths.ts';

export interface LeftData {
  readonly disk: Disk;
  readonly place: DataPlace;
  /** What else has to hold of the database. */
  readonly alsoCheck?: ((read: ReadTransaction) => string | null) | undefined;
}

/** What is wrong with the data, the first finding; null if nothing is. They are in nobody's hands, and stay as they are. */
export function leftDataProblem(left: LeftData): string | null {
  const path = backendPath(left.place);
  try {
    const database = Database.open({ disk: left.disk, path, readOnly: true });
    try {
      const read = database.beginRead();
      try {
        const problem = pageProblem(database, read) ?? left.alsoCheck?.(read) ?? null;
        return problem === null ? logProblem(left, read) : `${path}: ${problem}`;
      } finally {
        read.close();
      }
    } finally {
      database.close();
    }
  } catch (error) {
    if (error instanceof BoltError || error instanceof WalError) return error.message;
    throw error;
  }
}

/** Of the database's structure, as bbolt's check finds it. */
export function pageProblem(database: Database, read: ReadTransaction): string | null {
  for (const finding of database.check(read)) {
    if (finding !== null) return `page ${finding.pgid}: ${finding.message}`;
  }
  return null;
}

/** The log can be read to its end, and what the database has applied is in it, or before it, and committed. */
function logProblem({ disk, place }: LeftData, read: ReadTransaction): string | null {
  const directory = walDirectory(place);
  if (!walExists(disk, directory)) return `${directory}: no log beside the database`;
  const options = { disk, directory };
  const record = newestSnapshot(options);
  const { hardState, lastIndex } = readWal(options, record, null);
  const { index, term } = readConsistentIndex(transactionReader(read));
  const { commit } = hardState;
  const what = `consistent index ${index} of the database`;
  if (commit > lastIndex) return `${directory}: committed up to ${commit}, and ends at ${lastIndex}`;
  if (index > commit) return `${directory}: ${what} is beyond what is committed, ${commit}`;
  if (index < record.index)
    return `${directory}: ${what} is before the log, which begins behind ${record.index}`;
  return term > hardState.term
    ? `${directory}: term ${term} of the database is later than ${hardState.term}`
    : null;
}
