/**
 * The commands `snapshot status` and `snapshot restore` for another program, as etcd's tools up to 3.5 had them. They print what the
 * tools of 3.5 print, and end with an {@link ExitError} that says what is wrong with a file.
 */
import { ExitError, type Invocation } from '@etcd/host/cli';
import { printOldStatus, restore } from '../commands/snapshot.ts';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';

export function runStatus(invocation: Invocation): Promise<void> {
  return withDescribedErrors(printOldStatus, invocation);
}

export function runRestore(invocation: Invocation): Promise<void> {
  return withDescribedErrors(restore, invocation);
}

async function withDescribedErrors(
  run: (invocation: Invocation) => Promise<void>,
  invocation: Invocation,
): Promise<void> {
  try {
    await run(invocation);
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT.ERROR, describeError(error));
  }
}
