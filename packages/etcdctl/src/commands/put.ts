/** `etcdctl put`. */
import { PutRequest } from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type FlagValues,
  type Invocation,
  type Io,
} from '@etcd/host/cli';
import { leaseId } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';
import { bytesOf } from '../words.ts';

export const PUT_FLAGS: readonly FlagDefinition[] = [
  { name: 'lease', type: 'string', default: '0', usage: 'lease to attach the key to, in hexadecimal' },
  { name: 'prev-kv', type: 'bool', usage: 'print the pair as it was before' },
  { name: 'ignore-value', type: 'bool', usage: 'keep the value that is there' },
  { name: 'ignore-lease', type: 'bool', usage: 'keep the lease that is there' },
];

export const PUT: Command = {
  name: 'put',
  usage: '[options] <key> <value>',
  summary: 'Sets a key',
  description: `Sets a key. Without a value on the command line, the value is what standard input has.

A value that begins with "-" would be taken for a flag; "--" says that no more flags follow:

  etcdctl put <key> -- <value>`,
  group: GROUP.KEYS,
  flags: PUT_FLAGS,
  run: put,
};

async function put(invocation: Invocation): Promise<void> {
  const request = putRequest(invocation.flags, invocation.args, invocation.io);
  await withClient(invocation, async (client, session) => {
    session.print('put', { response: await client.kv.putRequest(request) });
  });
}

/** Also of a `put` inside a transaction. */
export function putRequest(flags: FlagValues, args: readonly string[], io: Io): PutRequest {
  const [key, value] = args;
  const ignoreValue = flags.bool('ignore-value');
  const missing = 'put command needs 1 argument and input from stdin or 2 arguments';
  if (key === undefined) throw new ExitError(EXIT.BAD_ARGS, missing);
  if (ignoreValue && value !== undefined) {
    throw new ExitError(EXIT.BAD_ARGS, "put command needs only 1 argument when 'ignore-value' is set");
  }
  const bytes = ignoreValue ? EMPTY_BYTES : value === undefined ? io.readAll() : bytesOf(value);
  if (!ignoreValue && value === undefined && bytes.length === 0) throw new ExitError(EXIT.BAD_ARGS, missing);
  return new PutRequest({
    key: bytesOf(key),
    value: bytes,
    lease: leaseId(flags.text('lease'), 'bad lease ID'),
    prevKv: flags.bool('prev-kv'),
    ignoreValue,
    ignoreLease: flags.bool('ignore-lease'),
  });
}
