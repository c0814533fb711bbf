/** `etcdadm backup` and `etcdadm restore`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { RESTORE_FLAGS } from '@etcd/etcdutl/restore-flags';
import {
  CONNECTION_FLAGS,
  type Command,
  connectionOptions,
  ExitError,
  endpointsFrom,
  type FlagDefinition,
  type FlagValues,
  humanBytes,
  type Invocation,
} from '@etcd/host/cli';
import type { Sealing, Secrets } from './age-header.ts';
import { BackupError } from './backup-error.ts';
import { DirectoryStore } from './directory-store.ts';
import type { BackupMetadata, Compression } from './metadata.ts';
import { readBackup } from './read-backup.ts';
import { toRemove } from './retention.ts';
import { chooseSource } from './snapshot-source.ts';
import { takeBackup } from './take-backup.ts';
import { verifyBackup } from './verify-backup.ts';

const COMPRESSIONS = ['zstd', 'gzip', 'none'] as const satisfies readonly Compression[];
/** More than a cluster writes between a backup and the moment when it is needed: watchers notice, and read anew. */
const DEFAULT_BUMP = 1_000_000_000;

const STORE: FlagDefinition = {
  name: 'store',
  type: 'string',
  usage: 'directory of the backups',
  isRequired: true,
};
const PASSPHRASE: FlagDefinition = {
  name: 'passphrase-file',
  type: 'string',
  usage: 'file with a passphrase instead of a key',
};
const SECRET_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'identity',
    type: 'strings',
    usage: 'files with the identities (AGE-SECRET-KEY-1…) that may open backups',
  },
  PASSPHRASE,
];
const SCRATCH: FlagDefinition = {
  name: 'scratch',
  type: 'string',
  usage: 'where there is room for the snapshot in the clear (the directory for temporary files)',
};

export const BACKUP: Command = {
  name: 'backup',
  usage: '--store DIRECTORY [flags]',
  summary: 'Backs a cluster up, encrypted as it comes',
  description:
    'Takes a snapshot of the member that can best spare the time, compresses and encrypts it on the way, and keeps it with what is known of it.',
  flags: [
    STORE,
    {
      name: 'endpoints',
      type: 'strings',
      default: '127.0.0.1:2379',
      usage: 'members, of which one is chosen: a follower before the leader',
    },
    { name: 'recipient', type: 'strings', usage: 'for whom it is encrypted (age1…)' },
    { name: 'recipients-file', type: 'string', usage: 'file with recipients, one a line' },
    PASSPHRASE,
    { name: 'unencrypted', type: 'bool', usage: 'for everybody to read' },
    {
      name: 'compression',
      type: 'string',
      default: 'zstd',
      usage: `how it is compressed: ${COMPRESSIONS.join(', ')}`,
      values: COMPRESSIONS,
    },
    ...CONNECTION_FLAGS,
  ],
  run: (invocation) => guarded((signal) => take(invocation, signal)),
  commands: [
    {
      name: 'list',
      usage: '--store DIRECTORY',
      summary: 'Lists backups, the newest last',
      flags: [STORE, { name: 'json', type: 'bool', usage: 'with all that is known of them, as JSON' }],
      run: (invocation) => guarded(() => list(invocation)),
    },
    {
      name: 'verify',
      usage: '[NAME] --store DIRECTORY',
      summary: 'Reads every record of a backup, the newest unless told',
      flags: [STORE, ...SECRET_FLAGS, SCRATCH],
      run: (invocation) => guarded((signal) => verify(invocation, signal)),
    },
    {
      name: 'get',
      usage: '[NAME] --store DIRECTORY --output FILE',
      summary: 'Writes the snapshot of a backup to a file',
      flags: [
        STORE,
        ...SECRET_FLAGS,
        { name: 'output', short: 'o', type: 'string', usage: 'the file', isRequired: true },
      ],
      run: (invocation) => guarded((signal) => get(invocation, signal)),
    },
    {
      name: 'prune',
      usage: '--store DIRECTORY --keep-…',
      summary: 'Removes backups that nothing asks for; the newest stays always',
      flags: [
        STORE,
        { name: 'keep-last', type: 'uint', usage: 'so many' },
        { name: 'keep-within', type: 'duration', usage: 'those of this last time' },
        { name: 'keep-hourly', type: 'uint', usage: 'the newest of each of so many hours' },
        { name: 'keep-daily', type: 'uint', usage: 'of so many days' },
        { name: 'keep-weekly', type: 'uint', usage: 'of so many weeks' },
        { name: 'keep-monthly', type: 'uint', usage: 'of so many months' },
        { name: 'dry-run', type: 'bool', usage: 'say what would be removed' },
      ],
      run: (invocation) => guarded(() => prune(invocation)),
    },
  ],
};

export const RESTORE: Command = {
  name: 'restore',
  usage: '[NAME] --store DIRECTORY --data-dir DIRECTORY [flags]',
  summary: 'Makes the data directory of a member from a backup, the newest unless told',
  description: `Makes the data directory of a member of a new cluster. To restore a cluster, do so for each of its members from the same backup.
The revision jumps by ${DEFAULT_BUMP} unless --bump-revision says how far (0: not at all), and what was before counts as compacted.`,
  flags: [STORE, ...SECRET_FLAGS, ...RESTORE_FLAGS],
  run: (invocation) => guarded((signal) => restore(invocation, signal)),
};

/** A signal does not end the program on the spot: what lies there in the clear, or unfinished, has to go first. */
async function guarded(work: (signal: AbortSignal) => void | Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new BackupError('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    if (error instanceof BackupError) throw new ExitError(1, error.message);
    // What a client, a disk or a snapshot says is for the operator; what is our own mistake keeps its stack.
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    throw new ExitError(1, (error as Error).message);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

function storeOf(flags: FlagValues): DirectoryStore {
  return new DirectoryStore(resolve(flags.text('store')));
}

async function take({ flags, io }: Invocation, signal: AbortSignal): Promise<void> {
  const compression = COMPRESSIONS.find((known) => known === flags.text('compression'));
  if (compression === undefined)
    throw new BackupError(`compression ${flags.text('compression')} is not known`);
  const sealing = sealingOf(flags);
  const connection = await connectionOptions(flags);
  const endpoints = await endpointsFrom(flags, (text) => io.error(text));
  const endpoint = await chooseSource(endpoints, connection);
  signal.throwIfAborted();
  const made = await takeBackup(storeOf(flags), { endpoint, connection, compression, sealing, signal });
  io.line(`Backup ${made.name} of ${endpoint}: revision ${made.revision}, ${sizesOf(made)}`);
}

/** A backup that anybody can read is one that was asked for. */
function sealingOf(flags: FlagValues): Sealing | null {
  const recipients = [...flags.list('recipient')];
  const file = flags.text('recipients-file');
  if (file !== '') recipients.push(...linesOf(file));
  const passphraseFile = flags.text('passphrase-file');
  const ways = [recipients.length > 0, passphraseFile !== '', flags.bool('unencrypted')].filter(Boolean);
  if (ways.length !== 1) {
    throw new BackupError('give one of --recipient (or --recipients-file), --passphrase-file, --unencrypted');
  }
  if (recipients.length > 0) return { recipients };
  return passphraseFile === '' ? null : { passphrase: passphraseOf(passphraseFile) };
}

function secretsOf(flags: FlagValues): Secrets {
  const file = flags.text('passphrase-file');
  return {
    identities: flags.list('identity').flatMap(linesOf),
    passphrase: file === '' ? null : passphraseOf(file),
  };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BackupError((error as Error).message);
  }
}

/** Without those that are empty, or remarks. */
function linesOf(path: string): string[] {
  const lines = textOf(path)
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

function passphraseOf(path: string): string {
  const passphrase = textOf(path).replace(/\r?\n$/, '');
  if (passphrase === '') throw new BackupError(`${path}: the passphrase is empty`);
  return passphrase;
}

function sizesOf({ sizeBytes, storedBytes }: BackupMetadata): string {
  return `${humanBytes(sizeBytes)}, stored as ${humanBytes(storedBytes)}`;
}

function list({ flags, io }: Invocation): void {
  const all = storeOf(flags).list();
  if (flags.bool('json')) return io.line(JSON.stringify(all, null, 2));
  for (const one of all) io.line(`${one.createdAt}  revision ${one.revision}  ${sizesOf(one)}  ${one.name}`);
}

function chosen({ args, flags }: Invocation): { store: DirectoryStore; metadata: BackupMetadata } {
  if (args.length > 1) throw new BackupError('one backup at a time');
  const store = storeOf(flags);
  return { store, metadata: store.find(args[0] ?? '') };
}

async function verify(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, io } = invocation;
  const { store, metadata } = chosen(invocation);
  const { found, isHashCompared } = await verifyBackup(
    store,
    metadata,
    secretsOf(flags),
    flags.text('scratch'),
    signal,
  );
  const hash = isHashCompared
    ? 'the hash is that of its member'
    : 'a compaction came in between: no hash was compared';
  io.line(
    `${metadata.name} is good: ${found.revisions} revisions, ${found.leases} leases, ${found.users} users; ${hash}`,
  );
}

async function get(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, io } = invocation;
  const { store, metadata } = chosen(invocation);
  const path = flags.text('output');
  await readBackup(store, metadata, secretsOf(flags), path, signal);
  io.line(`Snapshot of ${metadata.name} saved at ${path}`);
}

async function prune({ flags, io }: Invocation): Promise<void> {
  const retention = {
    last: flags.number('keep-last'),
    withinMs: flags.durationMs('keep-within'),
    hourly: flags.number('keep-hourly'),
    daily: flags.number('keep-daily'),
    weekly: flags.number('keep-weekly'),
    monthly: flags.number('keep-monthly'),
  };
  if (Object.values(retention).every((value) => value <= 0)) {
    throw new BackupError('say what is to stay: --keep-last, --keep-within, --keep-hourly, --keep-daily, …');
  }
  const store = storeOf(flags);
  const clusters = Map.groupBy(store.list(), ({ clusterId }) => clusterId);
  for (const backups of clusters.values()) {
    for (const backup of toRemove(backups, retention, Date.now())) {
      if (!flags.bool('dry-run')) await store.remove(backup);
      io.line(`${flags.bool('dry-run') ? 'Would remove' : 'Removed'} ${backup.name}`);
    }
  }
}

async function restore(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags } = invocation;
  const { store, metadata } = chosen(invocation);
  if (!flags.isSet('bump-revision')) flags.set('bump-revision', String(DEFAULT_BUMP));
  flags.set('mark-compacted', String(flags.number('bump-revision') > 0));
  const dataDir = flags.text('data-dir') || `${flags.text('name')}.etcd`;
  const scratch = mkdtempSync(join(existingParent(resolve(dataDir)), '.etcd-restore-'));
  const snapshot = join(scratch, metadata.name);
  try {
    await readBackup(store, metadata, secretsOf(flags), snapshot, signal);
    const { runRestore } = await import('@etcd/etcdutl/snapshot');
    signal.throwIfAborted();
    await runRestore({ ...invocation, args: [snapshot] });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Where a directory will be made, or the nearest place above that is there: the snapshot needs the same file system for a while. */
function existingParent(path: string): string {
  let parent = dirname(path);
  while (!existsSync(parent)) parent = dirname(parent);
  return parent;
}
