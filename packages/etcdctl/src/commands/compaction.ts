/** `etcdctl compaction`. */
import type { Command } from '@etcd/host/cli';
import { decimal, onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';

export const COMPACTION: Command = {
  name: 'compaction',
  usage: '[options] <revision>',
  summary: 'Forgets what keys were before a revision',
  group: GROUP.KEYS,
  flags: [{ name: 'physical', type: 'bool', usage: 'wait until it is off the disk' }],
  async run(invocation) {
    const argument = onlyArgument(invocation.args, 'compaction command needs 1 argument');
    const revision = decimal(argument, (problem) => problem, EXIT.ERROR);
    await withClient(invocation, async (client) => {
      await client.kv.compact(revision, { physical: invocation.flags.bool('physical') });
      invocation.io.line(`compacted revision ${revision}`);
    });
  },
};
