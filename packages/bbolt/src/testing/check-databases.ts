/** The structural check of every database that a file of tests leaves behind, as `ETCD_VERIFY` has it for members. */
import { checkDatabasesLeft, type LeftFiles, type SimDisk } from '@etcd/testing';
import { Database } from '../database.ts';

/** To be called once in a file of tests. */
export function checkDatabases(): LeftFiles {
  return checkDatabasesLeft(problemOf);
}

function problemOf(disk: SimDisk, path: string): string | null {
  const database = Database.open({ disk, path, readOnly: true });
  const read = database.beginRead();
  const findings = [...database.check(read)].filter((finding) => finding !== null);
  read.close();
  database.close();
  const [first] = findings;
  return first === undefined ? null : `page ${first.pgid}: ${first.message}, and ${findings.length - 1} more`;
}
