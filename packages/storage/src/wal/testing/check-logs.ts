/** A look at every log that a file of tests leaves behind, as `ETCD_VERIFY` has it for members. */
import { checkDisksLeft, filesBelow, type LeftFiles, type SimDisk } from '@etcd/testing';
import { newestSnapshot, type ReadOptions, readWal } from '../open-wal.ts';
import { walExists } from '../segment-name.ts';
import { WalError } from '../wal-error.ts';

/** To be called once in a file of tests. */
export function checkLogs(): LeftFiles {
  return checkDisksLeft((disk) =>
    directoriesOf(disk).flatMap((directory) => problemOf({ disk, directory }) ?? []),
  );
}

function directoriesOf(disk: SimDisk): string[] {
  const directories = new Set(filesBelow(disk, '').map((path) => path.slice(0, path.lastIndexOf('/'))));
  return [...directories].filter((directory) => walExists(disk, directory));
}

/** The log is read to its end from its newest snapshot, which is not in the middle of a record, and holds what is committed. */
function problemOf({ disk, directory }: ReadOptions): string | null {
  let problem: string | null = null;
  const onTorn = (error: WalError): void => {
    problem = `${directory}: ${error.message}`;
  };
  try {
    const { hardState, lastIndex } = readWal(
      { disk, directory, onTorn },
      newestSnapshot({ disk, directory }),
      null,
    );
    const { commit } = hardState;
    return commit > lastIndex ? `${directory}: committed up to ${commit}, and ends at ${lastIndex}` : problem;
  } catch (error) {
    if (error instanceof WalError) return `${directory}: ${error.message}`;
    throw error;
  }
}
