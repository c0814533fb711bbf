/**
 * `etcdctl snapshot save`: a copy of a member's database, which is whole or not there. The other two commands are etcdutl's by now;
 * documents and scripts name them here.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import type { SnapshotDigest } from '@etcd/backup/snapshot-digest';
import type { EtcdClient } from '@etcd/client';
import { RESTORE_FLAGS } from '@etcd/etcdutl/restore-flags';
import { type Command, ExitError, type Invocation, Progress, StreamGarbage } from '@etcd/host/cli';
import { onlyArgument } from '../arguments.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { onInterrupt } from '../interrupt.ts';
import { withSession } from '../session.ts';

const PRIVATE_MODE = 0o600;

const SAVE: Command = {
  name: 'save',
  usage: '<filename>',
  summary: 'Copies the database of a member into a file',
  examples: `  etcdctl snapshot save /backup/etcd-snapshot.db
  etcdctl --endpoints=https://10.0.0.1:2379 --cacert=ca.crt --cert=client.crt --key=client.key snapshot save snapshot.db`,
  run: save,
};

const STATUS: Command = {
  name: 'status',
  usage: '<filename>',
  summary: 'Prints what a snapshot holds (deprecated: etcdutl snapshot status)',
  async run(invocation) {
    sayMoved(invocation, 'status');
    const { runStatus } = await import('@etcd/etcdutl/snapshot');
    await runStatus(invocation);
  },
};

const RESTORE: Command = {
  name: 'restore',
  usage: '<filename> [options]',
  summary: 'Makes a data directory of a snapshot (deprecated: etcdutl snapshot restore)',
  flags: RESTORE_FLAGS,
  async run(invocation) {
    sayMoved(invocation, 'restore');
    const { runRestore } = await import('@etcd/etcdutl/snapshot');
    await runRestore(invocation);
  },
};

function sayMoved({ io }: Invocation, name: string): void {
  io.error(`Deprecated: Use \`etcdutl snapshot ${name}\` instead.\n`);
}

export const SNAPSHOT: Command = {
  name: 'snapshot',
  usage: '<subcommand>',
  summary: 'Commands about copies of a member',
  group: GROUP.CLUSTER,
  commands: [SAVE, STATUS, RESTORE],
};

async function save(invocation: Invocation): Promise<void> {
  const path = onlyArgument(invocation.args, 'snapshot save expects one argument <filename>');
  await withSession(
    invocation,
    async (session) => {
      if (session.endpoints.length !== 1) {
        const given = session.endpoints.join(' ');
        const problem = `snapshot must be requested to one selected node, not multiple [${given}]`;
        throw new ExitError(EXIT.INTERRUPTED, problem);
      }
      const client = await session.client();
      // Without a deadline of the user's there is none: a database may be large.
      const timeoutMs = invocation.flags.isSet('command-timeout') ? session.timeoutMs : 0;
      const version = await saveTo(path, client, timeoutMs);
      invocation.io.line(`Snapshot saved at ${path}`);
      if (version !== '') invocation.io.line(`Server version ${version}`);
    },
    EXIT.INTERRUPTED,
  );
}

/** Returns the version of the database, where the server says it. */
async function saveTo(path: string, client: EtcdClient, timeoutMs: number): Promise<string> {
  const partPath = `${path}.part`;
  const signal = onInterrupt();
  const progress = await Progress.start('snapshot', 'bytes');
  let descriptor = -1;
  try {
    try {
      descriptor = openSync(partPath, 'w', PRIVATE_MODE);
    } catch (error) {
      const reason =
        (error as NodeJS.ErrnoException).code === 'ENOENT'
          ? 'no such file or directory'
          : describeError(error);
      throw new Error(`could not open ${partPath} (open ${partPath}: ${reason})`);
    }
    const digest = new (await import('@etcd/backup/snapshot-digest')).SnapshotDigest();
    const garbage = new StreamGarbage();
    let version = '';
    for await (const { blob, remainingBytes, version: told } of client.maintenance.snapshot({
      timeoutMs,
      signal,
    })) {
      version ||= told;
      digest.update(blob);
      write(descriptor, blob);
      garbage.passed(blob.length);
      progress.update(digest.byteCount, digest.byteCount + remainingBytes);
    }
    const problem = problemOf(digest);
    if (problem !== '') throw new Error(problem);
    fsyncSync(descriptor);
    closeSync(descriptor);
    descriptor = -1;
    renameSync(partPath, path);
    return version;
  } finally {
    progress.end();
    if (descriptor >= 0) closeSync(descriptor);
    rmSync(partPath, { force: true });
  }
}

/** Returns when all of it is written. */
function write(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

/** What is wrong with what has come; empty for nothing. */
function problemOf(digest: SnapshotDigest): string {
  const verdict = digest.verdict();
  if (verdict === 'missing') return `sha256 checksum not found [bytes: ${digest.byteCount}]`;
  return verdict === 'good' ? '' : 'sha256 checksum does not match: the snapshot is damaged';
}
