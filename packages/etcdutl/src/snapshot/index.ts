/**
 * What is done with snapshots, for other programs: the commands `snapshot status` and `snapshot restore` as etcd's tools up to 3.5 had
 * them, which print what those print and end with an {@link ExitError} that says what is wrong with a file; and
 * {@link verifySnapshotFile}, which prints nothing.
 */
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { ExitError, type Invocation } from '@etcd/host/cli';
import { printOldStatus, restore } from '../commands/snapshot.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import type { Verified } from './verify.ts';
import { verifyFile } from './verify-file.ts';

export type { Verified };

const LOCK_TIMEOUT_MS = 10_000;

export function runStatus(invocation: Invocation): Promise<void> {
  return withDescribedErrors(printOldStatus, invocation);
}

export function runRestore(invocation: Invocation): Promise<void> {
  return withDescribedErrors(restore, invocation);
}

async function withDescribedErrors(
  run: (invocation: Invocation) => Promise<void>,
  invocation: Invocation,
): Promise<void> {
  try {
    await run(invocation);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT.ERROR, describeError(error));
  }
}

/**
 * Reads every record of a snapshot, as a member would that starts with it; throws what is wrong with it.
 *
 * @param hashRevision at which the keys are hashed; 0: the newest.
 */
export function verifySnapshotFile(path: string, hashRevision: number): Promise<Verified> {
  const tool = { disk: new NodeDisk(), clock: new NodeClock(), logger: SILENT_LOGGER };
  return verifyFile(tool, path, { skipsDigest: false, timeoutMs: LOCK_TIMEOUT_MS, hashRevision });
}
