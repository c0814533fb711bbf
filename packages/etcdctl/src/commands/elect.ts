/** `etcdctl elect`: stands in an election until it is interrupted, or prints who leads. */
import { RangeResponse } from '@etcd/api/etcdserverpb';
import type { EtcdClient } from '@etcd/client';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { firstAborted, onInterrupt } from '../interrupt.ts';
import { type Session, withClient } from '../session.ts';
import { bytesOf } from '../words.ts';

export const ELECT: Command = {
  name: 'elect',
  usage: '<election-name> [proposal]',
  summary: 'Stands in an election, or prints who leads',
  group: GROUP.CONCURRENCY,
  flags: [{ name: 'listen', short: 'l', type: 'bool', usage: 'only print who leads, whenever that changes' }],
  run: elect,
};

async function elect(invocation: Invocation): Promise<void> {
  const { args, flags } = invocation;
  const [name, proposal] = args;
  const isListening = flags.bool('listen');
  if (name === undefined || args.length > 2) {
    const problem = 'elect takes one election name argument and an optional proposal argument';
    throw new ExitError(EXIT.BAD_ARGS, problem);
  }
  if (proposal === undefined && !isListening) {
    throw new ExitError(EXIT.BAD_ARGS, 'no proposal argument but -l not set');
  }
  if (proposal !== undefined && isListening) {
    throw new ExitError(EXIT.BAD_ARGS, 'proposal given but -l is set');
  }
  const interrupted = onInterrupt();
  await withClient(invocation, async (client, session) => {
    if (proposal === undefined) await observe(client, session, name, interrupted);
    else await campaign(client, session, name, proposal, interrupted);
  });
}

async function observe(
  client: EtcdClient,
  session: Session,
  name: string,
  interrupted: AbortSignal,
): Promise<void> {
  try {
    for await (const { pair, header } of client.election(bytesOf(name)).observe({ signal: interrupted })) {
      session.print('get', { response: new RangeResponse({ header, kvs: [pair] }) });
    }
  } catch (error) {
    if (!interrupted.aborted) throw error;
  }
}

async function campaign(
  client: EtcdClient,
  session: Session,
  name: string,
  proposal: string,
  interrupted: AbortSignal,
): Promise<void> {
  const leadership = await client
    .election(bytesOf(name))
    .campaign(bytesOf(proposal), { signal: interrupted });
  session.print('get', { response: await client.kv.get(leadership.key) });
  const first = await firstAborted(interrupted, leadership.signal);
  if (first !== interrupted) throw new ExitError(EXIT.ERROR, 'elect: session expired');
  await leadership.resign();
}
