/** Flags of commands that look at a whole cluster, from anywhere. On a host that `etcdadm` has set up none of them is needed. */
import type { ConnectOptions } from '@etcd/client/node';
import {
  CONNECTION_FLAGS,
  connectionOptions,
  endpointsFrom,
  type FlagDefinition,
  type Invocation,
} from '@etcd/host/cli';
import { ClientAccess, hostConnection } from './cluster-access.ts';

const DEFAULT_CERTS_DIR = '/etc/etcd/pki';
const LOCAL = '127.0.0.1:2379';

export const REMOTE_FLAGS: readonly FlagDefinition[] = [
  { name: 'endpoints', type: 'strings', usage: `members of the cluster (${LOCAL})` },
  {
    name: 'certs-dir',
    type: 'string',
    default: DEFAULT_CERTS_DIR,
    usage: 'directory of the certificates that etcdadm made on this host, used where no others are given',
  },
  ...CONNECTION_FLAGS,
];

/** The flags that say how a client comes. */
const OWN = ['cert', 'key', 'cacert', 'insecure-skip-tls-verify'];

export async function accessOf(invocation: Invocation): Promise<ClientAccess> {
  const { endpoints, connection } = await connectionOf(invocation);
  return new ClientAccess(endpoints, connection);
}

export interface Connection {
  readonly endpoints: readonly string[];
  readonly connection: ConnectOptions;
}

export async function connectionOf({ flags, io }: Invocation): Promise<Connection> {
  const host = OWN.some((name) => flags.isSet(name)) ? null : hostConnection(flags.text('certs-dir'));
  const given = await endpointsFrom(flags, (text) => io.error(text));
  const endpoints = given.length > 0 ? given : [host === null ? LOCAL : `https://${LOCAL}`];
  const connection = await connectionOptions(flags);
  return { endpoints, connection: host === null ? connection : { ...connection, tls: host.tls } };
}
