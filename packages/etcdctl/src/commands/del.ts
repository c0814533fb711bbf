/** `etcdctl del`. */
import { DeleteRangeRequest } from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type FlagValues,
  goQuote,
  type Invocation,
} from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';
import { bytesOf } from '../words.ts';
import { rangeOf } from './get.ts';

/** Time to think again about a range that may have been meant as two keys. */
const WARNING_MS = 2000;

export const DEL_FLAGS: readonly FlagDefinition[] = [
  { name: 'prefix', type: 'bool', usage: 'all keys that begin with the given one' },
  { name: 'prev-kv', type: 'bool', usage: 'print the pairs that were deleted' },
  { name: 'from-key', type: 'bool', usage: 'all keys from the given one on' },
  { name: 'range', type: 'bool', usage: 'the second argument is meant as the end of a range: do not wait' },
];

export const DEL: Command = {
  name: 'del',
  usage: '[options] <key> [range_end]',
  summary: 'Deletes a key, or a range of keys',
  group: GROUP.KEYS,
  flags: DEL_FLAGS,
  run: del,
};

async function del(invocation: Invocation): Promise<void> {
  const { flags, args, io } = invocation;
  const request = delRequest(flags, args);
  if (args.length > 1 && !flags.bool('range')) {
    const [from = '', to = ''] = args;
    io.error(
      `Warning: Keys between ${goQuote(from)} and ${goQuote(to)} will be deleted. Interrupt the command within ` +
        'the next 2 seconds to cancel; with `--range` it does not wait.',
    );
    await new Promise((resolve) => setTimeout(resolve, WARNING_MS));
  }
  await withClient(invocation, async (client, session) => {
    session.print('del', { response: await client.kv.deleteRange(request) });
  });
}

/** Also of a `del` inside a transaction. */
export function delRequest(flags: FlagValues, args: readonly string[]): DeleteRangeRequest {
  const [key, rangeEnd] = args;
  const isPrefix = flags.bool('prefix');
  const isFromKey = flags.bool('from-key');
  const bad = (message: string): ExitError => new ExitError(EXIT.BAD_ARGS, message);
  if (key === undefined || args.length > 2) {
    throw bad('del command needs one argument as key and an optional argument as range_end');
  }
  if (isPrefix && isFromKey) {
    throw bad('`--prefix` and `--from-key` cannot be set at the same time, choose one');
  }
  if (rangeEnd !== undefined && (isPrefix || isFromKey)) {
    throw bad('too many arguments, only accept one argument when `--prefix` or `--from-key` is set');
  }
  const end = rangeEnd === undefined ? EMPTY_BYTES : bytesOf(rangeEnd);
  return new DeleteRangeRequest({
    ...rangeOf(bytesOf(key), end, isPrefix, isFromKey),
    prevKv: flags.bool('prev-kv'),
  });
}
