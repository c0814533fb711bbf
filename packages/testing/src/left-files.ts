/** What tests leave on their simulated disks, looked at when each of them ends: a check for a whole file of tests. */
import { afterEach, beforeEach } from 'node:test';
import { DiskError } from '@etcd/base';
import { SimDisk, SimulatedCrash } from './sim-disk.ts';

/** Disks that are kept for the check; of a test that makes more, the last ones. */
const MAX_DISKS = 100;

export interface LeftFiles {
  /** For a test that damages what it leaves, or cuts it off: nothing of it is looked at. */
  expectDamage(): void;
}

/**
 * From now on each test of this file ends with a look at every disk that it has made and not crashed.
 *
 * @param problemsOf what is wrong with what is on the disk, below `/`; may read it.
 */
export function checkDisksLeft(problemsOf: (disk: SimDisk) => string[]): LeftFiles {
  let disks: SimDisk[] = [];
  let isDamageExpected = false;
  beforeEach(() => {
    disks = [];
    isDamageExpected = false;
    SimDisk.onMade = (disk) => {
      disks.push(disk);
      if (disks.length > 2 * MAX_DISKS) disks = disks.slice(-MAX_DISKS);
    };
  });
  afterEach(() => {
    // The check may make disks of its own.
    SimDisk.onMade = null;
    const problems = isDamageExpected
      ? []
      : disks.slice(-MAX_DISKS).flatMap((disk) => problemsOn(disk, problemsOf));
    disks = [];
    if (problems.length > 0) throw new Error(`the test leaves damage behind:\n${problems.join('\n')}`);
  });
  return {
    expectDamage: () => {
      isDamageExpected = true;
    },
  };
}

/**
 * The same for each file on those disks.
 *
 * @param problemOf what is wrong with a file; null: nothing, or it is of no concern.
 */
export function checkFilesLeft(problemOf: (path: string, bytes: Uint8Array) => string | null): LeftFiles {
  return checkDisksLeft((disk) =>
    filesBelow(disk, '').flatMap((path) => {
      const problem = problemOf(path, disk.readFile(path));
      return problem === null ? [] : [`${path}: ${problem}`];
    }),
  );
}

/** Nothing of a disk whose power is off, or that the test has fail. */
function problemsOn(disk: SimDisk, problemsOf: (disk: SimDisk) => string[]): string[] {
  try {
    return problemsOf(disk);
  } catch (error) {
    if (!(error instanceof SimulatedCrash) && !(error instanceof DiskError)) throw error;
    return [];
  }
}

export function filesBelow(disk: SimDisk, directory: string): string[] {
  return disk.readDirectory(directory === '' ? '/' : directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    return disk.stat(path)?.isDirectory ? filesBelow(disk, path) : [path];
  });
}
