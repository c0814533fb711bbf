/** `etcdadm migrate`. */
import { dirname, resolve } from 'node:path';
import type { Command, Invocation } from '@etcd/host/cli';
import { connectionOf, REMOTE_FLAGS } from '../cluster/access-flags.ts';
import { ClusterError } from '../cluster/cluster-error.ts';
import { guarded } from '../cluster/guarded.ts';
import { KubeletHost } from './kubelet-host.ts';
import type { MemberHost } from './member-host.ts';
import { migrateMember } from './migrate.ts';
import { ClientMigrationAccess } from './migration-access.ts';
import { SystemdHost } from './systemd-host.ts';

export const MIGRATE: Command = {
  name: 'migrate',
  usage: '[flags]',
  summary: 'Has the member on this host go on as another program, and back',
  description: `Exchanges Go's etcd for this one, or one release for another, on the same data, host by host, while the others serve. Looks at the cluster before and
after; a program that does not come up is exchanged for the one before. The unit or the manifest is the original, to which --back goes.`,
  flags: [
    ...REMOTE_FLAGS,
    {
      name: 'to',
      type: 'string',
      usage: 'path of the program (the etcd that comes with this one), or image of the pod',
    },
    {
      name: 'back',
      type: 'bool',
      usage: 'back to what the unit, or the pod before the first migration, names',
    },
    { name: 'unit', type: 'string', default: 'etcd.service', usage: 'unit of the member' },
    {
      name: 'manifest',
      type: 'string',
      usage: 'manifest of the static pod, where a kubelet runs the member',
    },
    { name: 'accept-downtime', type: 'bool', usage: 'exchange the only member of a cluster' },
    { name: 'dry-run', type: 'bool', usage: 'look, and change nothing' },
    {
      name: 'timeout',
      type: 'duration',
      default: '5m0s',
      usage: 'how long it may take until the member has caught up',
    },
  ],
  argumentProblem: (args) => (args.length === 0 ? null : `accepts no arguments, received ${args.length}`),
  run: (invocation) => guarded((signal) => migrate(invocation, signal)),
};

async function migrate(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, io } = invocation;
  if (flags.bool('back') && flags.isSet('to')) throw new ClusterError('give --to or --back');
  if (process.getuid?.() !== 0) throw new ClusterError('units and manifests are for root: run this as root');
  const { endpoints, connection } = await connectionOf(invocation);
  const [endpoint] = endpoints;
  if (endpoints.length !== 1 || endpoint === undefined) {
    throw new ClusterError('--endpoints takes the member on this host, and no other');
  }
  const isSecure = connection.tls !== undefined;
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `${isSecure ? 'https' : 'http'}://${endpoint}`;
  if (!URL.canParse(url)) throw new ClusterError(`${JSON.stringify(endpoint)} is no endpoint`);
  const access = new ClientMigrationAccess([url], connection);
  try {
    await migrateMember(access, hostOf(invocation, url), {
      endpoint: url,
      to: flags.bool('back') ? null : programOf(invocation),
      acceptsDowntime: flags.bool('accept-downtime'),
      isDryRun: flags.bool('dry-run'),
      timeoutMs: Math.max(1, flags.durationMs('timeout')),
      signal,
      say: (line) => io.line(line),
    });
  } finally {
    access.close();
  }
}

function hostOf({ flags }: Invocation, url: string): MemberHost {
  const manifest = flags.text('manifest');
  if (manifest !== '') return new KubeletHost(resolve(manifest), url);
  const unit = flags.text('unit');
  if (!/^[\w@.:-]+\.service$/.test(unit))
    throw new ClusterError(`${JSON.stringify(unit)} is no name of a service`);
  return new SystemdHost(unit);
}

function programOf({ flags }: Invocation): string {
  const to = flags.text('to');
  if (to !== '') return to;
  if (flags.text('manifest') !== '') throw new ClusterError('a pod needs an image: --to');
  return resolve(dirname(process.argv[1] ?? '.'), '../bin/etcd');
}
