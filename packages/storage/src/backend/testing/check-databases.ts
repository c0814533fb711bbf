/** The structural check of every database that a file of tests leaves behind, as `ETCD_VERIFY` has it for members. */
import { Database } from '@etcd/bbolt';
import { checkDatabasesLeft, type LeftFiles, type SimDisk } from '@etcd/testing';
import { pageProblem } from '../../data/verify-data.ts';

/** To be called once in a file of tests. */
export function checkDatabases(): LeftFiles {
  return checkDatabasesLeft(problemOf);
}

function problemOf(disk: SimDisk, path: string): string | null {
  const database = Database.open({ disk, path, readOnly: true });
  const read = database.beginRead();
  const problem = pageProblem(database, read);
  read.close();
  database.close();
  return problem;
}
