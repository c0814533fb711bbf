/** `etcdutl snapshot`: what a snapshot holds, and a data directory made of it. */
import { lookup } from 'node:dns/promises';
import { parseUrls, urlTexts } from '@etcd/base';
import { type Command, ExitError, humanBytes, type Invocation, Progress } from '@etcd/host/cli';
import { bootstrapProblem, type Membership, newCluster, parseInitialCluster } from '@etcd/storage/membership';
import { EXIT } from '../exit-codes.ts';
import { type Column, checkFormat, printColumns } from '../print-rows.ts';
import { restoreSnapshot } from '../snapshot/restore.ts';
import { RESTORE_FLAGS } from '../snapshot/restore-flags.ts';
import { readStatus, type SnapshotStatus } from '../snapshot/status.ts';
import type { Verified } from '../snapshot/verify.ts';
import { verifyFile } from '../snapshot/verify-file.ts';
import { checkExists, lockTimeoutMs, onlyArgument, openDatabase, runSteps, toolOf } from '../tool.ts';

const STATUS: Command = {
  name: 'status',
  usage: '<filename>',
  summary: 'Prints what a snapshot holds',
  description:
    'Checks the structure of a snapshot, and prints its hash, revision, number of keys, size and version.',
  run: status,
};

const RESTORE: Command = {
  name: 'restore',
  usage: '<filename> --data-dir {output dir} [options]',
  summary: 'Makes a data directory of a snapshot',
  description:
    'Makes the data directory of a member of a new cluster from a snapshot. To restore a cluster, do so for each of its members from the same file.',
  flags: RESTORE_FLAGS,
  run: (invocation) => restore(invocation, false),
};

const VERIFY: Command = {
  name: 'verify',
  usage: '<filename> [options]',
  summary: 'Reads every record of a snapshot',
  description:
    'Compares a snapshot with its digest, checks its structure and reads every record in it, as a member would that starts with it.',
  flags: [
    {
      name: 'skip-hash-check',
      type: 'bool',
      usage: 'do not compare with the digest, which a copied file does not have',
    },
  ],
  run: verify,
};

export const SNAPSHOT: Command = {
  name: 'snapshot',
  usage: '<subcommand>',
  summary: 'Commands about copies of a member',
  commands: [STATUS, RESTORE, VERIFY],
};

async function status(invocation: Invocation): Promise<void> {
  const found = await statusOf(invocation);
  printColumns(invocation, [
    ...statusColumns(found, found.totalKeys),
    { head: 'version', field: 'Version', key: 'version', value: found.version },
  ]);
}

/** As the tools of etcd up to 3.5 print it: whatever is in any bucket counts as a key. */
export async function printOldStatus(invocation: Invocation): Promise<void> {
  const found = await statusOf(invocation);
  printColumns(invocation, statusColumns(found, found.totalEntries));
}

async function statusOf(invocation: Invocation): Promise<SnapshotStatus> {
  const path = onlyArgument(invocation.args, 'snapshot status requires exactly one argument');
  const tool = toolOf(invocation);
  checkExists(tool.disk, path);
  checkFormat(invocation);
  const database = await openDatabase(tool, path, { readOnly: true, timeoutMs: lockTimeoutMs(invocation) });
  try {
    return await runSteps(readStatus(database));
  } finally {
    database.close();
  }
}

function statusColumns(found: SnapshotStatus, keys: number): Column[] {
  return [
    { head: 'hash', field: 'Hash', key: 'hash', value: found.hash, text: found.hash.toString(16) },
    { head: 'revision', field: 'Revision', key: 'revision', value: found.revision },
    { head: 'total keys', field: 'Keys', key: 'totalKey', value: keys },
    {
      head: 'total size',
      field: 'Size',
      key: 'totalSize',
      value: found.totalSizeBytes,
      text: humanBytes(found.totalSizeBytes),
    },
  ];
}

async function verify(invocation: Invocation): Promise<void> {
  const path = onlyArgument(invocation.args, 'snapshot verify requires exactly one argument');
  const tool = toolOf(invocation);
  checkExists(tool.disk, path);
  checkFormat(invocation);
  const found = await verifyFile(tool, path, {
    skipsDigest: invocation.flags.bool('skip-hash-check'),
    timeoutMs: lockTimeoutMs(invocation),
    hashRevision: 0,
    hash: 'taken',
  });
  printVerified(invocation, found);
}

function printVerified(invocation: Invocation, found: Verified): void {
  printColumns(invocation, [
    { head: 'revisions', field: 'Revisions', key: 'revisions', value: found.revisions },
    { head: 'tombstones', field: 'Tombstones', key: 'tombstones', value: found.tombstones },
    { head: 'leases', field: 'Leases', key: 'leases', value: found.leases },
    { head: 'users', field: 'Users', key: 'users', value: found.users },
    { head: 'roles', field: 'Roles', key: 'roles', value: found.roles },
    { head: 'members', field: 'Members', key: 'members', value: found.members },
    { head: 'hash', field: 'Hash', key: 'hash', value: found.hash! },
    { head: 'hash revision', field: 'Hash revision', key: 'hashRevision', value: found.hashRevision },
  ]);
}

/** @param takesFile the snapshot is nobody's afterwards, and may be moved rather than copied. */
export async function restore(invocation: Invocation, takesFile: boolean): Promise<void> {
  const { flags } = invocation;
  const snapshotPath = onlyArgument(invocation.args, 'snapshot restore requires exactly one argument');
  const bumpRevision = flags.number('bump-revision');
  if (bumpRevision > 0 !== flags.bool('mark-compacted')) {
    throw new ExitError(EXIT.BAD_ARGS, '--mark-compacted required if --revision-bump > 0');
  }
  const name = flags.text('name');
  const tool = toolOf(invocation);
  const cluster = await foundedCluster(invocation);
  const progress = await Progress.start('restore', 'bytes');
  try {
    const options = {
      snapshotPath,
      dataDir: flags.text('data-dir') || `${name}.etcd`,
      walDir: flags.text('wal-dir'),
      name,
      cluster,
      skipHashCheck: flags.bool('skip-hash-check'),
      bumpRevision,
      takesFile,
    };
    const sizeBytes = tool.disk.stat(snapshotPath)?.sizeBytes ?? 0;
    await runSteps(restoreSnapshot(tool, options), (copied) => progress.update(copied, sizeBytes));
  } finally {
    progress.end();
  }
}

/** The cluster that the flags describe, of which this member must be one; {@link ExitError} where it is none. */
export async function foundedCluster({ flags }: Invocation): Promise<Membership> {
  const advertised = parseUrls(flags.text('initial-advertise-peer-urls').split(','));
  if (advertised.error !== undefined) throw new ExitError(EXIT.ERROR, advertised.error);
  const parsed = parseInitialCluster(flags.text('initial-cluster'));
  if (parsed.error !== undefined) {
    throw new ExitError(EXIT.ERROR, parsed.error.replace(/^error setting up initial cluster: /, ''));
  }
  const self = { name: flags.text('name'), advertisePeerUrls: advertised.urls };
  const resolve = async (host: string): Promise<string> => (await lookup(host)).address;
  const problem = await bootstrapProblem(parsed.cluster, self, resolve);
  if (problem !== null) throw new ExitError(EXIT.ERROR, problem);
  const urls = new Map([...parsed.cluster].map(([member, peerUrls]) => [member, urlTexts(peerUrls)]));
  return newCluster(flags.text('initial-cluster-token'), urls);
}
