/** `etcdutl bbolt page` and `dump`: single pages of a database file, sound or not. They print what bbolt's own tool prints. */
import { createHash } from 'node:crypto';
import { PageFile, type PageImage } from '@etcd/bbolt';
import { type Command, ExitError, goQuoteBytes, type Invocation } from '@etcd/host/cli';
import { describeError } from '../describe-error.ts';
import { EXIT } from '../exit-codes.ts';
import { checkExists, toolOf } from '../tool.ts';

const LINE_BYTES = 16;
const SEPARATOR = '===============================================';
const VALUE_FORMATS = ['auto', 'ascii-encoded', 'hex', 'bytes', 'redacted'] as const;

export const PAGE: Command = {
  name: 'page',
  usage: '<filename> <page id>...',
  summary: 'Prints what is on pages',
  flags: [
    { name: 'all', type: 'bool', usage: 'all pages of the file' },
    {
      name: 'format-value',
      type: 'string',
      default: 'auto',
      usage: `how values are printed: ${VALUE_FORMATS.join(', ')}`,
      values: VALUE_FORMATS,
    },
  ],
  run: (invocation) => withPages(invocation, printPages),
};

export const DUMP: Command = {
  name: 'dump',
  usage: '<filename> <page id>...',
  summary: 'Prints the bytes of pages in hexadecimal',
  run: (invocation) => withPages(invocation, dumpPages),
};

function withPages(invocation: Invocation, use: (file: PageFile, invocation: Invocation) => void): void {
  const [path] = invocation.args;
  if (path === undefined) throw new ExitError(EXIT.ERROR, 'path required');
  const { disk } = toolOf(invocation);
  checkExists(disk, path);
  const file = PageFile.open(disk, path);
  try {
    use(file, invocation);
  } finally {
    file.close();
  }
}

function pageIds({ args }: Invocation): number[] {
  if (args.length < 2) throw new ExitError(EXIT.ERROR, 'page id required');
  return args.slice(1).map((text) => {
    const id = Number(text);
    if (/^[0-9]+$/.test(text) && Number.isSafeInteger(id)) return id;
    const problem = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
    throw new ExitError(EXIT.ERROR, problem);
  });
}

function dumpPages(file: PageFile, invocation: Invocation): void {
  for (const [i, pgid] of pageIds(invocation).entries()) {
    if (i > 0) invocation.io.line(SEPARATOR);
    invocation.io.out(`${[...dumpLines(file, pgid)].join('\n')}\n\n`);
  }
}

/** Lines that repeat the one before are left out, but for the last of a page. */
function* dumpLines(file: PageFile, pgid: number): Generator<string, void, void> {
  const bytes = Buffer.from(file.readBytes(pgid));
  const base = pgid * file.pageSizeBytes;
  let previous: Buffer | null = null;
  let isSkipping = false;
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES);
    const isSame = previous?.equals(line) === true && at + LINE_BYTES < bytes.length;
    previous = line;
    const address = (base + at).toString(16).padStart(7, '0');
    if (!isSame) yield `${address} ${line.toString('hex').replace(/(....)(?=.)/g, '$1 ')}`;
    else if (!isSkipping) yield `${address} *`;
    isSkipping = isSame;
  }
}

function printPages(file: PageFile, invocation: Invocation): void {
  const { flags, io } = invocation;
  const format = VALUE_FORMATS.find((known) => known === flags.text('format-value'));
  if (format === undefined) throw new ExitError(EXIT.ERROR, 'unsupported format of values');
  const isAll = flags.bool('all');
  const ids = isAll ? [] : pageIds(invocation);
  let count = 0;
  /** Returns how many pages it was. One that can't be read does not keep the others from being printed. */
  const print = (pgid: number): number => {
    if (count++ > 0) io.line(SEPARATOR);
    try {
      const page = file.read(pgid);
      for (const part of pageText(page, format)) io.out(part);
      return 1 + page.overflow;
    } catch (error) {
      io.line(`Page ${pgid} can not be printed: ${describeError(error)}`);
      return 1;
    }
  };
  for (const pgid of ids) print(pgid);
  for (let pgid = 0; isAll && pgid < file.meta.highWaterPgid; ) pgid += print(pgid);
}

type ValueFormat = (typeof VALUE_FORMATS)[number];

function* pageText(page: PageImage, format: ValueFormat): Generator<string | Uint8Array, void, void> {
  const { type, pgid, bytes, overflow } = page;
  const shownType = type === 'unknown' ? `unknown<${page.flags.toString(16).padStart(2, '0')}>` : type;
  yield `Page ID:    ${pgid}\nPage Type:  ${shownType}\nTotal Size: ${bytes.length} bytes\nOverflow pages: ${overflow}\n`;
  if (type === 'meta') yield metaText(page);
  if (type === 'freelist') {
    yield `Item Count: ${page.count}\nOverflow: ${overflow}\n\n`;
    for (const id of page.freePgids()) yield `${id}\n`;
    yield '\n';
  }
  if (type !== 'leaf' && type !== 'branch') return;
  yield `Item Count: ${page.count}\n\n`;
  for (const { key, value, childPgid } of page.elements()) {
    yield `${isPrintable(key) ? goQuoteBytes(key) : hex(key)}: `;
    if (value === null) yield `<pgid=${childPgid}>`;
    else yield value instanceof Uint8Array ? valueText(value, format) : bucketText(value);
    yield '\n';
  }
  yield '\n';
}

function metaText(page: PageImage): string {
  const meta = page.meta();
  return [
    `Version:    ${meta.version}`,
    `Page Size:  ${meta.pageSizeBytes} bytes`,
    `Flags:      ${meta.flags.toString(16).padStart(8, '0')}`,
    `Root:       <pgid=${meta.rootPgid}>`,
    `Freelist:   <pgid=${meta.freelistPgid}>`,
    `HWM:        <pgid=${meta.highWaterPgid}>`,
    `Txn ID:     ${meta.txid}`,
    `Checksum:   ${meta.checksum.toString(16).padStart(16, '0')}`,
    '\n',
  ].join('\n');
}

function bucketText({
  rootPgid,
  sequence,
}: {
  readonly rootPgid: bigint;
  readonly sequence: bigint;
}): string {
  return `<pgid=${rootPgid},seq=${sequence}>`;
}

function valueText(value: Uint8Array, format: ValueFormat): string | Uint8Array {
  switch (format) {
    case 'auto':
      return isPrintable(value) ? value : hex(value);
    case 'ascii-encoded':
      return goQuoteBytes(value);
    case 'hex':
      return hex(value);
    case 'bytes':
      return value;
    case 'redacted':
      return `<redacted len:${value.length} sha256:${createHash('sha256').update(value).digest('hex')}>`;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Whether it is text of nothing but letters, marks, numbers, signs and blanks. */
function isPrintable(bytes: Uint8Array): boolean {
  const quoted = goQuoteBytes(bytes).slice(1, -1);
  return quoted.replace(/\\(["\\])/g, '$1') === Buffer.from(bytes).toString();
}
