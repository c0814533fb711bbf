/** A worker at work: `etcdadm` does what it is for, step by step, and what came of it is told. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Retention } from '@etcd/backup';
import type { BackupResult, RestoreResult } from '../backup/worker.ts';
import type { BackupWork, RestoreWork, Work } from './work.ts';

/** Runs `etcdadm` and resolves to what it printed. Rejects with what it said when it failed. */
export type RunTool = (args: readonly string[]) => Promise<string>;

export function doWork(work: Work, run: RunTool): Promise<BackupResult | RestoreResult> {
  return work.kind === 'backup' ? doBackup(work, run) : doRestore(work, run);
}

/** Older backups go only when the new one was found to be good, where that was asked for. */
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
    retention === null ? '' : await run(['backup', 'prune', ...storeFlags(work), ...keepFlags(retention)]);
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
 */
async function doRestore(work: RestoreWork, run: RunTool): Promise<RestoreResult> {
  const { volume, restoreUid } = work;
  const path = (name: string): string => join(volume, name);
  const marker = path(`restored-${restoreUid}`);
  if (existsSync(marker)) return { backupName: readFileSync(marker, 'utf8') };
  const before = `before-${restoreUid}`;
  for (const name of readdirSync(volume)) {
    const isOld = /^(?:before|restored|restoring)-/.test(name) && !name.endsWith(restoreUid);
    if (isOld) rmSync(path(name), { recursive: true, force: true });
  }
  const made = path(`restoring-${restoreUid}`);
  // It is there whole or not at all.
  if (!existsSync(made) && !existsSync(path(before))) {
    await run([
      'restore',
      ...(work.backupName === '' ? [] : [work.backupName]),
      ...storeFlags(work),
      ...openFlags(work),
      `--data-dir=${made}`,
      `--name=${work.member}`,
      `--initial-cluster=${work.member}=${work.peerUrl}`,
      `--initial-advertise-peer-urls=${work.peerUrl}`,
      `--initial-cluster-token=${work.clusterToken}`,
      ...(work.toTime === null ? [] : [`--to-time=${work.toTime}`]),
    ]);
  }
  const isSwapped = !existsSync(made);
  if (!isSwapped && existsSync(path('data'))) renameSync(path('data'), path(before));
  if (!isSwapped) renameSync(made, path('data'));
  const backupName = work.backupName === '' ? 'newest' : work.backupName;
  writeFileSync(`${marker}.new`, backupName, { flush: true });
  renameSync(`${marker}.new`, marker);
  return { backupName };
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
