/** `etcdutl backup`, as etcd has it up to 3.5. */
import type { Database } from '@etcd/bbolt';
import { type Command, type Invocation, Progress } from '@etcd/host/cli';
import { backendPath } from '@etcd/storage/data';
import { BACKUP_FLAGS } from '../backup/backup-flags.ts';
import { writeBackup } from '../backup/write-backup.ts';
import { checkExists, lockTimeoutMs, openDatabase, runSteps, toolOf } from '../tool.ts';

export const BACKUP: Command = {
  name: 'backup',
  usage: '',
  summary: 'Copies the data directory of a stopped member (rather: etcdctl snapshot save)',
  description: `Copies the data directory of a stopped member, without the cluster that it belonged to. A member is started on the copy with
--force-new-cluster once. A snapshot (etcdctl snapshot save, etcdutl snapshot restore) does the same from a running member.`,
  flags: BACKUP_FLAGS,
  run: backUp,
};

export async function backUp(invocation: Invocation): Promise<void> {
  const { flags } = invocation;
  const tool = toolOf(invocation);
  const dataDir = flags.text('data-dir');
  let database: Database | null = null;
  if (flags.bool('with-v3')) {
    const path = backendPath({ dataDir });
    checkExists(tool.disk, path);
    database = await openDatabase(tool, path, { readOnly: true, timeoutMs: lockTimeoutMs(invocation) });
  }
  const sizeBytes = database?.statistics().sizeBytes ?? 0;
  const progress = await Progress.start('backup', 'bytes');
  try {
    const options = {
      dataDir,
      walDir: flags.text('wal-dir'),
      backupDir: flags.text('backup-dir'),
      backupWalDir: flags.text('backup-wal-dir'),
      database,
    };
    await runSteps(writeBackup(tool, options), (copied) => progress.update(copied, sizeBytes));
  } finally {
    progress.end();
    database?.close();
  }
}
