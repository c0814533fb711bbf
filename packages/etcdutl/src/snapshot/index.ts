/**
 * What is done with snapshots, for other programs: the commands `snapshot status` and `snapshot restore` as etcd's tools up to 3.5 had
 * them, which print what those print and end with an {@link ExitError} that says what is wrong with a file; and
 * what prints nothing.
 */
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { ExitError, type Invocation } from '@etcd/host/cli';
import { newCluster } from '@etcd/storage/membership';
import { backUp } from '../commands/backup.ts';
import { foundedCluster, printOldStatus, restore } from '../commands/snapshot.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { runSteps } from '../tool.ts';
import { checkTargets, restoreSnapshot } from './restore.ts';
import type { HashWish, Verified } from './verify.ts';
import { verifyFile } from './verify-file.ts';

export { applyChanges } from './apply-changes.ts';
export { restoreSnapshot } from './restore.ts';
export type { HashWish, Verified };

/** Where nobody is asked for anything. */
const ALONE_PEER_URL = 'http://localhost:2380';
const LOCK_TIMEOUT_MS = 10_000;

export function runStatus(invocation: Invocation): Promise<void> {
  return withDescribedErrors(printOldStatus, invocation);
}

export function runRestore(invocation: Invocation): Promise<void> {
  return withDescribedErrors((one) => restore(one, false), invocation);
}

/** {@link runRestore} of a file that was compared with its digest when it was written, and that nobody needs afterwards. */
export function runRestoreOfOwn(invocation: Invocation): Promise<void> {
  return withDescribedErrors((one) => restore(one, true), invocation);
}

/** `etcdutl backup`, which etcdctl had once. */
export function runBackup(invocation: Invocation): Promise<void> {
  return withDescribedErrors(backUp, invocation);
}

/** One of those that a restore founds a cluster of. */
export interface RestoredMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** The members that {@link runRestore} would found; an {@link ExitError} where its flags do not go together. */
export async function restoredMembers(invocation: Invocation): Promise<readonly RestoredMember[]> {
  return (await withDescribedErrors(foundedCluster, invocation)).members();
}

/** Throws what is in the way of a restore there. */
export function checkRestorePlaces(dataDir: string, walDir: string): void {
  checkTargets({ disk: new NodeDisk() }, { dataDir, walDir });
}

async function withDescribedErrors<T>(
  run: (invocation: Invocation) => Promise<T>,
  invocation: Invocation,
): Promise<T> {
  try {
    return await run(invocation);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT.ERROR, describeError(error));
  }
}

/**
 * Makes a data directory of a snapshot, of one member that knows no others and is nobody's. The file was compared with its digest, and nobody
 * needs it afterwards. Throws what is wrong with the snapshot.
 */
export async function restoreAlone(snapshotPath: string, dataDir: string, name: string): Promise<void> {
  const tool = { disk: new NodeDisk(), clock: new NodeClock(), logger: SILENT_LOGGER };
  const cluster = newCluster(name, new Map([[name, [ALONE_PEER_URL]]]));
  const how = { walDir: '', skipHashCheck: false, bumpRevision: 0, takesFile: true };
  const options = { ...how, snapshotPath, dataDir, name, cluster };
  await runSteps(restoreSnapshot(tool, options));
}

/**
 * Reads every record of a snapshot, as a member would that starts with it; throws what is wrong with it.
 *
 * @param hashRevision at which the keys are hashed; 0: the newest.
 * @param skipsDigest of a file that was copied from a data directory, and has none, or was compared with it when it was written.
 */
export function verifySnapshotFile(
  path: string,
  hashRevision: number,
  skipsDigest = false,
  hash: HashWish = 'taken',
): Promise<Verified> {
  const tool = { disk: new NodeDisk(), clock: new NodeClock(), logger: SILENT_LOGGER };
  return verifyFile(tool, path, { skipsDigest, timeoutMs: LOCK_TIMEOUT_MS, hashRevision, hash });
}
