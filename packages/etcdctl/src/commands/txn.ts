/** `etcdctl txn`: a transaction from standard input, in three paragraphs. */
import { type Compare, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import {
  type Command,
  ExitError,
  type FlagDefinition,
  type Invocation,
  type Io,
  parseFlags,
} from '@etcd/host/cli';
import { noArguments } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import { GROUP } from '../groups.ts';
import { withClient } from '../session.ts';
import { splitWords } from '../split-words.ts';
import { parseCompare } from '../txn-compare.ts';
import { wordOf } from '../words.ts';
import { DEL_FLAGS, delRequest } from './del.ts';
import { GET_FLAGS, getRequest } from './get.ts';
import { PUT_FLAGS, putRequest } from './put.ts';

export const TXN: Command = {
  name: 'txn',
  usage: '[options]',
  summary: 'Does several things as one transaction',
  description: `Reads a transaction from standard input and does it as one. It has three paragraphs, each of which ends with an
empty line: conditions, what is done if all of them hold, what is done if one does not.

  mod("key1") > "0"

  put key1 "overwrote-key1"

  put key1 "created-key1"
  put key2 "some extra key"

Conditions are about value, version (ver), create revision (c), mod revision (m) or lease, and compare by =, !=, < or >.`,
  group: GROUP.KEYS,
  flags: [{ name: 'interactive', short: 'i', type: 'bool', usage: 'say what is to be typed next' }],
  run: txn,
};

async function txn(invocation: Invocation): Promise<void> {
  const { io, flags, args } = invocation;
  noArguments(args, 'txn command does not accept argument');
  const prompt = (text: string): void => {
    if (flags.bool('interactive')) io.line(text);
  };
  await withClient(invocation, async (client, session) => {
    const lines = new Lines(io);
    prompt('compares:');
    const compare = lines.paragraph().map((line) => condition(line));
    prompt('success requests (get, put, del):');
    const success = lines.paragraph().map((line) => operation(line, io));
    prompt('failure requests (get, put, del):');
    const failure = lines.paragraph().map((line) => operation(line, io));
    const request = new TxnRequest({ compare, success, failure });
    session.print('txn', { response: await client.kv.transact(request) });
  });
}

/** Standard input line by line, as it comes: a person types behind each prompt. */
class Lines {
  readonly #io: Io;

  constructor(io: Io) {
    this.#io = io;
  }

  /** The lines up to an empty one, which must be there. */
  paragraph(): string[] {
    const lines: string[] = [];
    for (;;) {
      const bytes = this.#io.readLine();
      if (bytes === null) throw new ExitError(EXIT.INVALID_INPUT, 'EOF');
      const line = wordOf(bytes).trim();
      if (line === '') return lines;
      lines.push(line);
    }
  }
}

function condition(line: string): Compare {
  const parsed = parseCompare(line);
  if (typeof parsed === 'string') throw new ExitError(EXIT.INVALID_INPUT, parsed);
  return parsed;
}

const OPERATION_FLAGS: Readonly<Record<string, readonly FlagDefinition[]>> = {
  put: PUT_FLAGS,
  get: GET_FLAGS,
  del: DEL_FLAGS,
};

function operation(line: string, io: Io): RequestOp {
  const words = splitWords(line);
  if (typeof words === 'string') throw new ExitError(EXIT.INVALID_INPUT, words);
  const [name = '', ...rest] = words;
  if (rest.length === 0) throw new ExitError(EXIT.INVALID_INPUT, `invalid txn compare request: ${line}`);
  const definitions = OPERATION_FLAGS[name];
  const parsed = definitions === undefined ? '' : parseFlags(definitions, rest);
  if (typeof parsed === 'string') throw new ExitError(EXIT.INVALID_INPUT, `invalid txn request: ${line}`);
  const { values, args } = parsed;
  if (name === 'put') return new RequestOp({ requestPut: putRequest(values, args, io) });
  if (name === 'get') return new RequestOp({ requestRange: getRequest(values, args) });
  return new RequestOp({ requestDeleteRange: delRequest(values, args) });
}
