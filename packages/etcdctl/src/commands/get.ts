/** `etcdctl get`. */
import { RangeRequest, RangeResponse, SortOrder, SortTarget } from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import { prefixEnd } from '@etcd/client';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type FlagValues,
  type Invocation,
} from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';
import { bytesOf } from '../words.ts';

const ORDERS = ['ASCEND', 'DESCEND'];
const TARGETS = ['CREATE', 'KEY', 'MODIFY', 'VALUE', 'VERSION'];

export const GET_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'consistency',
    type: 'string',
    default: 'l',
    usage: 'l (linearizable) or s (serializable)',
    values: ['l', 's'],
  },
  { name: 'order', type: 'string', usage: 'ASCEND or DESCEND', values: ORDERS },
  { name: 'sort-by', type: 'string', usage: 'CREATE, KEY, MODIFY, VALUE or VERSION', values: TARGETS },
  { name: 'limit', type: 'int64', usage: 'at most so many pairs' },
  { name: 'prefix', type: 'bool', usage: 'all keys that begin with the given one' },
  { name: 'from-key', type: 'bool', usage: 'all keys from the given one on' },
  { name: 'rev', type: 'int64', usage: 'as of this revision' },
  { name: 'keys-only', type: 'bool', usage: 'without values' },
  { name: 'count-only', type: 'bool', usage: 'only how many there are (with --write-out=fields)' },
  { name: 'print-value-only', type: 'bool', usage: 'without keys (with --write-out=simple)' },
  { name: 'min-create-rev', type: 'int64', usage: 'only keys that were created at this revision or later' },
  { name: 'max-create-rev', type: 'int64', usage: 'only keys that were created at this revision or earlier' },
  { name: 'min-mod-rev', type: 'int64', usage: 'only keys that were last changed at this revision or later' },
  {
    name: 'max-mod-rev',
    type: 'int64',
    usage: 'only keys that were last changed at this revision or earlier',
  },
  { name: 'stream', type: 'bool', usage: 'let the server send the answer in parts' },
];

export const GET: Command = {
  name: 'get',
  usage: '[options] <key> [range_end]',
  summary: 'Prints a key, or a range of keys',
  group: GROUP.KEYS,
  flags: GET_FLAGS,
  run: get,
};

async function get(invocation: Invocation): Promise<void> {
  const { flags, args } = invocation;
  const request = getRequest(flags, args);
  await withClient(invocation, async (client, session) => {
    const response = flags.bool('stream')
      ? await gathered(client.kv.streamRange(request, { timeoutMs: session.timeoutMs }))
      : await client.kv.range(request);
    if (flags.bool('count-only') && session.format !== 'fields') {
      throw new ExitError(EXIT.BAD_ARGS, '--count-only is only for `--write-out=fields`');
    }
    if (flags.bool('print-value-only') && session.format !== 'simple') {
      throw new ExitError(EXIT.BAD_ARGS, 'print-value-only is only for `--write-out=simple`');
    }
    session.print('get', { response, valueOnly: flags.bool('print-value-only') });
  });
}

/** The parts of a streamed answer as one. */
async function gathered(parts: AsyncIterable<RangeResponse>): Promise<RangeResponse> {
  const whole = new RangeResponse();
  for await (const { header, kvs, more, count } of parts) {
    whole.header ??= header;
    for (const pair of kvs) whole.kvs.push(pair);
    whole.more = more || whole.more;
    whole.count += count;
  }
  return whole;
}

/** Also of a `get` inside a transaction. */
export function getRequest(flags: FlagValues, args: readonly string[]): RangeRequest {
  const bad = (message: string): ExitError => new ExitError(EXIT.BAD_ARGS, message);
  const [key, rangeEnd] = args;
  const isPrefix = flags.bool('prefix');
  const isFromKey = flags.bool('from-key');
  if (key === undefined) {
    throw bad('get command needs one argument as key and an optional argument as range_end');
  }
  if (isPrefix && isFromKey) {
    throw bad('`--prefix` and `--from-key` cannot be set at the same time, choose one');
  }
  if (flags.bool('keys-only') && flags.bool('count-only')) {
    throw bad('`--keys-only` and `--count-only` cannot be set at the same time, choose one');
  }
  const serializable = isSerializable(flags.text('consistency'));
  if (rangeEnd !== undefined && (isPrefix || isFromKey)) {
    throw bad('too many arguments, only accept one argument when `--prefix` or `--from-key` is set');
  }
  const { sortOrder, sortTarget } = sortOf(flags);
  return new RangeRequest({
    ...rangeOf(bytesOf(key), rangeEnd === undefined ? EMPTY_BYTES : bytesOf(rangeEnd), isPrefix, isFromKey),
    limit: flags.number('limit'),
    revision: Math.max(0, flags.number('rev')),
    // Keys come in ascending order anyway.
    sortOrder: sortTarget === SortTarget.KEY && sortOrder === SortOrder.ASCEND ? SortOrder.NONE : sortOrder,
    sortTarget,
    serializable,
    keysOnly: flags.bool('keys-only'),
    countOnly: flags.bool('count-only'),
    ...revisionsOf(flags),
  });
}

const ZERO = new Uint8Array(1);

/** The range that the flags make of a key. */
export function rangeOf(
  key: Uint8Array,
  rangeEnd: Uint8Array,
  isPrefix: boolean,
  isFromKey: boolean,
): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  if (isPrefix) return key.length === 0 ? { key: ZERO, rangeEnd: ZERO } : { key, rangeEnd: prefixEnd(key) };
  if (isFromKey) return { key: key.length === 0 ? ZERO : key, rangeEnd: ZERO };
  return { key, rangeEnd };
}

export function isSerializable(consistency: string): boolean {
  if (consistency === 's') return true;
  if (consistency === 'l') return false;
  throw new ExitError(EXIT.BAD_FEATURE, `unknown consistency flag ${JSON.stringify(consistency)}`);
}

function sortOf(flags: FlagValues): { readonly sortOrder: number; readonly sortTarget: number } {
  const order = flags.text('order').toUpperCase();
  if (order !== '' && !ORDERS.includes(order)) {
    throw new ExitError(EXIT.BAD_FEATURE, `bad sort order ${flags.text('order')}`);
  }
  const target = flags.text('sort-by').toUpperCase();
  if (target !== '' && !TARGETS.includes(target)) {
    throw new ExitError(EXIT.BAD_FEATURE, `bad sort target ${flags.text('sort-by')}`);
  }
  const targets: Readonly<Record<string, number>> = {
    CREATE: SortTarget.CREATE,
    MODIFY: SortTarget.MOD,
    VALUE: SortTarget.VALUE,
    VERSION: SortTarget.VERSION,
  };
  const orders: Readonly<Record<string, number>> = { ASCEND: SortOrder.ASCEND, DESCEND: SortOrder.DESCEND };
  return { sortOrder: orders[order] ?? SortOrder.NONE, sortTarget: targets[target] ?? SortTarget.KEY };
}

function revisionsOf(flags: FlagValues): Partial<RangeRequest> {
  const at = (name: string): number => Math.max(0, flags.number(name));
  const limits = {
    minCreateRevision: at('min-create-rev'),
    maxCreateRevision: at('max-create-rev'),
    minModRevision: at('min-mod-rev'),
    maxModRevision: at('max-mod-rev'),
  };
  for (const [name, min, max] of [
    ['Create', limits.minCreateRevision, limits.maxCreateRevision],
    ['Mod', limits.minModRevision, limits.maxModRevision],
  ] as const) {
    if (max > 0 && min > max) {
      throw new ExitError(EXIT.BAD_FEATURE, `getMin${name}Rev(=${min}) > getMax${name}Rev(=${max})`);
    }
  }
  return limits;
}
