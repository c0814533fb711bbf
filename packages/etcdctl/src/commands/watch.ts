/** `etcdctl watch`: prints events as they come, and runs a command for each. */
import { WatchResponse } from '@etcd/api/etcdserverpb';
import { EventType } from '@etcd/api/mvccpb';
import { EMPTY_BYTES } from '@etcd/base';
import { type EtcdClient, EtcdError, type Watcher } from '@etcd/client';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type FlagValues,
  goQuote,
  goQuoteBytes,
  type Invocation,
  parseFlags,
} from '@etcd/host/cli';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { runCommand } from '../run-command.ts';
import { type Session, withClient } from '../session.ts';
import { splitWords } from '../split-words.ts';
import { bytesOf } from '../words.ts';

const FLAGS: readonly FlagDefinition[] = [
  {
    name: 'interactive',
    short: 'i',
    type: 'bool',
    usage: 'read what to watch from standard input, line by line',
  },
  { name: 'prefix', type: 'bool', usage: 'all keys that begin with the given one' },
  { name: 'rev', type: 'int64', usage: 'from this revision on' },
  { name: 'prev-kv', type: 'bool', usage: 'print the pair as it was before, too' },
  { name: 'progress-notify', type: 'bool', usage: 'print how far the watch is, now and then' },
];

export const WATCH: Command = {
  name: 'watch',
  usage: '[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]',
  summary: 'Prints the events of a key, or of a range of keys',
  description: `Prints the events of a key, or of a range of keys, as they come. A command behind "--" is run for each event, which it finds
in ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE. The key may also come from
ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END.`,
  group: GROUP.KEYS,
  flags: FLAGS,
  run: watch,
};

const BAD_COUNT = 'bad number of arguments';

/** What is to be watched, and what is to be run. */
interface Target {
  readonly keys: readonly string[];
  readonly command: readonly string[];
}

async function watch(invocation: Invocation): Promise<void> {
  const { flags, args, dashAt, io } = invocation;
  const envKey = io.env['ETCDCTL_WATCH_KEY'] ?? '';
  const envRange = io.env['ETCDCTL_WATCH_RANGE_END'] ?? '';
  if (envKey === '' && envRange !== '') {
    const problem = `ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=${goQuote(envRange)}`;
    throw new ExitError(EXIT.BAD_ARGS, problem);
  }
  const env = envKey === '' ? [] : envRange === '' ? [envKey] : [envKey, envRange];
  if (flags.bool('interactive')) {
    await withClient(invocation, (client, session) => watchInteractively(client, session, env));
    return;
  }
  const target = targetOf(args, dashAt, env);
  if (typeof target === 'string') throw new ExitError(EXIT.BAD_ARGS, target);
  await withClient(invocation, async (client, session) => {
    const watcher = startWatch(client, flags, flags.bool('progress-notify'), target.keys);
    if (typeof watcher === 'string') throw new ExitError(EXIT.BAD_ARGS, watcher);
    await printWatch(watcher, session, target.command);
    throw new ExitError(EXIT.INTERRUPTED, 'watch is canceled by the server');
  });
}

/** A text is what is wrong. */
function targetOf(args: readonly string[], dashAt: number, env: readonly string[]): Target | string {
  const keys = dashAt < 0 ? args : args.slice(0, dashAt);
  const command = dashAt < 0 ? [] : args.slice(dashAt);
  if (dashAt >= 0 && command.length === 0) return `${BAD_COUNT} (found separator --, but no commands)`;
  if (env.length > 0 && keys.length > 0) return `${BAD_COUNT} (found conflicting environment key)`;
  if (env.length === 0 && keys.length === 0) return BAD_COUNT;
  return { keys: [...env, ...keys], command };
}

/** A text is what is wrong. */
function startWatch(
  client: EtcdClient,
  flags: FlagValues,
  progressNotify: boolean,
  [key = '', rangeEnd, ...more]: readonly string[],
): Watcher | string {
  const prefix = flags.bool('prefix');
  if (prefix && rangeEnd !== undefined) return '`range_end` and `--prefix` are mutually exclusive';
  const isRange = rangeEnd !== undefined && more.length === 0;
  return client.watch(bytesOf(key), {
    prefix,
    rangeEnd: isRange ? bytesOf(rangeEnd) : undefined,
    startRevision: flags.number('rev'),
    prevKv: flags.bool('prev-kv'),
    progressNotify,
    // The answers are printed as the server sends them.
    fragment: false,
    requireLeader: true,
  });
}

/** Until the server ends it. */
async function printWatch(watcher: Watcher, session: Session, command: readonly string[]): Promise<void> {
  const { io } = session.invocation;
  try {
    for await (const { events, response, revision } of watcher) {
      if (events.length === 0) io.line(`progress notify: ${revision}`);
      session.print('watch', { response: new WatchResponse({ ...response, events: [...events] }) });
      if (command.length > 0) await runForEach(response, revision, session, command);
    }
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    io.error(`watch was canceled (${describeError(error)})`);
    if (watcher.finalResponse !== null) session.print('watch', { response: watcher.finalResponse });
  }
}

async function runForEach(
  { events }: WatchResponse,
  revision: number,
  { invocation }: Session,
  command: readonly string[],
): Promise<void> {
  for (const { type, kv } of events) {
    const { problem } = await runCommand(command, {
      ETCD_WATCH_REVISION: String(revision),
      ETCD_WATCH_EVENT_TYPE: type === EventType.DELETE ? '"DELETE"' : '"PUT"',
      ETCD_WATCH_KEY: goQuoteBytes(kv?.key ?? EMPTY_BYTES),
      ETCD_WATCH_VALUE: goQuoteBytes(kv?.value ?? EMPTY_BYTES),
    });
    if (problem === '') continue;
    invocation.io.error(`command [${command.map(goQuote).join(' ')}] error (${problem})`);
    throw new ExitError(EXIT.ERROR, '');
  }
}

/** Watches what each line of standard input names, all at once. */
async function watchInteractively(
  client: EtcdClient,
  session: Session,
  env: readonly string[],
): Promise<void> {
  const { io, flags } = session.invocation;
  const { createInterface } = process.getBuiltinModule('node:readline');
  const failure = Promise.withResolvers<never>();
  let latest: Watcher | null = null;
  const onLine = (line: string): void => {
    const words = splitWords(line);
    const [name = '', ...rest] = typeof words === 'string' ? [] : words;
    if (name === '') {
      io.error(`Invalid command: ${line} (watch and progress supported)`);
    } else if (name === 'progress') {
      latest?.requestProgress();
    } else if (name !== 'watch') {
      io.error(`Invalid command ${line} (only support watch)`);
    } else if (rest.length === 0 && env.length === 0) {
      io.error(`Invalid command ${line} (command type or key is not provided)`);
    } else {
      const parsed = parseFlags(FLAGS, rest);
      const target = typeof parsed === 'string' ? parsed : targetOf(parsed.args, parsed.dashAt, env);
      if (typeof target === 'string' || typeof parsed === 'string') {
        throw new ExitError(EXIT.BAD_ARGS, String(target));
      }
      const watcher = startWatch(client, parsed.values, flags.bool('progress-notify'), target.keys);
      if (typeof watcher === 'string') {
        io.error(`Invalid command ${line} (${watcher})`);
        return;
      }
      latest = watcher;
      printWatch(watcher, session, target.command).catch(failure.reject);
    }
  };
  const reading = (async (): Promise<never> => {
    for await (const line of createInterface({ input: process.stdin })) onLine(line);
    throw new ExitError(EXIT.INVALID_INPUT, 'error reading watch request line: EOF');
  })();
  await Promise.race([reading, failure.promise]);
}
