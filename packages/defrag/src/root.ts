/** What etcd-defrag takes: the flags of `etcdctl defrag`, and those that say when and how. */
import type { Command, FlagDefinition, Invocation } from '@etcd/host/cli';
import { CONNECTION_FLAGS, ExitError } from '@etcd/host/cli';
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
  ...CONNECTION_FLAGS,
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
