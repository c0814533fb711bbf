/** What went wrong, in one line; of the operating system, in the words that Go has for it. */
import { DiskError } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { findLockHolder, systemErrorText } from '@etcd/host/process';

export function describeError(error: unknown): string {
  if (error instanceof DiskError) return diskProblem(error);
  if (error instanceof BoltError) {
    if (error.cause instanceof DiskError) return diskProblem(error.cause);
    if (error.code !== 'locked' || error.path === undefined) return error.message;
    const holder = findLockHolder(error.path);
    return holder === null ? error.message : `${error.message} (${holder}), which must be stopped first`;
  }
  return error instanceof Error ? error.message : String(error);
}

function diskProblem(error: DiskError): string {
  return error.path === ''
    ? systemErrorText(error)
    : `${verbOf(error)} ${error.path}: ${systemErrorText(error)}`;
}

/** What was tried, as Node names it in its message: `ENOENT: no such file or directory, open 'x'`. */
function verbOf({ message }: DiskError): string {
  return /, (\w+)/.exec(message)?.[1] ?? 'access';
}
