/** What a worker is told to do, in its environment, and where it has its files. */
import type { Retention } from '@etcd/backup';

export const WORK_VARIABLE = 'ETCD_OPERATOR_WORK';
/** Where Kubernetes reads what came of it. */
export const RESULT_FILE = '/dev/termination-log';
export const SCRATCH_MOUNT = '/scratch';
export const PASSPHRASE_MOUNT = '/etc/etcd/passphrase';
export const IDENTITY_MOUNT = '/etc/etcd/identity';
export const CLIENT_TLS_MOUNT = '/etc/etcd/tls/operator';

interface Opening {
  /** As `etcdadm --store` takes it. */
  readonly store: string;
  /** null: none. */
  readonly passphraseFile: string | null;
  readonly identityFile: string | null;
}

export interface BackupWork extends Opening {
  readonly kind: 'backup';
  readonly resultFile: string;
  readonly endpoints: readonly string[];
  /** A directory with `ca.crt`, `tls.crt` and `tls.key`; null: in the clear. */
  readonly tlsDirectory: string | null;
  readonly recipients: readonly string[];
  readonly compression: string;
  readonly verify: boolean;
  readonly scratch: string;
  readonly retention: Retention | null;
}

export interface RestoreWork extends Opening {
  readonly kind: 'restore';
  readonly resultFile: string;
  /** Empty: the newest. */
  readonly backupName: string;
  /** To that moment, or `newest`; null: as the backup has it. */
  readonly toTime: string | null;
  /** Of the volume: the data directory is `data` in it. */
  readonly volume: string;
  /** Tells this restore from others. */
  readonly restoreUid: string;
  readonly member: string;
  readonly peerUrl: string;
  readonly clusterToken: string;
}

export type Work = BackupWork | RestoreWork;

/** Throws for a text that is none: the operator that wrote it is another than this one. */
export function parseWork(text: string): Work {
  const work = JSON.parse(text) as Partial<Work> | null;
  if (work?.kind === 'backup' || work?.kind === 'restore') return work as Work;
  throw new Error(`${WORK_VARIABLE} says nothing that this worker knows`);
}
