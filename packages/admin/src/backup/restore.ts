/** `etcdadm restore`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { BackupError, type Until } from '@etcd/backup';
import { RESTORE_FLAGS } from '@etcd/etcdutl/restore-flags';
import type { Command, FlagDefinition, FlagValues, Invocation } from '@etcd/host/cli';
import { guarded, SCRATCH, SECRET_FLAGS, STORE, secretsOf } from './command-parts.ts';
import { ALWAYS_MS } from './point-in-time.ts';
import { originFromFile, originFromStore, type RestoreOrigin } from './restore-origin.ts';
import { INIT_SYSTEMS, planText, shellWord } from './restore-plan.ts';

/** More than a cluster writes between a backup and the moment when it is needed: watchers notice, and read anew. */
const DEFAULT_BUMP = 1_000_000_000;

const TOKEN = 'initial-cluster-token';
/** Those that are the same on every host, as they were given. */
const SHARED_FLAGS = ['store', 'identity', 'passphrase-file', 'skip-hash-check', 'wal-dir'];

const OWN_FLAGS: readonly FlagDefinition[] = [
  { ...STORE, isRequired: false },
  {
    name: 'snapshot',
    type: 'string',
    usage:
      'instead of a store: a file of etcdctl snapshot save, a copy of member/snap/db, or a data directory',
  },
  ...SECRET_FLAGS,
  {
    name: 'to-revision',
    type: 'uint',
    usage: 'with the changes up to that revision, of a cluster that brings them to the store',
  },
  {
    name: 'to-time',
    type: 'string',
    usage: 'with the changes up to that moment (2026-11-01T12:00:00Z), or all of them (newest)',
  },
  {
    name: 'cluster',
    type: 'bool',
    usage:
      'check everything, make nothing, and say what to do on the host of each member of --initial-cluster',
  },
  { ...SCRATCH, usage: `for --cluster: ${SCRATCH.usage}` },
  {
    name: 'init-system',
    type: 'string',
    default: INIT_SYSTEMS[0],
    usage: `what runs the members, for --cluster: ${INIT_SYSTEMS.join(', ')}`,
    values: INIT_SYSTEMS,
  },
];

export const RESTORE: Command = {
  name: 'restore',
  usage: '[NAME] --store STORE | --snapshot FILE [--cluster] --data-dir DIRECTORY [flags]',
  summary: 'Makes the data directory of a member from a backup, the newest unless told, or from a snapshot',
  description: `Makes the data directory of a member of a new cluster. To restore a cluster, do so for each of its members from the same backup: --cluster says how.
The revision jumps by ${DEFAULT_BUMP} unless --bump-revision says how far (0: not at all), and what was before counts as compacted.`,
  flags: [...OWN_FLAGS, ...RESTORE_FLAGS],
  run: (invocation) => guarded((signal) => restore(invocation, signal)),
};

async function restore(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags } = invocation;
  checkWishes(invocation);
  if (!flags.isSet('bump-revision')) flags.set('bump-revision', String(DEFAULT_BUMP));
  flags.set('mark-compacted', String(flags.number('bump-revision') > 0));
  const isPlan = flags.bool('cluster');
  if (isPlan && !flags.isSet(TOKEN)) flags.set(TOKEN, newToken(new Date()));
  const members = (await membersOf(invocation)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const dataDir = flags.text('data-dir') || `${flags.text('name')}.etcd`;
  const { checkRestorePlaces } = await import('@etcd/etcdutl/snapshot');
  if (!isPlan) checkRestorePlaces(dataDir, flags.text('wal-dir'));
  const parent = isPlan ? flags.text('scratch') || tmpdir() : existingParent(resolve(dataDir));
  const scratch = mkdtempSync(join(parent, '.etcd-restore-'));
  try {
    const origin = await originOf(invocation, join(scratch, 'snapshot.db'), members.length > 1, signal);
    signal.throwIfAborted();
    if (isPlan) await tellPlan(invocation, origin, members);
    else await restoreOne(invocation, origin, members);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function checkWishes({ flags, args }: Invocation): void {
  if (args.length > 1) throw new BackupError('one backup at a time');
  if ((flags.text('store') === '') === (flags.text('snapshot') === '')) {
    throw new BackupError('give one of --store, --snapshot');
  }
  if (flags.text('snapshot') !== '') {
    if (args.length > 0) throw new BackupError('--snapshot is restored as it is: no backup is to be named');
    for (const name of ['to-revision', 'to-time']) {
      if (flags.isSet(name)) throw new BackupError(`--${name} needs a --store with the changes`);
    }
  }
  if (!INIT_SYSTEMS.some((known) => known === flags.text('init-system'))) {
    throw new BackupError(`--init-system ${flags.text('init-system')} is none of ${INIT_SYSTEMS.join(', ')}`);
  }
}

/** Members of the cluster that was are of another one: they have no part in this. */
function newToken(now: Date): string {
  return `restored-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`;
}

interface Founder {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** Of the cluster to be; for a plan each of them is looked at as the one that is restored. */
async function membersOf(invocation: Invocation): Promise<readonly Founder[]> {
  const { flags } = invocation;
  const { restoredMembers } = await import('@etcd/etcdutl/snapshot');
  if (!flags.bool('cluster')) return await restoredMembers(invocation);
  if (!flags.isSet('initial-cluster')) throw new BackupError('--cluster needs an --initial-cluster');
  const urls = new Map<string, string[]>();
  for (const part of flags.text('initial-cluster').split(',')) {
    const [name, ...rest] = part.trim().split('=');
    urls.set(name!, [...(urls.get(name!) ?? []), rest.join('=')]);
  }
  let members: readonly Founder[] = [];
  for (const [name, peerUrls] of urls) {
    flags.set('name', name);
    flags.set('initial-advertise-peer-urls', peerUrls.join());
    members = await restoredMembers(invocation);
  }
  return members;
}

function originOf(
  { flags, args }: Invocation,
  scratchPath: string,
  isShared: boolean,
  signal: AbortSignal,
): Promise<RestoreOrigin> {
  const given = flags.text('snapshot');
  if (given !== '') {
    return originFromFile({ given, skipsDigest: flags.bool('skip-hash-check'), isShared }, signal);
  }
  const wish = {
    store: flags.text('store'),
    name: args[0] ?? '',
    until: untilOf(flags),
    secrets: secretsOf(flags),
  };
  return originFromStore(wish, scratchPath, signal);
}

async function restoreOne(
  invocation: Invocation,
  origin: RestoreOrigin,
  members: readonly Founder[],
): Promise<void> {
  const { flags, io } = invocation;
  const others = members.filter(({ name }) => name !== flags.text('name'));
  const commands = others.map((member) => commandFor(flags, origin, member));
  if (others.length > 0 && !flags.isSet(TOKEN)) {
    io.error(`WARNING: without --${TOKEN} members of the cluster that was may take this one for theirs`);
  }
  io.line(`Restoring ${origin.title}`);
  if (!origin.hasDigest) flags.set('skip-hash-check', 'true');
  const { runRestore, runRestoreOfOwn } = await import('@etcd/etcdutl/snapshot');
  await (origin.isScratch ? runRestoreOfOwn : runRestore)({ ...invocation, args: [origin.path] });
  if (commands.length === 0) return;
  io.line('The other members need the same, each on its host (etcdadm restore --cluster says all of it):');
  for (const command of commands) io.line(`  ${command}`);
}

async function tellPlan(
  { flags, io }: Invocation,
  origin: RestoreOrigin,
  members: readonly Founder[],
): Promise<void> {
  if (origin.isScratch) {
    const { verifySnapshotFile } = await import('@etcd/etcdutl/snapshot');
    await verifySnapshotFile(origin.path, 0, !origin.hasDigest);
  }
  const initSystem = INIT_SYSTEMS.find((known) => known === flags.text('init-system'))!;
  const file = origin.sha256 === null ? null : { path: origin.path, sha256: origin.sha256 };
  const planned = members.map((member) => ({
    ...member,
    dataDir: dataDirFor(flags, member),
    walDir: flags.text('wal-dir'),
    command: commandFor(flags, origin, member),
  }));
  const title = `A cluster of ${members.length} from ${origin.title}; every record was read.`;
  io.out(planText({ title, members: planned, initSystem, file }));
}

function dataDirFor(flags: FlagValues, { name }: Founder): string {
  return flags.text('data-dir') || `${name}.etcd`;
}

/** Makes a member's data directory on its host: everything that has to be the same for all of them is named. */
function commandFor(flags: FlagValues, origin: RestoreOrigin, member: Founder): string {
  const shared = SHARED_FLAGS.filter((name) => flags.isSet(name) && flags.written(name) !== 'false').flatMap(
    (name) =>
      (flags.list(name).length > 0 ? flags.list(name) : [flags.written(name)]).map(
        (value) => `--${name}=${value}`,
      ),
  );
  const words = [
    ...origin.words,
    ...shared,
    `--name=${member.name}`,
    `--data-dir=${dataDirFor(flags, member)}`,
    `--initial-cluster=${flags.text('initial-cluster')}`,
    `--${TOKEN}=${flags.text(TOKEN)}`,
    `--initial-advertise-peer-urls=${member.peerUrls.join()}`,
    `--bump-revision=${flags.number('bump-revision')}`,
  ];
  return ['etcdadm', 'restore', ...words].map(shellWord).join(' ');
}

/** Null: to the backup itself. */
function untilOf(flags: FlagValues): Until | null {
  const time = flags.text('to-time');
  if (flags.isSet('to-revision') && time !== '') throw new BackupError('give --to-revision or --to-time');
  if (flags.isSet('to-revision')) return { kind: 'revision', revision: flags.number('to-revision') };
  if (time === '') return null;
  if (time === 'newest') return { kind: 'time', timeMs: ALWAYS_MS };
  const timeMs = Date.parse(time);
  // Without a zone it would mean another moment on each machine.
  if (Number.isNaN(timeMs) || !/(Z|[+-]\d\d:?\d\d)$/i.test(time)) {
    throw new BackupError(`--to-time: ${time} is no moment as 2026-11-01T12:00:00Z`);
  }
  return { kind: 'time', timeMs };
}

/** Where a directory will be made, or the nearest place above that is there: the snapshot needs the same file system for a while. */
function existingParent(path: string): string {
  let parent = dirname(path);
  while (!existsSync(parent)) parent = dirname(parent);
  return parent;
}
