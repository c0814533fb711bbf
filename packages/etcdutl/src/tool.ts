/** What commands work with: the file system, the clock, the log; and databases, waited for while another process has them. */
import { type Clock, type Disk, DiskError, type Logger, SILENT_LOGGER } from '@etcd/base';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { BoltError, Database } from '@etcd/bbolt';
import { ExitError, type Invocation } from '@etcd/host/cli';
import { systemErrorText } from '@etcd/host/process';
import { ConsoleLogger } from './console-logger.ts';
import { EXIT } from './exit-codes.ts';

export interface Tool {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOCK_PAUSE_MS = 50;
const NO_DEFAULT_TIMEOUT_MS = 10_000;

export function toolOf({ io }: Invocation): Tool {
  const clock = new NodeClock();
  return { disk: new NodeDisk(), clock, logger: new ConsoleLogger(clock, (line) => io.error(line)) };
}

/** The only argument of a command. */
export function onlyArgument(args: readonly string[], message: string): string {
  const [argument] = args;
  if (args.length !== 1 || argument === undefined) throw new ExitError(EXIT.BAD_ARGS, message);
  return argument;
}

/** Throws what Go says of a path where nothing is. */
export function checkExists(disk: Disk, path: string): void {
  try {
    if (disk.stat(path) !== null) return;
  } catch (error) {
    throw new ExitError(EXIT.ERROR, `stat ${path}: ${systemErrorText(error)}`);
  }
  throw new ExitError(EXIT.ERROR, `stat ${path}: no such file or directory`);
}

/** How long a command waits for a lock; 0: without end. */
export function lockTimeoutMs({ flags }: Invocation): number {
  return flags.definitions.some(({ name }) => name === 'timeout')
    ? flags.number('timeout')
    : NO_DEFAULT_TIMEOUT_MS;
}

/** Opens a database that exists. One that another process holds is waited for. */
export async function openDatabase(
  { disk }: Tool,
  path: string,
  options: { readonly readOnly: boolean; readonly timeoutMs: number; readonly cacheBytes?: number },
): Promise<Database> {
  const { timeoutMs, ...how } = options;
  const startMs = performance.now();
  for (;;) {
    try {
      // Without a clock everything runs to its end at once.
      return Database.open({ ...how, disk, path, freelist: 'rebuilt', logger: SILENT_LOGGER });
    } catch (error) {
      const isLocked = error instanceof BoltError && error.code === 'locked';
      const isLate = timeoutMs > 0 && performance.now() - startMs >= timeoutMs;
      if (!isLocked || isLate) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
  }
}

/** Removes a file that may not be there. */
export function removeFile(disk: Disk, path: string): void {
  try {
    disk.remove(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'ENOENT') throw error;
  }
}

/** Lets signals in between two steps of long work: whoever presses ^C gets what was begun tidied up. */
export async function runSteps<T, R>(
  steps: Generator<T, R, void>,
  onStep: (value: T) => void = () => {},
): Promise<R> {
  let isInterrupted = false;
  const interrupt = (): void => {
    isInterrupted = true;
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      onStep(value);
      await new Promise((resolve) => setImmediate(resolve));
      if (!isInterrupted) continue;
      // Inside it, so that it tidies up; it comes out again here.
      steps.throw(new ExitError(EXIT.INTERRUPTED, 'interrupted; what was begun has been removed'));
    }
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
