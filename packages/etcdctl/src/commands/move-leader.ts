/** `etcdctl move-leader`. */
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { memberId, onlyArgument } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withSession } from '../session.ts';

export const MOVE_LEADER: Command = {
  name: 'move-leader',
  usage: '<transferee-member-id>',
  summary: 'Lets another member lead',
  group: GROUP.CLUSTER,
  run: moveLeader,
};

async function moveLeader(invocation: Invocation): Promise<void> {
  const argument = onlyArgument(invocation.args, 'move-leader command needs 1 argument');
  const target = memberId(argument, (problem) => problem);
  await withSession(invocation, async (session) => {
    for (const endpoint of session.endpoints) {
      const client = await session.client([endpoint]);
      const { header, leader } = await client.maintenance.status();
      if (header?.memberId !== leader) continue;
      // Only the leader can be asked.
      const response = await client.maintenance.moveLeader(target);
      session.print('moveLeader', { leader, target, response });
      return;
    }
    throw new ExitError(EXIT.BAD_ARGS, `no leader endpoint given at [${session.endpoints.join(' ')}]`);
  });
}
