/** A worker at work: `etcdadm` does what it is for, step by step, and what came of it is told. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Retention } from '@etcd/backup';
import type { BackupResult, RestoreResult } from '../backup/worker.ts';
import type { BackupWork, RestoreWork, Work } from './work.ts';

/** Runs `etcdadm` and resolves to what it printed. Rejects with what it said when it failed. */
export type RunTool = (args: readonly string[]) => Promise<string>;

export function doWork(work: Work, run: RunTool): Promise<BackupResult | RestoreResult> {
  return work.kind === 'backup' ? doBackup(work, run) : doRestore(work, run);
}

/**
 * Older backups go only when the new one was found to be good, where that was asked for; those of other clusters, or that came after it, are
 * for others to judge.
 */
async function doBackup(work: BackupWork, run: RunTool): Promise<BackupResult> {
  const made = metadataFrom(await run(['backup', ...storeFlags(work), ...takeFlags(work), '--json']));
  if (work.verify) {
    await run([
      'backup',
      'verify',
      made.name,
      ...storeFlags(work),
      ...openFlags(work),
      `--scratch=${work.scratch}`,
    ]);
  }
  const { retention } = work;
  const pruned =
    retention === null
      ? ''
      : await run(['backup', 'prune', `--up-to=${made.name}`, ...storeFlags(work), ...keepFlags(retention)]);
  return {
    backupName: made.name,
    clusterId: made.clusterId,
    memberVersion: made.memberVersion,
    revision: made.revision,
    sizeBytes: made.sizeBytes,
    storedBytes: made.storedBytes,
    isVerified: work.verify,
    removed: pruned.split('\n').filter((line) => line.startsWith('Removed ')).length,
  };
}

/**
 * The new data directory is made beside the old one, which stays until the next restore; then they change places. Whoever is asked twice does
 * nothing the second time, and one that was cut off goes on where it was.
 *
 * What might fail comes before they change places: one that is given up after that would leave a member of another cluster than its
 * neighbours.
 */
async function doRestore(work: RestoreWork, run: RunTool): Promise<RestoreResult> {
  const { volume, restoreUid } = work;
  const path = (name: string): string => join(volume, name);
  const marker = path(`restored-${restoreUid}`);
  if (existsSync(marker)) return { backupName: readFileSync(marker, 'utf8') };
  clear(volume, restoreUid);
  const made = path(`restoring-${restoreUid}`);
  // Says that all of it is there: the directory is there before what is in it.
  const whole = `${made}.whole`;
  const backupName = work.backupName === '' ? 'newest' : work.backupName;
  if (!existsSync(whole)) {
    rmSync(made, { recursive: true, force: true });
    await run(['restore', ...restoreArguments(work, made)]);
    writeFileSync(`${whole}.new`, backupName, { flush: true });
    renameSync(`${whole}.new`, whole);
  }
  if (existsSync(made)) {
    if (existsSync(path('data'))) renameSync(path('data'), path(`before-${restoreUid}`));
    renameSync(made, path('data'));
  }
  renameSync(whole, marker);
  // Whoever hears of it starts the member at once.
  syncDirectory(volume);
  return { backupName };
}

function restoreArguments(work: RestoreWork, directory: string): string[] {
  return [
    ...(work.backupName === '' ? [] : [work.backupName]),
    ...storeFlags(work),
    ...openFlags(work),
    `--data-dir=${directory}`,
    `--name=${work.member}`,
    `--initial-cluster=${work.member}=${work.peerUrl}`,
    `--initial-advertise-peer-urls=${work.peerUrl}`,
    `--initial-cluster-token=${work.clusterToken}`,
    ...(work.toTime === null ? [] : [`--to-time=${work.toTime}`]),
  ];
}

/** What restores before this one have left, or workers of this one that were killed: all but what it goes on with. */
function clear(volume: string, restoreUid: string): void {
  const kept = [`before-${restoreUid}`, `restoring-${restoreUid}`, `restoring-${restoreUid}.whole`];
  for (const name of readdirSync(volume)) {
    const isLeft = /^(?:before|restored|restoring|\.etcd-restore)-/.test(name) && !kept.includes(name);
    if (isLeft) rmSync(join(volume, name), { recursive: true, force: true });
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function storeFlags({ store }: Work): string[] {
  return [`--store=${store}`];
}

function takeFlags(work: BackupWork): string[] {
  const { tlsDirectory, recipients, passphraseFile } = work;
  const isOpen = recipients.length === 0 && passphraseFile === null;
  return [
    `--endpoints=${work.endpoints.join(',')}`,
    `--compression=${work.compression}`,
    ...recipients.map((recipient) => `--recipient=${recipient}`),
    ...(passphraseFile === null ? [] : [`--passphrase-file=${passphraseFile}`]),
    ...(isOpen ? ['--unencrypted'] : []),
    ...(tlsDirectory === null
      ? []
      : [
          `--cacert=${tlsDirectory}/ca.crt`,
          `--cert=${tlsDirectory}/tls.crt`,
          `--key=${tlsDirectory}/tls.key`,
        ]),
  ];
}

function openFlags({ passphraseFile, identityFile }: Work): string[] {
  return [
    ...(passphraseFile === null ? [] : [`--passphrase-file=${passphraseFile}`]),
    ...(identityFile === null ? [] : [`--identity=${identityFile}`]),
  ];
}

function keepFlags({ last, withinMs, hourly, daily, weekly, monthly }: Retention): string[] {
  const counts = Object.entries({ last, hourly, daily, weekly, monthly });
  return [
    ...counts.filter(([, count]) => count > 0).map(([name, count]) => `--keep-${name}=${count}`),
    ...(withinMs > 0 ? [`--keep-within=${Math.round(withinMs / 1000)}s`] : []),
  ];
}

interface Made {
  readonly name: string;
  readonly clusterId: string;
  readonly memberVersion: string;
  readonly revision: number;
  readonly sizeBytes: number;
  readonly storedBytes: number;
}

function metadataFrom(text: string): Made {
  const made = JSON.parse(text) as Partial<Made> | null;
  if (typeof made?.name !== 'string' || typeof made.revision !== 'number')
    throw new Error('etcdadm has not told of a backup');
  return made as Made;
}
