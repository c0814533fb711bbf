/** The flags of `backup`, apart from what it does: reading a command line loads no database. */
import type { FlagDefinition } from '@etcd/host/cli';

export const BACKUP_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'data-dir',
    type: 'string',
    isRequired: true,
    usage: 'data directory of a member that does not run',
  },
  { name: 'wal-dir', type: 'string', usage: 'directory of its log, if that is not in the data directory' },
  { name: 'backup-dir', type: 'string', isRequired: true, usage: 'data directory to make' },
  {
    name: 'backup-wal-dir',
    type: 'string',
    usage: 'directory for the log, if it is not to be in the data directory',
  },
  { name: 'with-v3', type: 'bool', default: 'true', usage: 'with the keys' },
];
