/** What the commands about backups have in common: their flags, the store, the keys, and what an error or a signal does. */
import {
  BackupError,
  type BackupStore,
  keyLines,
  type OnPassed,
  openStore,
  readPassphrase,
  type Secrets,
} from '@etcd/backup';
import { ExitError, type FlagDefinition, type FlagValues, StreamGarbage } from '@etcd/host/cli';

export const STORE: FlagDefinition = {
  name: 'store',
  type: 'string',
  usage:
    'of the backups: a directory, or s3://BUCKET/PREFIX (?endpoint=, region=, path-style=, sse=, storage-class=)',
  isRequired: true,
};
export const PASSPHRASE: FlagDefinition = {
  name: 'passphrase-file',
  type: 'string',
  usage: 'file with a passphrase instead of a key',
};
export const SECRET_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'identity',
    type: 'strings',
    usage: 'files with the identities (AGE-SECRET-KEY-1…) that may open backups',
  },
  PASSPHRASE,
];

export const SCRATCH: FlagDefinition = {
  name: 'scratch',
  type: 'string',
  usage: 'where there is room for the snapshot in the clear (the directory for temporary files)',
};

/** A signal does not end the program on the spot: what lies there in the clear, or unfinished, has to go first. */
export async function guarded(work: (signal: AbortSignal) => void | Promise<void>): Promise<void> {
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
export function onPassed(): OnPassed {
  const garbage = new StreamGarbage();
  return (byteCount) => garbage.passed(byteCount);
}

/** A store for the time of some work. */
export async function withStore<T>(address: string, work: (store: BackupStore) => Promise<T>): Promise<T> {
  const store = await openStore(address);
  try {
    return await work(store);
  } finally {
    store.objects.close();
  }
}

export function secretsOf(flags: FlagValues): Secrets {
  const file = flags.text('passphrase-file');
  return {
    identities: flags.list('identity').flatMap(keyLines),
    passphrase: file === '' ? null : readPassphrase(file),
  };
}
