/** All commands of etcdutl. */
import { type Command, completionCommand } from '@etcd/host/cli';
import { BACKUP } from './commands/backup.ts';
import { BBOLT } from './commands/bbolt.ts';
import { DEFRAG } from './commands/defrag.ts';
import { HASHKV } from './commands/hashkv.ts';
import { MIGRATE } from './commands/migrate.ts';
import { SNAPSHOT } from './commands/snapshot.ts';
import { VERSION } from './commands/version.ts';
import { WAL } from './commands/wal.ts';
import { GLOBAL_FLAGS } from './global-flags.ts';

export const ROOT: Command = {
  name: 'etcdutl',
  usage: '',
  summary: 'A tool for the files of etcd',
  sharedFlags: GLOBAL_FLAGS,
  commands: [BACKUP, BBOLT, completionCommand('etcdutl'), DEFRAG, HASHKV, MIGRATE, SNAPSHOT, VERSION, WAL],
};
