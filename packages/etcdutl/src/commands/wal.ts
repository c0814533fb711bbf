/** `etcdutl wal`: prints what a log holds, and checks it on the way. The log is only read; a member may be writing it. */
import { decodeMetadata } from '@etcd/api/etcdserverpb';
import type { Entry } from '@etcd/api/raftpb';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { walDirectory } from '@etcd/storage/data';
import { formatId } from '@etcd/storage/membership';
import { readWal, validSnapshots, type WalError, walExists } from '@etcd/storage/wal';
import { EXIT } from '../exit-codes.ts';
import { onlyArgument, toolOf } from '../tool.ts';
import { describeEntry } from '../wal/describe-entry.ts';

export const WAL: Command = {
  name: 'wal',
  usage: '<directory> [options]',
  summary: 'Prints and checks a log',
  description: `Prints the entries of a log as they were written, and checks every record. The directory is that of the log, or a data directory. An
entry with the index of one before takes its place, and that of all behind it. Passwords and tokens are left out.`,
  flags: [
    { name: 'start-index', type: 'uint', usage: 'only entries from this index on' },
    { name: 'end-index', type: 'uint', usage: 'only entries up to this index (0 for all)' },
    { name: 'check-only', type: 'bool', usage: 'print no entries' },
  ],
  run: printLog,
};

function printLog(invocation: Invocation): void {
  const { args, io } = invocation;
  const path = onlyArgument(args, 'wal requires exactly one argument');
  const { disk } = toolOf(invocation);
  const below = walDirectory({ dataDir: path, walDir: '' });
  const directory = walExists(disk, below) ? below : path;
  // Of a member: with the errors of a log that is none.
  const snapshots = validSnapshots({ disk, directory });
  const first = snapshots.reduce(
    (a, b) => (b.index < a.index ? b : a),
    snapshots[0] ?? { index: 0, term: 0 },
  );
  const torn: WalError[] = [];
  const printer = new EntryPrinter(invocation);
  const { metadata, hardState, lastIndex } = readWal(
    { disk, directory, onTorn: (error) => torn.push(error) },
    first,
    printer,
  );
  const { nodeId, clusterId } = decodeMetadata(metadata);
  printer.finish();
  io.line(`member ${formatId(nodeId)} of cluster ${formatId(clusterId)}`);
  const positions = snapshots.map(({ index, term }) => `${index} (term ${term})`);
  io.line(`snapshots: ${positions.join(', ')}`);
  io.line(`entries: ${printer.count}, the last of index ${lastIndex}`);
  const vote = hardState.vote === 0n ? 'none' : formatId(hardState.vote);
  io.line(`state: term ${hardState.term}, vote ${vote}, committed up to ${hardState.commit}`);
  for (const { message } of torn) io.error(`warning: ${message}`);
  if (hardState.commit > lastIndex) {
    const missing = `entries up to ${hardState.commit} were committed, and the log ends at ${lastIndex}`;
    throw new ExitError(EXIT.ERROR, missing);
  }
}

/** A line for each entry that was asked for. */
class EntryPrinter {
  readonly #invocation: Invocation;
  readonly #start: number;
  readonly #end: number;
  #hasHead: boolean;
  count = 0;

  constructor(invocation: Invocation) {
    const { flags } = invocation;
    this.#invocation = invocation;
    this.#start = flags.number('start-index');
    this.#end = flags.bool('check-only') ? -1 : flags.number('end-index') || Number.POSITIVE_INFINITY;
    this.#hasHead = false;
  }

  append(entry: Entry): void {
    this.count++;
    const { index, term } = entry;
    if (index < this.#start || index > this.#end) return;
    const { io } = this.#invocation;
    if (!this.#hasHead) io.line('term\tindex\trequest');
    this.#hasHead = true;
    io.line(`${term}\t${index}\t${describeEntry(entry)}`);
  }

  reset(): void {
    if (this.#end > 0) this.#invocation.io.line('(all before were replaced)');
  }

  finish(): void {
    if (this.#hasHead) this.#invocation.io.line('');
  }
}
