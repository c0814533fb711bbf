/** All commands of etcdctl. */
import { type Command, completionCommand } from '@etcd/host/cli';
import { ALARM } from './commands/alarm.ts';
import { AUTH } from './commands/auth.ts';
import { BACKUP } from './commands/backup.ts';
import { CHECK } from './commands/check.ts';
import { COMPACTION } from './commands/compaction.ts';
import { DEFRAG } from './commands/defrag.ts';
import { DEL } from './commands/del.ts';
import { DOWNGRADE } from './commands/downgrade.ts';
import { ELECT } from './commands/elect.ts';
import { ENDPOINT } from './commands/endpoint.ts';
import { GET } from './commands/get.ts';
import { LEASE } from './commands/lease.ts';
import { LOCK } from './commands/lock.ts';
import { MAKE_MIRROR } from './commands/make-mirror.ts';
import { MEMBER } from './commands/member.ts';
import { MOVE_LEADER } from './commands/move-leader.ts';
import { OPTIONS } from './commands/options.ts';
import { PUT } from './commands/put.ts';
import { ROLE } from './commands/role.ts';
import { SNAPSHOT } from './commands/snapshot.ts';
import { TXN } from './commands/txn.ts';
import { USER } from './commands/user.ts';
import { VERSION } from './commands/version.ts';
import { WATCH } from './commands/watch.ts';
import { GLOBAL_FLAGS } from './global-flags.ts';
import { GROUP } from './groups.ts';

export const ROOT: Command = {
  name: 'etcdctl',
  usage: '',
  summary: 'A command-line client of etcd',
  sharedFlags: GLOBAL_FLAGS,
  commands: [
    GET,
    PUT,
    DEL,
    TXN,
    COMPACTION,
    LEASE,
    WATCH,
    ALARM,
    DEFRAG,
    DOWNGRADE,
    ENDPOINT,
    MEMBER,
    MOVE_LEADER,
    SNAPSHOT,
    BACKUP,
    ELECT,
    LOCK,
    AUTH,
    ROLE,
    USER,
    CHECK,
    completionCommand('etcdctl', { group: GROUP.UTILITY }),
    MAKE_MIRROR,
    OPTIONS,
    VERSION,
  ],
};
