/** `etcdutl hashkv`: the hash of a database's history, which is only read. */
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { hashOfDatabase } from '@etcd/storage/mvcc';
import { EXIT } from '../exit-codes.ts';
import { checkFormat, printColumns } from '../print-rows.ts';
import { checkExists, lockTimeoutMs, openDatabase, toolOf } from '../tool.ts';

export const HASHKV: Command = {
  name: 'hashkv',
  usage: '<filename>',
  summary: 'Prints the hash of the history of keys in a file',
  flags: [{ name: 'rev', type: 'int64', usage: 'revision up to which to hash (0 for the newest)' }],
  argumentProblem: (args) => (args.length === 1 ? null : `accepts 1 arg(s), received ${args.length}`),
  run: hashKeyValues,
};

async function hashKeyValues(invocation: Invocation): Promise<void> {
  checkFormat(invocation);
  const path = String(invocation.args[0]);
  const tool = toolOf(invocation);
  checkExists(tool.disk, path);
  const database = await openDatabase(tool, path, { readOnly: true, timeoutMs: lockTimeoutMs(invocation) });
  try {
    const { hash, error } = hashOfDatabase(database, invocation.flags.number('rev'));
    if (error !== undefined) throw new ExitError(EXIT.ERROR, error.message);
    printColumns(invocation, [
      { head: 'hash', field: 'Hash', key: 'hash', value: hash.hash },
      { head: 'hash revision', field: 'Hash revision', key: 'hashRevision', value: hash.revision },
      {
        head: 'compact revision',
        field: 'Compact revision',
        key: 'compactRevision',
        value: hash.compactRevision,
      },
    ]);
  } finally {
    database.close();
  }
}
