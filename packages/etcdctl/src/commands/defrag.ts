/** `etcdctl defrag`. */
import { formatGoDuration } from '@etcd/host/args';
import { type Command, ExitError, Progress } from '@etcd/host/cli';
import { clusterEndpoints } from '../cluster-endpoints.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { type Session, withSession } from '../session.ts';

export const DEFRAG: Command = {
  name: 'defrag',
  usage: '',
  summary: 'Gives the unused space in the files of members back',
  group: GROUP.CLUSTER,
  flags: [
    { name: 'cluster', type: 'bool', usage: 'all members of the cluster, not only the given endpoints' },
  ],
  run: (invocation) => withSession(invocation, defrag),
};

async function defrag(session: Session): Promise<void> {
  const { io } = session.invocation;
  let hasFailed = false;
  const endpoints = await clusterEndpoints(session);
  const progress = await Progress.start('defrag', 'members');
  for (const [i, endpoint] of endpoints.entries()) {
    progress.update(i, endpoints.length);
    const client = await session.client([endpoint]);
    const start = performance.now();
    const took = (): string => formatGoDuration(performance.now() - start);
    try {
      await client.maintenance.defragment({ timeoutMs: session.timeoutMs });
      progress.clear();
      io.line(`Finished defragmenting etcd member[${endpoint}]. took ${took()}`);
    } catch (error) {
      hasFailed = true;
      progress.clear();
      io.error(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${describeError(error)})`);
    }
    client.close();
  }
  progress.end();
  if (hasFailed) throw new ExitError(EXIT.ERROR, '');
}
