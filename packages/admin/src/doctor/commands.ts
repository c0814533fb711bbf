/** `etcdadm doctor`. */
import { resolve } from 'node:path';
import { type Command, ExitError, type Invocation, type Io } from '@etcd/host/cli';
import { accessOf, REMOTE_FLAGS } from '../cluster/access-flags.ts';
import { ClusterError } from '../cluster/cluster-error.ts';
import { guarded } from '../cluster/guarded.ts';
import { checkCluster } from './check-cluster.ts';
import { checkBackups, checkCertificates, checkData, checkDisk } from './check-host.ts';
import { checkMembers } from './check-members.ts';
import { collectFacts } from './collect-facts.ts';
import { EXIT, exitCodeOf, type Finding, inOrder, type Severity } from './finding.ts';

const FORMATS = ['simple', 'json'];
const HTTP_TIMEOUT_MS = 5_000;

export const DOCTOR: Command = {
  name: 'doctor',
  usage: '[flags]',
  summary: 'Says what is wrong with a cluster or a data directory, and the command that mends it',
  description: `Asks every member, and looks at what of this host is named. Ends with ${EXIT.fine} when nothing is wrong, ${EXIT.warnings} when there are warnings, ${EXIT.errors} when there are errors, and 1 when it
could not look. Nothing is changed; --data-dir writes a small file beside the data to measure the disk, and removes it.`,
  flags: [
    ...REMOTE_FLAGS,
    {
      name: 'data-dir',
      type: 'string',
      usage: 'data directory of a member on this host, and the disk that it is on',
    },
    { name: 'only-data', type: 'bool', usage: 'look at the data directory alone, and at no cluster' },
    { name: 'backup-store', type: 'string', usage: 'of the backups: a directory, or s3://BUCKET/PREFIX' },
    {
      name: 'max-backup-age',
      type: 'duration',
      default: '24h0m0s',
      usage: 'how old the newest backup may be',
    },
    {
      name: 'write-out',
      short: 'w',
      type: 'string',
      default: 'simple',
      usage: `how it is told: ${FORMATS.join(', ')}`,
      values: FORMATS,
    },
  ],
  argumentProblem: (args) => (args.length === 0 ? null : `accepts no arguments, received ${args.length}`),
  run: (invocation) => guarded(() => examine(invocation)),
};

async function examine(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation;
  const format = flags.text('write-out');
  if (!FORMATS.includes(format))
    throw new ClusterError(`output format ${JSON.stringify(format)} is none of ${FORMATS.join(', ')}`);
  const dataDir = flags.text('data-dir') === '' ? '' : resolve(flags.text('data-dir'));
  if (flags.bool('only-data') && dataDir === '') throw new ClusterError('--only-data needs a --data-dir');
  const nowMs = Date.now();
  const { facts, findings } = flags.bool('only-data')
    ? { facts: null, findings: [] }
    : await lookAtCluster(invocation, nowMs);
  const all: Finding[] = [...findings];
  if (dataDir !== '') {
    const data = checkData(dataDir, facts);
    all.push(...data);
    // No member's directory is none to be written in.
    if (!data.some(({ message }) => message.endsWith("has no member's data")))
      all.push(...checkDisk(dataDir));
  }
  const store = flags.text('backup-store');
  if (store !== '') {
    const address = store.includes('://') ? store : resolve(store);
    all.push(...(await checkBackups(address, flags.durationMs('max-backup-age'), facts, nowMs)));
  }
  if (!flags.bool('only-data')) all.push(...checkCertificates(flags.text('certs-dir'), nowMs));
  report(io, format, inOrder(all), facts?.members.length ?? 0);
  const code = exitCodeOf(all);
  if (code !== EXIT.fine) throw new ExitError(code, '');
}

async function lookAtCluster(
  invocation: Invocation,
  nowMs: number,
): Promise<{
  facts: Awaited<ReturnType<typeof collectFacts>>;
  findings: Finding[];
}> {
  const access = await accessOf(invocation);
  try {
    const facts = await collectFacts(access, { tls: access.tls, timeoutMs: HTTP_TIMEOUT_MS });
    if (facts !== null) return { facts, findings: [...checkCluster(facts), ...checkMembers(facts, nowMs)] };
    const message = `no member answers at ${access.client.endpoints.join(', ')}`;
    const fix = 'see journalctl -u etcd on the hosts; are --endpoints and certificates right?';
    return { facts, findings: [{ severity: 'error', check: 'members', member: null, message, fix }] };
  } finally {
    access.close();
  }
}

const SIGNS: Readonly<Record<Severity, string>> = { error: 'ERROR  ', warning: 'WARNING', note: 'note   ' };

function report(io: Io, format: string, findings: readonly Finding[], members: number): void {
  if (format === 'json') return io.line(JSON.stringify({ members, findings }, null, 2));
  for (const { severity, check, member, message, fix } of findings) {
    io.line(`${SIGNS[severity]} ${check}: ${member === null ? '' : `${member} `}${message}`);
    if (fix !== null) io.line(`        -> ${fix}`);
  }
  const bad = findings.filter(({ severity }) => severity !== 'note').length;
  if (bad === 0)
    io.line(
      members > 0
        ? `Nothing is wrong with the ${members} member${members === 1 ? '' : 's'}.`
        : 'Nothing is wrong.',
    );
}
