/** `etcdctl endpoint …`: asks each endpoint by itself. */
import { AlarmType } from '@etcd/api/etcdserverpb';
import { type EtcdClient, isError, RPC_ERRORS } from '@etcd/client';
import { formatGoDuration } from '@etcd/host/args';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { clusterEndpoints } from '../cluster-endpoints.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import type { EndpointHash, EndpointHealth, EndpointStatus } from '../printers/printer.ts';
import { type Session, withSession } from '../session.ts';

const CLUSTER_FLAG = {
  name: 'cluster',
  type: 'bool',
  usage: 'ask all members of the cluster, not only the given endpoints',
} as const;

const HEALTH: Command = {
  name: 'health',
  usage: '',
  summary: 'Says whether endpoints are healthy',
  run: (invocation) => withSession(invocation, (session) => health(session), EXIT.ERROR, ['cluster']),
};

const STATUS: Command = {
  name: 'status',
  usage: '',
  summary: 'Prints the status of endpoints',
  run: (invocation) => withSession(invocation, (session) => status(session), EXIT.ERROR, ['cluster']),
};

const HASHKV: Command = {
  name: 'hashkv',
  usage: '',
  summary: 'Prints the hash of what endpoints hold',
  flags: [{ name: 'rev', type: 'int64', usage: 'up to this revision (0 for the latest)' }],
  run: (invocation) =>
    withSession(invocation, (session) => hashKv(session, invocation), EXIT.ERROR, ['cluster']),
};

export const ENDPOINT: Command = {
  name: 'endpoint',
  usage: '<subcommand>',
  summary: 'Commands about endpoints',
  group: GROUP.CLUSTER,
  sharedFlags: [CLUSTER_FLAG],
  commands: [HEALTH, STATUS, HASHKV],
};

async function health(session: Session): Promise<void> {
  const endpoints = await clusterEndpoints(session);
  const list = await Promise.all(endpoints.map((endpoint) => healthOf(session, endpoint)));
  session.print('endpointHealth', list);
  if (session.format === 'simple') {
    for (const { endpoint, error } of list) {
      if (error === '') continue;
      const { io } = session.invocation;
      const health = io.errorTerminal.paint('red', 'unhealthy');
      io.error(`${endpoint} is ${health}: failed to commit proposal: ${error}`);
    }
  }
  if (list.some(({ error }) => error !== '')) throw new ExitError(EXIT.ERROR, 'unhealthy cluster');
}

/** A member that answers a linearizable read is part of a cluster that works, if no alarm says otherwise. */
async function healthOf(session: Session, endpoint: string): Promise<EndpointHealth> {
  let client: EtcdClient;
  try {
    client = await session.client([endpoint]);
  } catch (error) {
    return { endpoint, isHealthy: false, took: '', error: describeError(error) };
  }
  const start = performance.now();
  let error = '';
  try {
    await client.kv.get('health');
  } catch (thrown) {
    // Who is refused has been told so by a leader.
    if (!isError(thrown, RPC_ERRORS.ErrGRPCPermissionDenied)) error = describeError(thrown);
  }
  const took = formatGoDuration(performance.now() - start);
  if (error === '') error = await alarmsOf(client);
  return { endpoint, isHealthy: error === '', took, error };
}

async function alarmsOf(client: EtcdClient): Promise<string> {
  try {
    const { alarms } = await client.maintenance.alarmList();
    if (alarms.length === 0) return '';
    const names = alarms.map(({ alarm }) =>
      alarm === AlarmType.NOSPACE ? 'NOSPACE ' : alarm === AlarmType.CORRUPT ? 'CORRUPT ' : 'UNKNOWN ',
    );
    return `Active Alarm(s): ${names.join('')}`;
  } catch {
    return 'Unable to fetch the alarm list';
  }
}

async function status(session: Session): Promise<void> {
  const list: EndpointStatus[] = [];
  let hasFailed = false;
  for (const endpoint of await clusterEndpoints(session)) {
    const client = await session.client([endpoint]);
    try {
      list.push({ endpoint, status: await client.maintenance.status() });
    } catch (error) {
      hasFailed = true;
      const reason = describeError(error);
      session.invocation.io.error(`Failed to get the status of endpoint ${endpoint} (${reason})`);
    }
    client.close();
  }
  session.print('endpointStatus', list);
  if (hasFailed) throw new ExitError(EXIT.ERROR, '');
}

async function hashKv(session: Session, { flags, io }: Invocation): Promise<void> {
  const list: EndpointHash[] = [];
  let failure: unknown = null;
  for (const endpoint of await clusterEndpoints(session)) {
    const client = await session.client([endpoint]);
    try {
      list.push({ endpoint, hash: await client.maintenance.hashKv(flags.number('rev')) });
    } catch (error) {
      failure = error;
      io.error(`Failed to get the hash of endpoint ${endpoint} (${describeError(error)})`);
    }
    client.close();
  }
  session.print('endpointHash', list);
  if (failure !== null) throw failure;
}
