/** Turns what may happen to a correct command into the line and the code with which its program ends. */
import { ExitError } from '@etcd/host/cli';
import { PairError } from '../pki/pair-files.ts';
import { ClusterError } from './cluster-error.ts';
import { isFromCluster } from './transient.ts';

const FAILED = 1;

/** A signal lets what is under way come to a point where it can be taken up again. */
export async function guarded(work: (signal: AbortSignal) => void | Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new ClusterError('interrupted; run it again to go on'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    throw isForOperator(error) ? new ExitError(FAILED, messageOf(error)) : error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

function isForOperator(error: unknown): error is Error {
  if (error instanceof ClusterError || error instanceof PairError) return true;
  if (isFromCluster(error)) return true;
  // Of the system: a file that can not be written, a program that is not there.
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

function messageOf(error: Error): string {
  const { cause } = error;
  const line =
    cause instanceof Error && cause.message !== '' ? `${error.message}: ${cause.message}` : error.message;
  return line.split('\n', 1)[0]!;
}

/** Resolves after `ms`; rejects with the signal's reason. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
