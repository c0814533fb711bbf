/** `etcdctl backup`, which is etcdutl's by now; documents of etcd 3.2 and older releases name it here. */
import { BACKUP_FLAGS } from '@etcd/etcdutl/backup-flags';
import type { Command } from '@etcd/host/cli';
import { GROUP } from '../groups.ts';

export const BACKUP: Command = {
  name: 'backup',
  usage: '--data-dir DIRECTORY --backup-dir DIRECTORY',
  summary: 'Copies the data directory of a stopped member (deprecated: etcdutl backup)',
  group: GROUP.CLUSTER,
  flags: BACKUP_FLAGS,
  async run(invocation) {
    invocation.io.error('Deprecated: Use `etcdutl backup` instead.\n');
    const { runBackup } = await import('@etcd/etcdutl/snapshot');
    await runBackup(invocation);
  },
};
