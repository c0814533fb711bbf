/** `etcdctl lock`: holds a lock until it is interrupted, or while a command runs. */

import type { EtcdClient, Lock } from '@etcd/client';
import { type Command, ExitError, type Invocation } from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { firstAborted, onInterrupt } from '../interrupt.ts';
import { runCommand } from '../run-command.ts';
import { type Session, withClient } from '../session.ts';
import { bytesOf } from '../words.ts';

const DEFAULT_TTL_SECONDS = 10;
/** How a shell tells that a command was not ended by itself. */
const NO_EXIT_CODE = 255;

export const LOCK: Command = {
  name: 'lock',
  usage: '<lockname> [exec-command arg1 arg2 ...]',
  summary: 'Holds a lock',
  description: `Waits for a lock, prints its key, and holds it until it is interrupted. With a command, holds it while the command runs, which
finds the lock in ETCD_LOCK_KEY and ETCD_LOCK_REV; its exit code becomes ours.`,
  group: GROUP.CONCURRENCY,
  flags: [
    {
      name: 'ttl',
      type: 'int',
      default: String(DEFAULT_TTL_SECONDS),
      usage: 'seconds after which the lock is lost without us',
    },
  ],
  run: lock,
};

async function lock(invocation: Invocation): Promise<void> {
  const [name, ...command] = invocation.args;
  if (name === undefined) {
    throw new ExitError(EXIT.BAD_ARGS, 'lock takes a lock name argument and an optional command to execute');
  }
  const interrupted = onInterrupt();
  await withClient(invocation, async (client, session) => {
    const ttlSeconds = invocation.flags.number('ttl');
    const held = await client.lock(bytesOf(name), { ttlSeconds, signal: interrupted });
    if (command.length > 0) await holdWhile(held, command);
    else await holdUntil(interrupted, held, client, session);
  });
}

async function holdWhile(held: Lock, command: readonly string[]): Promise<void> {
  const end = await runCommand(command, {
    ETCD_LOCK_KEY: Buffer.from(held.key).toString(),
    ETCD_LOCK_REV: String(held.acquiredRevision),
  });
  await held.release();
  if (end.problem === '') return;
  const code = !end.wasRun ? EXIT.ERROR : end.code < 0 ? NO_EXIT_CODE : end.code;
  throw new ExitError(code, end.problem);
}

async function holdUntil(
  interrupted: AbortSignal,
  held: Lock,
  client: EtcdClient,
  session: Session,
): Promise<void> {
  const response = await client.kv.get(held.key);
  if (response.kvs.length === 0) throw new ExitError(EXIT.ERROR, 'lock lost on init');
  session.print('get', { response });
  const first = await firstAborted(interrupted, held.signal);
  if (first !== interrupted) throw new ExitError(EXIT.ERROR, 'session expired');
  await held.release();
}
