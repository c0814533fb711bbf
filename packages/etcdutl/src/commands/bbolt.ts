/** `etcdutl bbolt`: looks into a database file, whatever is in it. The file is only read. */
import { SILENT_LOGGER } from '@etcd/base';
import { type Bucket, compact, Database, type ReadTransaction } from '@etcd/bbolt';
import { type Command, ExitError, goQuoteBytes, type Invocation } from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import {
  checkExists,
  lockTimeoutMs,
  openDatabase,
  removeFile,
  runSteps,
  type Tool,
  toolOf,
} from '../tool.ts';
import { DUMP, PAGE } from './bbolt-pages.ts';

const HEX_FLAG = { name: 'hex', type: 'bool', usage: 'names and values in hexadecimal' } as const;

export const BBOLT: Command = {
  name: 'bbolt',
  usage: '<subcommand>',
  summary: 'Looks into a database file',
  commands: [
    command('check', '<filename>', 'Checks the structure', 1, check),
    command('buckets', '<filename>', 'Lists the buckets', 1, buckets),
    command('keys', '<filename> <bucket>', 'Lists the keys of a bucket', 2, keys),
    command('get', '<filename> <bucket> <key>', 'Prints the value of a key', 3, get),
    PAGE,
    DUMP,
    command('stats', '<filename>', 'Prints counts and sizes', 1, stats),
    {
      ...command(
        'compact',
        '<filename> --output <filename>',
        'Writes a copy without free pages',
        1,
        compactTo,
      ),
      flags: [{ name: 'output', short: 'o', type: 'string', isRequired: true, usage: 'file to write' }],
    },
  ],
};

interface Look {
  readonly invocation: Invocation;
  readonly tool: Tool;
  readonly database: Database;
  readonly read: ReadTransaction;
}

function command(
  name: string,
  usage: string,
  summary: string,
  count: number,
  look: (look: Look) => void | Promise<void>,
): Command {
  return {
    name,
    usage,
    summary,
    flags: [HEX_FLAG],
    argumentProblem: (args) =>
      args.length === count ? null : `accepts ${count} arg(s), received ${args.length}`,
    run: async (invocation) => {
      const tool = toolOf(invocation);
      const path = String(invocation.args[0]);
      checkExists(tool.disk, path);
      const timeoutMs = lockTimeoutMs(invocation);
      const database = await openDatabase(tool, path, { readOnly: true, timeoutMs });
      const read = database.beginRead();
      try {
        await look({ invocation, tool, database, read });
      } finally {
        read.close();
        database.close();
      }
    },
  };
}

function check({ invocation: { io }, database, read }: Look): void {
  let count = 0;
  for (const finding of database.check(read)) {
    if (finding === null) continue;
    count++;
    io.line(finding.message);
  }
  if (count > 0) throw new ExitError(EXIT.ERROR, `${count} errors found`);
  io.line('OK');
}

function buckets({ invocation, read }: Look): void {
  const cursor = read.root.cursor();
  for (let on = cursor.first(); on; on = cursor.next()) invocation.io.line(shown(invocation, cursor.key()));
}

function keys({ invocation, read }: Look): void {
  const cursor = bucketOf(invocation, read).cursor();
  for (let on = cursor.first(); on; on = cursor.next()) invocation.io.line(shown(invocation, cursor.key()));
}

function get({ invocation, read }: Look): void {
  const { args, flags, io } = invocation;
  const value = bucketOf(invocation, read).get(bytesOf(invocation, args[2] ?? ''));
  if (value === null) throw new ExitError(EXIT.ERROR, 'key not found');
  if (flags.bool('hex')) io.line(Buffer.from(value).toString('hex'));
  else io.out(Buffer.concat([value, Buffer.from('\n')]));
}

function stats({ invocation: { io }, database, read }: Look): void {
  const { pageSizeBytes, fileSizeBytes } = database.statistics();
  io.line(`file size: ${fileSizeBytes}\ndatabase size: ${read.sizeBytes}\npage size: ${pageSizeBytes}`);
  io.line(`transaction: ${read.txid}`);
  const names = read.root.cursor();
  for (let on = names.first(); on; on = names.next()) {
    const cursor = read.root.bucket(names.key())?.cursor();
    if (cursor === undefined) continue;
    let count = 0;
    let bytes = 0;
    for (let found = cursor.first(); found; found = cursor.next()) {
      count++;
      bytes += cursor.keyEnd - cursor.keyStart + cursor.valueEnd - cursor.valueStart;
    }
    io.line(`bucket ${goQuoteBytes(names.key())}: ${count} keys, ${bytes} bytes`);
  }
}

async function compactTo({ invocation: { flags, io }, tool: { disk }, database, read }: Look): Promise<void> {
  const path = flags.text('output');
  if (disk.stat(path) !== null) throw new ExitError(EXIT.ERROR, `${path} exists`);
  const { pageSizeBytes } = database;
  const target = Database.open({ disk, path, pageSizeBytes, freelist: 'rebuilt', logger: SILENT_LOGGER });
  let isDone = false;
  try {
    await runSteps(compact(read, target));
    isDone = true;
  } finally {
    target.close();
    if (!isDone) removeFile(disk, path);
  }
  io.line(`${read.sizeBytes} -> ${disk.stat(path)?.sizeBytes ?? 0} bytes`);
}

function bucketOf(invocation: Invocation, read: ReadTransaction): Bucket {
  const bucket = read.bucket(bytesOf(invocation, invocation.args[1] ?? ''));
  if (bucket === null) throw new ExitError(EXIT.ERROR, 'bucket not found');
  return bucket;
}

function bytesOf({ flags }: Invocation, text: string): Uint8Array {
  return Buffer.from(text, flags.bool('hex') ? 'hex' : 'utf8');
}

/** Text where it is text that can be given back as an argument, else in hexadecimal. */
function shown({ flags }: Invocation, bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  const isText = goQuoteBytes(bytes) === `"${text}"`;
  return isText && !flags.bool('hex') ? text : Buffer.from(bytes).toString('hex');
}
