import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from './command.ts';
import { ExitError } from './exit-error.ts';
import { type FlagDefinition, parseFlags } from './flag-set.ts';
import { goQuote, goQuoteBytes } from './go-quote.ts';
import { runProgram } from './run-program.ts';
import { StreamGarbage } from './stream-garbage.ts';
import { drawCommaRows, drawTable } from './table.ts';
import type { Terminal } from './terminal.ts';
import { NotingIo } from './testing/noting-io.ts';

const FLAGS: readonly FlagDefinition[] = [
  { name: 'all', short: 'a', type: 'bool', usage: '' },
  { name: 'quiet', type: 'bool', default: 'true', usage: '' },
  { name: 'out', short: 'o', type: 'string', default: 'x', usage: '' },
  { name: 'count', short: 'c', type: 'int64', usage: '' },
  { name: 'size', type: 'uint', usage: '' },
  { name: 'wait', type: 'duration', default: '5s', usage: '' },
  { name: 'hosts', type: 'strings', default: 'one', usage: '' },
];

function parse(...words: string[]): unknown {
  const parsed = parseFlags(FLAGS, words);
  if (typeof parsed === 'string') return parsed;
  const { values, args, dashAt } = parsed;
  const given = FLAGS.filter(({ name }) => values.isSet(name)).map(
    ({ name }) => `${name}=${values.written(name)}`,
  );
  return [given.join(' '), args.join(' '), dashAt];
}

test('flags stand anywhere before --, in every spelling', () => {
  assert.deepEqual(parse('a', '--all', 'b'), ['all=true', 'a b', -1]);
  assert.deepEqual(parse('-ac', '5', 'b'), ['all=true count=5', 'b', -1]);
  assert.deepEqual(parse('-ac5', '-o=y'), ['all=true out=y count=5', '', -1]);
  assert.deepEqual(parse('--count=-5', '--count', '7', '--size=0x10'), ['count=7 size=16', '', -1]);
  assert.deepEqual(parse('--quiet=false', '--out', '--all'), ['quiet=false out=--all', '', -1]);
  assert.deepEqual(parse('a', '--', '--all', 'b'), ['', 'a --all b', 1]);
  assert.deepEqual(parse('-', '--wait=1m30s'), ['wait=1m30s', '-', -1]);
  assert.deepEqual(parse('--hosts=a,b', '--hosts', 'c'), ['hosts=[a,b,c]', '', -1]);
  assert.deepEqual(parse('--hosts', '"a,b",c,'), ['hosts=[a,b,c,]', '', -1]);
});

test('what is no flag, or has no value, is refused in the words of pflag', () => {
  assert.equal(parse('--nope'), 'unknown flag: --nope');
  assert.equal(parse('-ax'), "unknown shorthand flag: 'x' in -x");
  assert.equal(parse('--out'), 'flag needs an argument: --out');
  assert.equal(parse('-ao'), "flag needs an argument: 'o' in -o");
  assert.equal(parse('---out'), 'bad flag syntax: ---out');
  assert.equal(parse('--=x'), 'bad flag syntax: --=x');
  const syntax = 'invalid syntax';
  assert.equal(
    parse('--count=x'),
    `invalid argument "x" for "-c, --count" flag: strconv.ParseInt: parsing "x": ${syntax}`,
  );
  assert.equal(
    parse('--size=-1'),
    `invalid argument "-1" for "--size" flag: strconv.ParseUint: parsing "-1": ${syntax}`,
  );
  assert.equal(
    parse('--count=9223372036854775808'),
    'invalid argument "9223372036854775808" for "-c, --count" flag: strconv.ParseInt: parsing "9223372036854775808": value out of range',
  );
  assert.equal(
    parse('--all=maybe'),
    `invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": ${syntax}`,
  );
  assert.equal(
    parse('--wait=soon'),
    'invalid argument "soon" for "--wait" flag: time: invalid duration "soon"',
  );
});

test('strings are quoted as Go quotes them, bytes that are no text too', () => {
  assert.equal(goQuote('a "b"\\\n\t\u00e9☃'), '"a \\"b\\"\\\\\\n\\té☃"');
  assert.equal(goQuote('\x00\x7f\u200b\u{e0001}'), '"\\x00\\x7f\\u200b\\U000e0001"');
  const cut = Buffer.from([0x61, 0xff, 0xc3, 0x28, 0xe2, 0x98, 0xed, 0xa0, 0x80]);
  assert.equal(goQuoteBytes(cut), '"a\\xff\\xc3(\\xe2\\x98\\xed\\xa0\\x80"');
});

const ROOT: Command = {
  name: 'tool',
  usage: '',
  summary: 'A tool',
  sharedFlags: [{ name: 'color', type: 'string', usage: 'the color', values: ['red', 'green'] }],
  commands: [
    {
      name: 'paint',
      usage: '<thing>',
      summary: 'Paints',
      flags: [
        { name: 'twice', short: 't', type: 'bool', usage: 'two times' },
        { name: 'with', type: 'string', usage: '' },
      ],
      run({ flags, args, io }) {
        if (args[0] === 'nothing') throw new ExitError(7, 'nothing to paint');
        if (args[0] === 'bug') throw new TypeError('a bug');
        io.line(`${args.join(' ')} ${flags.text('color')} ${flags.bool('twice')} ${flags.text('with')}`);
      },
    },
    {
      name: 'house',
      usage: '<subcommand>',
      summary: 'About houses',
      sharedFlags: [{ name: 'roof', type: 'bool', usage: '' }],
      commands: [
        {
          name: 'build',
          usage: '',
          summary: 'Builds',
          run: ({ flags, io }) => io.line(`built ${flags.bool('roof')}`),
        },
        {
          name: 'burn',
          usage: '',
          summary: 'Burns',
          argumentProblem: (args) => (args.length > 0 ? `accepts 0 arg(s), received ${args.length}` : null),
          run: ({ io }) => io.line('burnt'),
        },
      ],
    },
  ],
};

async function call(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  const io = new NotingIo();
  const code = await runProgram(ROOT, words, io, {
    helpEnding: 'THE END',
    describe: (error) => `described ${error}`,
  });
  return { code, out: io.stdout, error: io.stderr };
}

test('a command is found by any prefix that only it has, with flags before, between and behind', async () => {
  assert.equal((await call('paint', 'wall', '--color', 'red', '-t')).out, 'wall red true \n');
  assert.equal((await call('--with', 'paint', '--color=red', 'pai', 'wall')).out, 'wall red false paint\n');
  assert.equal((await call('h', '--roof', 'bui')).out, 'built true\n');
  assert.equal((await call('--roof', 'house', 'build')).out, 'built true\n');
});

test('help is printed for a tree, a command and a topic', async () => {
  for (const words of [
    [],
    ['--help'],
    ['help'],
    ['house'],
    ['house', 'foo'],
    ['paint', '-h'],
    ['help', 'paint'],
  ]) {
    const { code, out, error } = await call(...words);
    assert.equal(code, 0, words.join(' '));
    assert.match(out, /Usage:/);
    assert.match(out, /THE END\n$/);
    assert.equal(error, '');
  }
  assert.match((await call('help', 'paint')).out, /tool paint <thing>/);
  assert.match((await call('help', 'nope')).error, /^Unknown help topic \[`nope`\]/);
});

test('mistakes are told on stderr, with what may have been meant', async () => {
  const unknown = await call('piant');
  assert.equal(unknown.code, 1);
  assert.match(unknown.error, /^Error: unknown command "piant" for "tool"\n\nDid you mean this\?\n\tpaint\n/);
  const ambiguous = await call('house', 'bu', '--nope');
  assert.equal(ambiguous.code, 1);
  assert.match(ambiguous.error, /^Error: unknown flag: --nope\nUsage:/);
  const flag = await call('paint', '--twise');
  assert.match(
    flag.error,
    /^Error: unknown flag: --twise\nUsage:(?:.|\n)*\nDid you mean this\?\n\t--twice\n\n$/,
  );
  const below = await call('house', 'biuld');
  assert.equal(below.code, 0);
  assert.match(below.out, /Usage:/);
  assert.equal(below.error, 'Did you mean this?\n\tbuild\n');
  assert.match((await call('house', 'burn', 'x')).error, /^Error: accepts 0 arg\(s\), received 1\nUsage:/);
  assert.deepEqual(await call('paint', 'nothing'), { code: 7, out: '', error: 'Error: nothing to paint\n' });
  assert.deepEqual(await call('paint', 'bug'), {
    code: 1,
    out: '',
    error: 'Error: described TypeError: a bug\n',
  });
});

const TERMINAL: Terminal = { isTerminal: true, paint: (style, text) => `<${style}>${text}</${style}>` };

test('on a terminal errors stand out, with a hint behind; elsewhere nothing is added', async () => {
  const io = new NotingIo();
  const hint = (message: string): string | null => (message === 'nothing to paint' ? 'name a thing' : null);
  await runProgram(ROOT, ['paint', 'nothing'], io, { hint });
  assert.equal(io.stderr, 'Error: nothing to paint\n');
  class Shown extends NotingIo {
    override get errorTerminal(): Terminal {
      return TERMINAL;
    }
  }
  const shown = new Shown();
  await runProgram(ROOT, ['paint', 'nothing'], shown, { hint });
  assert.equal(shown.stderr, '<red>Error:</red> nothing to paint\n<dim>hint: name a thing</dim>\n');
});

test('rows between commas stand one below the other on a terminal only', () => {
  const rows = {
    head: [],
    rows: [
      ['a', 'long', 'x'],
      ['bbb', 's', 'yy'],
    ],
  };
  assert.equal(drawCommaRows(rows), 'a, long, x\nbbb, s, yy\n');
  assert.equal(drawCommaRows(rows, TERMINAL), 'a,   long, x\nbbb, s,    yy\n');
  assert.equal(drawCommaRows({ head: [], rows: [] }, TERMINAL), '');
  const table = drawTable({ head: ['h'], rows: [['wide']] }, TERMINAL);
  assert.match(table, /│ <bold> H {2}<\/bold> │\n/);
});

test('completion offers commands, flags and their values', async () => {
  const complete = async (...words: string[]): Promise<string> =>
    (await call('__completeNoDesc', ...words)).out;
  assert.equal(await complete('p'), 'paint\n:4\n');
  assert.equal(await complete('house', 'b'), 'build\nburn\n:4\n');
  assert.equal(await complete('paint', '--t'), '--twice\n:4\n');
  assert.equal(await complete('paint', '--color', 'g'), 'green\n:0\n');
  assert.equal((await call('__complete', 'pa')).out, 'paint\tPaints\n:4\n');
});

test('of a stream that passes no more than a few of its buffers are held', () => {
  const garbage = new StreamGarbage();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 4096; i++) {
    const piece = Buffer.allocUnsafeSlow(64 * 1024);
    garbage.passed(piece.length);
    if (i % 16 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  assert.ok(most < 8 * 1024 * 1024, `${most} bytes of 256 MB were held at once`);
});
