/** `etcdutl migrate`: makes a data directory one that another release can start with. */
import { DecodeError } from '@etcd/api';
import { decodeInternalRaftRequest } from '@etcd/api/etcdserverpb';
import { type Entry, EntryType } from '@etcd/api/raftpb';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { transactionWriter } from '@etcd/storage/backend';
import { backendPath, walDirectory } from '@etcd/storage/data';
import {
  clearStorageVersion,
  detectSchemaVersion,
  type SchemaVersion,
  V3_5,
  V3_6,
  V3_7,
  writeStorageVersion,
} from '@etcd/storage/schema';
import { newestSnapshot, readWal } from '@etcd/storage/wal';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { checkExists, lockTimeoutMs, openDatabase, type Tool, toolOf } from '../tool.ts';

export const MIGRATE: Command = {
  name: 'migrate',
  usage: '',
  summary: 'Makes a data directory one of another release of etcd',
  flags: [
    {
      name: 'data-dir',
      type: 'string',
      isRequired: true,
      usage: 'data directory of a member that does not run',
    },
    {
      name: 'target-version',
      type: 'string',
      isRequired: true,
      usage: 'release that is to start with it, as X.Y; 3.5 at the lowest',
    },
    { name: 'force', type: 'bool', usage: 'say that it is of that release even if it can not be made one' },
  ],
  run: migrate,
};

async function migrate(invocation: Invocation): Promise<void> {
  const { flags } = invocation;
  const target = parseTarget(flags.text('target-version'));
  const dataDir = flags.text('data-dir');
  const tool = toolOf(invocation);
  const path = backendPath({ dataDir });
  checkExists(tool.disk, path);
  const database = await openDatabase(tool, path, { readOnly: false, timeoutMs: lockTimeoutMs(invocation) });
  try {
    const write = database.beginWrite();
    try {
      const writer = transactionWriter(write);
      const current = detectSchemaVersion(writer);
      if (current === null) {
        tool.logger.error(
          'failed to detect the storage version: is it a data directory of etcd 3.5 or later?',
        );
        throw new ExitError(EXIT.ERROR, 'missing term information');
      }
      if (compare(current, target) === 0) {
        return tool.logger.info('storage version up-to-date', { 'storage-version': textOf(current) });
      }
      const problem = migrationProblem(tool, { dataDir, current, target });
      if (problem !== null && !flags.bool('force')) throw new ExitError(EXIT.ERROR, problem);
      if (problem !== null) tool.logger.warn('the migration fails, and is forced', { error: problem });
      if (compare(target, V3_6) >= 0) writeStorageVersion(writer, target);
      else clearStorageVersion(writer);
      write.commit();
      tool.logger.info('updated storage version', { 'new-storage-version': `${textOf(target)}.0` });
    } finally {
      write.rollback();
    }
  } finally {
    database.close();
  }
}

function parseTarget(text: string): SchemaVersion {
  const parts = text.split('.');
  if (parts.length !== 2) {
    const problem = `wrong target version format, expected "X.Y", got ${JSON.stringify(text)}`;
    throw new ExitError(EXIT.BAD_ARGS, problem);
  }
  const bad = parts.find((part) => !/^[+-]?[0-9]+$/.test(part));
  if (bad !== undefined) {
    const problem = `strconv.ParseInt: parsing ${JSON.stringify(bad)}: invalid syntax`;
    throw new ExitError(EXIT.BAD_ARGS, `failed to parse target version: ${problem}`);
  }
  const [major = 0, minor = 0] = parts.map(Number);
  const target = { major, minor };
  if (compare(target, V3_5) < 0) {
    throw new ExitError(EXIT.BAD_ARGS, `target version "${textOf(target)}" not supported. Minimal "3.5"`);
  }
  return target;
}

interface Migration {
  readonly dataDir: string;
  readonly current: SchemaVersion;
  readonly target: SchemaVersion;
}

/** Why it can't be done, in etcd's words; null when it can. A log that can't be read ends the program. */
function migrationProblem(tool: Tool, { dataDir, current, target }: Migration): string | null {
  const needed = oldestReader(tool, walDirectory({ dataDir, walDir: '' }));
  if (current.major !== target.major) {
    return 'cannot create migration plan: changing major storage version is not supported';
  }
  const unknown = unknownStep(current, target);
  if (unknown !== null)
    return `cannot create migration plan: version "${textOf(unknown)}.0" is not supported`;
  if (compare(target, current) < 0 && compare(target, needed) < 0) {
    return 'cannot downgrade storage, WAL contains newer entries';
  }
  return null;
}

/** The first version on the way whose changes are not known here. */
function unknownStep(current: SchemaVersion, target: SchemaVersion): SchemaVersion | null {
  if (current.minor > V3_7.minor && target.minor < current.minor) return current;
  if (target.minor <= V3_7.minor) return null;
  return { major: target.major, minor: Math.max(current.minor, V3_7.minor) + 1 };
}

/** The oldest release that reads all entries of the log; of those that a migration can have for its target. */
function oldestReader({ disk }: Tool, directory: string): SchemaVersion {
  let oldest = V3_5;
  const take = (entry: Entry): void => {
    const version = entry.type === EntryType.EntryNormal ? readerOf(entry.data) : V3_5;
    if (compare(version, oldest) > 0) oldest = version;
  };
  try {
    readWal({ disk, directory }, newestSnapshot({ disk, directory }), { append: take, reset: () => {} });
    return oldest;
  } catch (error) {
    throw new ExitError(EXIT.ERROR, `failed to read wal: ${describeError(error)}`);
  }
}

/** Only the request by which etcd's own tests stand for one that is new asks for more than 3.5. */
function readerOf(data: Uint8Array): SchemaVersion {
  try {
    const request = decodeInternalRaftRequest(data, 0, data.length);
    if (request.downgradeVersionTest === null) return V3_5;
    const match = /^(\d+)\.(\d+)\./.exec(request.downgradeVersionTest.ver);
    const version = { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0) };
    return compare(version, V3_6) > 0 ? version : V3_6;
  } catch (error) {
    // A request of the v2 API, without an envelope: older releases read it.
    if (error instanceof DecodeError) return V3_5;
    throw error;
  }
}

function compare(a: SchemaVersion, b: SchemaVersion): number {
  return a.major - b.major || a.minor - b.minor;
}

function textOf({ major, minor }: SchemaVersion): string {
  return `${major}.${minor}`;
}
