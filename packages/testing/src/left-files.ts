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
 * From now on each test of this file ends with a look at every file on every disk that it has made and not crashed.
 *
 * @param problemOf what is wrong with a file; null: nothing, or it is of no concern.
 */
export function checkFilesLeft(problemOf: (path: string, bytes: Uint8Array) => string | null): LeftFiles {
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
      : disks.slice(-MAX_DISKS).flatMap((disk) => problemsOn(disk, problemOf));
    disks = [];
    if (problems.length > 0) throw new Error(`the test leaves damage behind:\n${problems.join('\n')}`);
  });
  return {
    expectDamage: () => {
      isDamageExpected = true;
    },
  };
}

function problemsOn(disk: SimDisk, problemOf: (path: string, bytes: Uint8Array) => string | null): string[] {
  const problems: string[] = [];
  try {
    for (const path of filesBelow(disk, '')) {
      const problem = problemOf(path, disk.readFile(path));
      if (problem !== null) problems.push(`${path}: ${problem}`);
    }
  } catch (error) {
    // The power is off, or the test has the disk fail.
    if (!(error instanceof SimulatedCrash) && !(error instanceof DiskError)) throw error;
  }
  return problems;
}

function filesBelow(disk: SimDisk, directory: string): string[] {
  return disk.readDirectory(directory === '' ? '/' : directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    return disk.stat(path)?.isDirectory ? filesBelow(disk, path) : [path];
  });
}
