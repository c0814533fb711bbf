/** `etcdutl defrag`: the database of a stopped member without its free pages. */
import { type Disk, SILENT_LOGGER } from '@etcd/base';
import { compact, Database } from '@etcd/bbolt';
import { type Command, ExitError, type Invocation, Progress } from '@etcd/host/cli';
import { backendPath, snapDirectory } from '@etcd/storage/data';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { checkExists, lockTimeoutMs, openDatabase, removeFile, runSteps, toolOf } from '../tool.ts';

/** A server removes what begins like this when it starts. */
const TEMPORARY_NAME = 'db.tmp.defrag';

export const DEFRAG: Command = {
  name: 'defrag',
  usage: '',
  summary: 'Makes the database of a stopped member as small as what is in it',
  flags: [
    {
      name: 'data-dir',
      type: 'string',
      isRequired: true,
      usage: 'data directory of a member that does not run (required)',
    },
  ],
  run: defragment,
};

async function defragment(invocation: Invocation): Promise<void> {
  const dataDir = invocation.flags.text('data-dir');
  try {
    await defragmentDirectory(invocation, dataDir);
  } catch (error) {
    const isInterrupted = error instanceof ExitError && error.exitCode === EXIT.INTERRUPTED;
    if (isInterrupted) throw error;
    const problem = `Failed to defragment etcd data[${dataDir}] (${describeError(error)})`;
    throw new ExitError(EXIT.ERROR, problem);
  }
}

async function defragmentDirectory(invocation: Invocation, dataDir: string): Promise<void> {
  const tool = toolOf(invocation);
  const { disk, logger } = tool;
  const path = backendPath({ dataDir });
  checkExists(disk, path);
  const directory = snapDirectory({ dataDir });
  const temporary = disk.join(directory, TEMPORARY_NAME);
  // The lock on it keeps servers away until the other file is in its place.
  const source = await openDatabase(tool, path, { readOnly: false, timeoutMs: lockTimeoutMs(invocation) });
  try {
    const { sizeBytes } = source.statistics();
    logger.info('defragmenting', { path, 'current-db-size-bytes': sizeBytes });
    await writeCompacted(disk, source, temporary);
    disk.rename(temporary, path);
    disk.syncDirectory(directory);
    const after = disk.stat(path)?.sizeBytes ?? 0;
    logger.info('finished defragmenting directory', { path, 'current-db-size-bytes': after });
  } finally {
    source.close();
    removeFile(disk, temporary);
  }
}

async function writeCompacted(disk: Disk, source: Database, path: string): Promise<void> {
  removeFile(disk, path);
  const { pageSizeBytes } = source;
  const target = Database.open({ disk, path, pageSizeBytes, freelist: 'rebuilt', logger: SILENT_LOGGER });
  const read = source.beginRead();
  const progress = await Progress.start('defrag', 'bytes');
  try {
    await runSteps(compact(read, target), (copied) => progress.update(copied, read.sizeBytes));
  } finally {
    progress.end();
    read.close();
    target.close();
  }
}
