/** `etcdadm backup` and `etcdadm restore`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  BackupError,
  type BackupMetadata,
  type BackupStore,
  COMPRESSIONS,
  isNothing,
  isOneWay,
  keyLines,
  type OnPassed,
  openStore,
  prune,
  readBackup,
  readPassphrase,
  readSealing,
  type Sealing,
  type Secrets,
  type StoredBackup,
  type TakeOptions,
  takeBackup,
  type Until,
} from '@etcd/backup';
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
  StreamGarbage,
} from '@etcd/host/cli';
import { ALWAYS_MS, writePointInTime } from './point-in-time.ts';
import { ownEtcd, type Rehearsal } from './rehearse.ts';
import { chooseSource, RemoteSource } from './snapshot-source.ts';
import { verifyBackup } from './verify-backup.ts';

/** More than a cluster writes between a backup and the moment when it is needed: watchers notice, and read anew. */
const DEFAULT_BUMP = 1_000_000_000;

const TAKE_TRIES = 3;

/** Longer than any backup takes. */
const UNFINISHED_AGE_MS = 24 * 3_600_000;

const STORE: FlagDefinition = {
  name: 'store',
  type: 'string',
  usage:
    'of the backups: a directory, or s3://BUCKET/PREFIX (?endpoint=, region=, path-style=, sse=, storage-class=)',
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
  usage: '--store STORE [flags]',
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
      usage: '--store STORE',
      summary: 'Lists backups, the newest last',
      flags: [STORE, { name: 'json', type: 'bool', usage: 'with all that is known of them, as JSON' }],
      run: (invocation) => guarded(() => list(invocation)),
    },
    {
      name: 'verify',
      usage: '[NAME] --store STORE',
      summary: 'Reads every record of a backup, the newest unless told, and starts a member with it',
      flags: [
        STORE,
        ...SECRET_FLAGS,
        SCRATCH,
        {
          name: 'etcd',
          type: 'string',
          usage: 'program to start a member with (the etcd beside this program)',
        },
        { name: 'skip-start', type: 'bool', usage: 'do not start a member' },
      ],
      run: (invocation) => guarded((signal) => verify(invocation, signal)),
    },
    {
      name: 'get',
      usage: '[NAME] --store STORE --output FILE',
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
      usage: '--store STORE --keep-…',
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
      run: (invocation) => guarded(() => runPrune(invocation)),
    },
  ],
};

export const RESTORE: Command = {
  name: 'restore',
  usage: '[NAME] --store STORE --data-dir DIRECTORY [flags]',
  summary: 'Makes the data directory of a member from a backup, the newest unless told',
  description: `Makes the data directory of a member of a new cluster. To restore a cluster, do so for each of its members from the same backup.
The revision jumps by ${DEFAULT_BUMP} unless --bump-revision says how far (0: not at all), and what was before counts as compacted.`,
  flags: [
    STORE,
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
    ...RESTORE_FLAGS,
  ],
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

/** What has passed is given back on the way: that of a gigabyte would be some hundred megabytes. */
function onPassed(): OnPassed {
  const garbage = new StreamGarbage();
  return (byteCount) => garbage.passed(byteCount);
}

/** A store for the time of some work. */
async function withStore<T>(flags: FlagValues, work: (store: BackupStore) => Promise<T>): Promise<T> {
  const store = await openStore(flags.text('store'));
  try {
    return await work(store);
  } finally {
    store.objects.close();
  }
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
  const source = await RemoteSource.connect(endpoint, connection);
  const options = { source, compression, sealing, signal, onPassed: onPassed() };
  let made: BackupMetadata;
  try {
    made = await withStore(flags, (store) => takeUncompacted(store, options));
  } finally {
    source.close();
  }
  io.line(`Backup ${made.name} of ${endpoint}: revision ${made.revision}, ${sizesOf(made)}`);
}

/** A compaction may come between the revision that a member names and the hash at that revision: then once more. */
async function takeUncompacted(store: BackupStore, options: TakeOptions): Promise<BackupMetadata> {
  for (let tries = 1; ; tries++) {
    try {
      return await takeBackup(store, options);
    } catch (error) {
      if (tries === TAKE_TRIES || !/has been compacted/.test((error as Error).message)) throw error;
    }
  }
}

function sealingOf(flags: FlagValues): Sealing | null {
  const wishes = {
    recipients: flags.list('recipient'),
    recipientsFile: flags.text('recipients-file'),
    passphraseFile: flags.text('passphrase-file'),
    isUnencrypted: flags.bool('unencrypted'),
  };
  if (isOneWay(wishes)) return readSealing(wishes);
  throw new BackupError('give one of --recipient (or --recipients-file), --passphrase-file, --unencrypted');
}

function secretsOf(flags: FlagValues): Secrets {
  const file = flags.text('passphrase-file');
  return {
    identities: flags.list('identity').flatMap(keyLines),
    passphrase: file === '' ? null : readPassphrase(file),
  };
}

function sizesOf({ sizeBytes, storedBytes }: BackupMetadata): string {
  return `${humanBytes(sizeBytes)}, stored as ${humanBytes(storedBytes)}`;
}

async function list({ flags, io }: Invocation): Promise<void> {
  const all = await withStore(flags, (store) => store.list());
  if (flags.bool('json')) return io.line(JSON.stringify(all, null, 2));
  for (const one of all) {
    const damage = one.isWhole ? '' : '  NOT WHOLE';
    io.line(`${one.createdAt}  revision ${one.revision}  ${sizesOf(one)}  ${one.name}${damage}`);
  }
}

/** Works with the backup that is named, or the newest. */
async function withChosen(
  { args, flags }: Invocation,
  work: (store: BackupStore, metadata: BackupMetadata) => Promise<void>,
): Promise<void> {
  if (args.length > 1) throw new BackupError('one backup at a time');
  await withStore(flags, async (store) => work(store, await store.find(args[0] ?? '')));
}

async function verify(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, io } = invocation;
  await withChosen(invocation, async (store, metadata) => {
    const { found, isHashCompared, rehearsal } = await verifyBackup(store, metadata, {
      secrets: secretsOf(flags),
      scratch: flags.text('scratch'),
      program: flags.bool('skip-start') ? null : flags.text('etcd') || ownEtcd(),
      signal,
      onPassed: onPassed(),
    });
    const hash = isHashCompared
      ? 'the hash is that of its member'
      : 'a compaction came in between: no hash was compared';
    const records = `${found.revisions} revisions, ${found.leases} leases, ${found.users} users`;
    io.line(`${metadata.name} is good: ${records}; ${hash}${rehearsalText(rehearsal)}`);
  });
}

function rehearsalText(rehearsal: Rehearsal | null): string {
  if (rehearsal === null) return '';
  const { revision, keys } = rehearsal;
  if (keys === null) return '; a member made of it starts, and tells users alone what it has';
  return `; a member made of it starts at revision ${revision} with ${keys} keys`;
}

async function get(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, io } = invocation;
  await withChosen(invocation, async (store, metadata) => {
    const path = flags.text('output');
    await readBackup(store, metadata, secretsOf(flags), path, signal, onPassed());
    io.line(`Snapshot of ${metadata.name} saved at ${path}`);
  });
}

async function runPrune({ flags, io }: Invocation): Promise<void> {
  const retention = {
    last: flags.number('keep-last'),
    withinMs: flags.durationMs('keep-within'),
    hourly: flags.number('keep-hourly'),
    daily: flags.number('keep-daily'),
    weekly: flags.number('keep-weekly'),
    monthly: flags.number('keep-monthly'),
  };
  if (isNothing(retention)) {
    throw new BackupError('say what is to stay: --keep-last, --keep-within, --keep-hourly, --keep-daily, …');
  }
  const isDryRun = flags.bool('dry-run');
  const nowMs = Date.now();
  await withStore(flags, async (store) => {
    const onRemoved = ({ name }: StoredBackup): void =>
      io.line(`${isDryRun ? 'Would remove' : 'Removed'} ${name}`);
    await prune(store, retention, { nowMs, isDryRun, onRemoved });
    if (isDryRun) return;
    const count = await store.objects.removeUnfinished(nowMs - UNFINISHED_AGE_MS);
    if (count > 0) io.line(`Freed ${count} that were never finished`);
  });
}

async function restore(invocation: Invocation, signal: AbortSignal): Promise<void> {
  const { flags, args, io } = invocation;
  if (args.length > 1) throw new BackupError('one backup at a time');
  if (!flags.isSet('bump-revision')) flags.set('bump-revision', String(DEFAULT_BUMP));
  flags.set('mark-compacted', String(flags.number('bump-revision') > 0));
  const until = untilOf(flags);
  const secrets = secretsOf(flags);
  const dataDir = flags.text('data-dir') || `${flags.text('name')}.etcd`;
  await withStore(flags, async (store) => {
    const scratch = mkdtempSync(join(existingParent(resolve(dataDir)), '.etcd-restore-'));
    const snapshot = join(scratch, 'snapshot.db');
    try {
      if (until === null) {
        await readBackup(store, await store.find(args[0] ?? ''), secrets, snapshot, signal, onPassed());
      } else {
        const options = { secrets, signal, onPassed: onPassed() };
        const point = await writePointInTime(store, args[0] ?? '', until, snapshot, options);
        flags.set('skip-hash-check', 'true');
        const last =
          point.timeMs === null ? '' : `, whose last change is of ${new Date(point.timeMs).toISOString()}`;
        io.line(`Restoring ${point.base.name} and what came after it to revision ${point.revision}${last}`);
      }
      const { runRestoreOfOwn } = await import('@etcd/etcdutl/snapshot');
      signal.throwIfAborted();
      await runRestoreOfOwn({ ...invocation, args: [snapshot] });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
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
