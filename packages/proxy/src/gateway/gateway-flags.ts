/** The flags of `etcd gateway start`: those of etcd 3.5 to 3.7. */
import type { FlagDefinition } from '@etcd/host/cli';

export const GATEWAY_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'endpoints',
    type: 'strings',
    default: '127.0.0.1:2379',
    usage: 'where the members listen for clients, separated by commas',
  },
  { name: 'listen-addr', type: 'string', default: '127.0.0.1:23790', usage: 'where to listen' },
  { name: 'discovery-srv', type: 'string', usage: 'domain whose SRV records name the members' },
  {
    name: 'discovery-srv-name',
    type: 'string',
    usage: 'suffix of the service that is looked up there',
  },
  { name: 'insecure-discovery', type: 'bool', usage: 'take SRV records of members without TLS' },
  {
    name: 'retry-delay',
    type: 'duration',
    default: '1m0s',
    usage: 'how long a member that could not be reached is left alone',
  },
  {
    name: 'trusted-ca-file',
    type: 'string',
    usage:
      'file with the authorities that members must have their certificate from; those without one are not used',
  },
];
