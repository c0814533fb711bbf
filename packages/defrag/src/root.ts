/** What etcd-defrag takes: the flags of `etcdctl defrag`, and those that say when and how. */
import type { Command, FlagDefinition, Invocation } from '@etcd/host/cli';
import { ExitError } from '@etcd/host/cli';
import { applyEnvironment } from './environment.ts';
import { JobLog } from './job-log.ts';
import { runJob } from './run-job.ts';

const VERSION = '0.44.0';

const FLAGS: readonly FlagDefinition[] = [
  {
    name: 'endpoints',
    type: 'strings',
    default: '127.0.0.1:2379',
    usage: 'where the members listen for clients',
  },
  { name: 'cluster', type: 'bool', usage: 'all members of the cluster, not only the given endpoints' },
  {
    name: 'exclude-localhost',
    type: 'bool',
    usage: 'pass over what members announce on the loopback interface',
  },
  {
    name: 'defrag-rule',
    type: 'string',
    usage: 'defragment only where this is true of dbSize, dbSizeInUse, dbSizeFree, dbQuota, dbQuotaUsage',
  },
  {
    name: 'etcd-storage-quota-bytes',
    type: 'int64',
    default: String(2 * 1024 * 1024 * 1024),
    usage: 'what members were given as --quota-backend-bytes',
  },
  { name: 'compaction', type: 'bool', default: 'true', usage: 'compact first' },
  { name: 'continue-on-error', type: 'bool', default: 'true', usage: 'go on with the others if one fails' },
  { name: 'dry-run', type: 'bool', usage: 'say what would be done, and change nothing' },
  { name: 'move-leader', type: 'bool', usage: 'hand leadership over before the leader is defragmented' },
  {
    name: 'wait-between-defrags',
    type: 'duration',
    usage: 'rest between two members, and after leadership was handed over',
  },
  {
    name: 'skip-healthcheck-cluster-endpoints',
    type: 'bool',
    usage: 'look at the health of the given endpoints only, not of all members',
  },
  {
    name: 'auto-disalarm',
    type: 'bool',
    usage: 'end the alarm NOSPACE when all members are small enough again',
  },
  {
    name: 'disalarm-threshold',
    type: 'float64',
    default: '0.9',
    usage: 'share of the quota up to which a member is small enough',
  },
  { name: 'dial-timeout', type: 'duration', default: '2s', usage: 'how long connecting may take' },
  { name: 'command-timeout', type: 'duration', default: '30s', usage: 'how long one request may take' },
  {
    name: 'keepalive-time',
    type: 'duration',
    default: '2s',
    usage: 'idle time before a sign of life is asked for',
  },
  { name: 'keepalive-timeout', type: 'duration', default: '6s', usage: 'how long a sign of life may take' },
  {
    name: 'insecure-transport',
    type: 'bool',
    default: 'true',
    usage: 'no TLS, unless an endpoint or a file asks for it',
  },
  {
    name: 'insecure-skip-tls-verify',
    type: 'bool',
    usage: 'take any certificate of a server (for tests only)',
  },
  {
    name: 'insecure-discovery',
    type: 'bool',
    default: 'true',
    usage: 'take SRV records of members without TLS',
  },
  { name: 'cert', type: 'string', usage: 'file with the certificate to show to servers' },
  { name: 'key', type: 'string', usage: 'file with the key of that certificate' },
  {
    name: 'cacert',
    type: 'string',
    usage: 'file with the authorities that servers must have their certificate from',
  },
  {
    name: 'user',
    type: 'string',
    usage: 'user to come as, as name or name:password (asked for without one)',
  },
  { name: 'password', type: 'string', usage: 'password of the user' },
  {
    name: 'discovery-srv',
    short: 'd',
    type: 'string',
    usage: 'domain whose SRV records name the endpoints',
  },
  { name: 'discovery-srv-name', type: 'string', usage: 'suffix of the service that is looked up there' },
  { name: 'version', type: 'bool', usage: 'print the version' },
];

export const ROOT: Command = {
  name: 'etcd-defrag',
  usage: '[flags]',
  summary: 'Defragments the members of a cluster that need it, one after the other, the leader last',
  flags: FLAGS,
  run,
};

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation;
  applyEnvironment(invocation);
  if (flags.bool('version')) return io.line(`etcd-defrag Version: ${VERSION}`);
  const log = new JobLog((line) => io.error(line));
  // What went wrong is in the log by now.
  if (!(await runJob(flags, log))) throw new ExitError(1, '');
}
