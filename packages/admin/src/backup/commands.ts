/** `etcdadm backup`. */
import {
  BackupError,
  type BackupMetadata,
  type BackupStore,
  COMPRESSIONS,
  isNothing,
  isOneWay,
  prune,
  readBackup,
  readSealing,
  type Sealing,
  type StoredBackup,
  type TakeOptions,
  takeBackup,
} from '@etcd/backup';
import {
  CONNECTION_FLAGS,
  type Command,
  connectionOptions,
  endpointsFrom,
  type FlagValues,
  humanBytes,
  type Invocation,
} from '@etcd/host/cli';
import {
  guarded,
  onPassed,
  PASSPHRASE,
  SCRATCH,
  SECRET_FLAGS,
  STORE,
  secretsOf,
  withStore,
} from './command-parts.ts';
import { ownEtcd, type Rehearsal } from './rehearse.ts';
import { chooseSource, RemoteSource } from './snapshot-source.ts';
import { verifyBackup } from './verify-backup.ts';

const TAKE_TRIES = 3;

/** Longer than any backup takes. */
const UNFINISHED_AGE_MS = 24 * 3_600_000;

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
    { name: 'json', type: 'bool', usage: 'print all that is known of it, as JSON' },
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
        {
          name: 'up-to',
          type: 'string',
          usage: 'of the cluster of this backup alone, as if it were the newest: none after it is removed',
        },
        { name: 'dry-run', type: 'bool', usage: 'say what would be removed' },
      ],
      run: (invocation) => guarded(() => runPrune(invocation)),
    },
  ],
};

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
    made = await withStore(flags.text('store'), (store) => takeUncompacted(store, options));
  } finally {
    source.close();
  }
  if (flags.bool('json')) return io.line(JSON.stringify(made));
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

function sizesOf({ sizeBytes, storedBytes }: BackupMetadata): string {
  return `${humanBytes(sizeBytes)}, stored as ${humanBytes(storedBytes)}`;
}

async function list({ flags, io }: Invocation): Promise<void> {
  const all = await withStore(flags.text('store'), (store) => store.list());
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
  await withStore(flags.text('store'), async (store) => work(store, await store.find(args[0] ?? '')));
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
    await readBackup(store, metadata, path, { secrets: secretsOf(flags), signal, onPassed: onPassed() });
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
  await withStore(flags.text('store'), async (store) => {
    const onRemoved = ({ name }: StoredBackup): void =>
      io.line(`${isDryRun ? 'Would remove' : 'Removed'} ${name}`);
    const name = flags.text('up-to');
    const upTo = name === '' ? {} : { upTo: name };
    await prune(store, retention, { nowMs, isDryRun, onRemoved, ...upTo });
    if (isDryRun) return;
    const count = await store.objects.removeUnfinished(nowMs - UNFINISHED_AGE_MS);
    if (count > 0) io.line(`Freed ${count} that were never finished`);
  });
}
