/** The endpoints that a command asks one by one: those that are given, or with `--cluster` those of all members. */
import { ExitError } from '@etcd/host/cli';
import { describeError } from './describe-error.ts';
import { EXIT } from './exit-codes.ts';
import type { Session } from './session.ts';

export async function clusterEndpoints(session: Session): Promise<readonly string[]> {
  const { flags } = session.invocation;
  if (!flags.bool('cluster')) return flags.list('endpoints');
  const client = await session.client();
  try {
    const { members } = await client.cluster.memberList();
    return members.flatMap(({ clientUrls }) => clientUrls);
  } catch (error) {
    const reason = describeError(error);
    throw new ExitError(EXIT.ERROR, `failed to fetch endpoints from etcd cluster member list: ${reason}`);
  } finally {
    client.close();
  }
}
