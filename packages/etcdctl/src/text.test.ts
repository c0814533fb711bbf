import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compare, CompareResult, CompareTarget } from '@etcd/api/etcdserverpb';
import { drawTable, humanBytes } from '@etcd/host/cli';
import fc from 'fast-check';
import { splitWords } from './split-words.ts';
import { parseCompare } from './txn-compare.ts';
import { unquoteAt } from './unquote.ts';
import { bytesOf, wordOf } from './words.ts';

test('sizes are written as people read them', () => {
  const sizes: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [9, '9 B'],
    [10, '10 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [1949, '1.9 kB'],
    [20_480, '20 kB'],
    [999_999, '1000 kB'],
    [1_000_000, '1.0 MB'],
    [2_147_483_648, '2.1 GB'],
  ];
  for (const [byteCount, text] of sizes) assert.equal(humanBytes(byteCount), text);
});

test('a table has its heads in the middle and its cells to the right', () => {
  const table = drawTable({
    head: ['ID', 'hash_revision'],
    rows: [
      ['abc', '1'],
      ['é', ''],
    ],
  });
  assert.equal(
    table,
    `┌─────┬───────────────┐
│ ID  │ HASH REVISION │
├─────┼───────────────┤
│ abc │             1 │
│   é │               │
└─────┴───────────────┘
`,
  );
});

test('a word is any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.deepEqual([...bytesOf(wordOf(bytes))], [...bytes]);
    }),
  );
  assert.equal(wordOf(Buffer.from('snow ☃ \ufffd 😀')), 'snow ☃ \ufffd 😀');
});

test('a typed line is split into words, bare and quoted', () => {
  assert.deepEqual(splitWords('put key value'), ['put', 'key', 'value']);
  assert.deepEqual(splitWords('put  "a b" \'c "d"\' --x=y'), ['put', 'a b', 'c "d"', '--x=y']);
  assert.deepEqual(splitWords('put "a\\n\\x41\\u2603\\101" v'), ['put', 'a\nA☃A', 'v']);
  assert.deepEqual(splitWords(''), []);
  assert.equal(splitWords('put "\\q"'), 'invalid syntax');
});

test('strings are read with the escapes of Go', () => {
  assert.deepEqual(unquoteAt('x"a\\tb"y', 1), { text: 'a\tb', end: 7 });
  assert.deepEqual(unquoteAt('`raw\\n`', 0), { text: 'raw\\n', end: 7 });
  assert.deepEqual([...bytesOf(unquoteAt('"\\xff"', 0)?.text ?? '')], [0xff]);
  for (const bad of ['a', '"open', '"\\z"', '"\\400"', '"\\U00110000"', '"new\nline"', '`open']) {
    assert.equal(unquoteAt(bad, 0), null, bad);
  }
});

test('conditions of a transaction', () => {
  const read = (line: string): unknown => {
    const parsed = parseCompare(line);
    if (!(parsed instanceof Compare)) return parsed;
    const { target, result, key, value, version, createRevision, modRevision, lease } = parsed;
    return [
      target,
      result,
      Buffer.from(key).toString(),
      Buffer.from(value).toString(),
      version,
      createRevision,
      modRevision,
      lease,
    ];
  };
  const { EQUAL, GREATER, LESS, NOT_EQUAL } = CompareResult;
  assert.deepEqual(read('value("a b") = "c"'), [CompareTarget.VALUE, EQUAL, 'a b', 'c', 0, 0, 0, 0n]);
  assert.deepEqual(read('ver("a")!="3"'), 'malformed comparison: ver("a")!="3"; got ver("a") !="3" ""');
  assert.deepEqual(read('ver("a") != "3"'), [CompareTarget.VERSION, NOT_EQUAL, 'a', '', 3, 0, 0, 0n]);
  assert.deepEqual(read('c("a") > "3"'), [CompareTarget.CREATE, GREATER, 'a', '', 0, 3, 0, 0n]);
  assert.deepEqual(read('mod("a") < "3"'), [CompareTarget.MOD, LESS, 'a', '', 0, 0, 3, 0n]);
  assert.deepEqual(read('lease("a") = "12"'), [CompareTarget.LEASE, EQUAL, 'a', '', 0, 0, 0, 12n]);
  assert.equal(read('mod("a") = "x"'), 'invalid txn compare request: mod("a") = "x"');
  assert.equal(read('color("a") = "x"'), 'malformed comparison: color("a") = "x" (unknown target color)');
  assert.equal(read('nothing'), 'malformed comparison: nothing');
});
