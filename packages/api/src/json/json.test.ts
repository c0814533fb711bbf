import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import fc from 'fast-check';
import { encode } from '../codec.ts';
import { MESSAGES } from '../gen/descriptors.ts';
import { Compare, PutRequest, RangeRequest, TxnRequest } from '../gen/etcdserverpb.ts';
import { randomMessage } from '../testing/index.ts';
import { JsonError, jsonValueEnd, messageFromJson, messageToJson } from './index.ts';

/** Any message of a type. */
const messageArbitrary = (name: string): fc.Arbitrary<object> =>
  fc.nat().map((seed) => randomMessage(new SeededRandom(seed), name));

const RANGE = 'etcdserverpb.RangeRequest';
const bytes = (text: string): Uint8Array => Buffer.from(text);

function refusal(name: string, text: string): string {
  try {
    messageFromJson(name, text);
  } catch (error) {
    assert.ok(error instanceof JsonError);
    return error.message;
  }
  return 'accepted';
}

test('every message comes back from its own JSON', () => {
  for (const [name, { codec, fields }] of MESSAGES) {
    if (fields.some(({ isMap }) => isMap)) continue;
    fc.assert(
      fc.property(messageArbitrary(name), (message) => {
        const read = messageFromJson(name, messageToJson(name, message));
        assert.deepEqual(encode(codec, read), encode(codec, message));
      }),
      { numRuns: 30 },
    );
  }
});

test('the entries of a map are the fields of an object', () => {
  const text = '{"statuses":{"":{"status":"SERVING"},"a":{}}}';
  const name = 'grpc.health.v1.HealthListResponse';
  assert.equal(messageToJson(name, messageFromJson(name, text)), text);
});

test('JSON is what the gateway of etcd writes', () => {
  const compare = new Compare({ key: bytes('a'), targetUnion: 4 });
  const txn = new TxnRequest({ compare: [compare] });
  assert.equal(messageToJson('etcdserverpb.TxnRequest', txn), '{"compare":[{"key":"YQ==","version":"0"}]}');
  const put = new PutRequest({ key: bytes('foo'), value: bytes('bar'), lease: -1n, prevKv: true });
  assert.equal(
    messageToJson('etcdserverpb.PutRequest', put),
    '{"key":"Zm9v","value":"YmFy","lease":"-1","prev_kv":true}',
  );
  const range = new RangeRequest({ sortOrder: 1, sortTarget: 99 });
  assert.equal(messageToJson(RANGE, range), '{"sort_order":"ASCEND","sort_target":99}');
});

test('both spellings of names and numbers, and what is not known, are read', () => {
  const text =
    '{"key":"Zm9v","rangeEnd":"_w","limit":"5","revision":1e1,"sort_order":"DESCEND","sortTarget":2,"nonsense":[{}],"serializable":null}';
  const range = messageFromJson(RANGE, text) as RangeRequest;
  assert.deepEqual(Buffer.from(range.rangeEnd), Buffer.from([0xff]));
  assert.equal(range.limit, 5);
  assert.equal(range.revision, 10);
  assert.equal(range.sortOrder, 2);
  assert.equal(range.sortTarget, 2);
  assert.equal(range.serializable, false);
  assert.equal((messageFromJson(RANGE, '{"sort_order":"FOO"}') as RangeRequest).sortOrder, 0);
  const lease = messageFromJson('etcdserverpb.LeaseRevokeRequest', '{"ID":9007199254740993}') as {
    id: bigint;
  };
  assert.equal(lease.id, 9007199254740993n);
  assert.deepEqual(messageFromJson(RANGE, ''), new RangeRequest({}));
  assert.equal((messageFromJson(RANGE, '{"limit":5} x') as RangeRequest).limit, 5);
});

// The texts were seen on real etcd 3.5 and 3.7.
for (const [text, message] of [
  ['{"key":"*"}', 'proto: (line 1:8): invalid value for bytes field key: "*"'],
  ['{"key":5}', 'proto: (line 1:8): invalid value for bytes field key: 5'],
  ['{"key":"Zm9v","limit":"abc"}', 'proto: (line 1:23): invalid value for int64 field limit: "abc"'],
  ['{"key":"Zm9v","limit":1.5}', 'proto: (line 1:23): invalid value for int64 field limit: 1.5'],
  [
    '{"key":"Zm9v","limit":99999999999999999999}',
    'proto: (line 1:23): invalid value for int64 field limit: 99999999999999999999',
  ],
  [
    '{"key":"Zm9v","serializable":"true"}',
    'proto: (line 1:30): invalid value for bool field serializable: "true"',
  ],
  ['{"key":"Zm9v"', 'unexpected EOF'],
  ['hello', "invalid character 'h' looking for beginning of value"],
  ['\ufeff{}', "invalid character '\u00ef' looking for beginning of value"],
  ['\u00e9', "invalid character '\u00c3' looking for beginning of value"],
  ['\u{1f600}', "invalid character '\u00f0' looking for beginning of value"],
  ['[]', 'proto: syntax error (line 1:1): unexpected token ['],
  ['null', 'proto: syntax error (line 1:1): unexpected token null'],
  ['{"key":"Zm9v","key":"Zm9v"}', 'proto: (line 1:15): duplicate field "key"'],
  ['{"key" "a"}', "invalid character '\"' after object key"],
  ['{"key":"a",}', "invalid character '}' looking for beginning of object key string"],
  ['{"key":tru}', "invalid character '}' in literal true (expecting 'e')"],
] as const) {
  test(`what is wrong with ${text}`, () => assert.equal(refusal(RANGE, text), message));
}

test('a value that is cut off anywhere is not there yet, and not wrong', () => {
  const text = '{"a":[-1.25e+10,0.5,1E9,"\\u00fc\\n",true,null],"b":{"c":-0}}';
  for (let end = 0; end < text.length; end++) assert.equal(jsonValueEnd(text.slice(0, end), 0), -1, `${end}`);
  assert.equal(jsonValueEnd(`${text} x`, 0), text.length);
  assert.equal(jsonValueEnd('  {}{}', 4), 6);
});

test('S17 a string may be as long as a request, whatever is in it', () => {
  for (const piece of ['a', '\\n', '\\u00fc', 'ü\\"']) {
    const string = `"${piece.repeat(2 ** 23 / piece.length)}"`;
    assert.equal(jsonValueEnd(string, 0), string.length, piece);
    assert.equal(jsonValueEnd(string.slice(0, -1), 0), -1, piece);
  }
});

test('a number without the digits that it needs is refused in the words of Go', () => {
  for (const [number, where] of [
    ['1.}', 'after decimal point in numeric literal'],
    ['1e}', 'in exponent of numeric literal'],
    ['1.5E+}', 'in exponent of numeric literal'],
    ['-}', 'in numeric literal'],
  ]) {
    assert.equal(refusal(RANGE, `{"limit":${number}`), `invalid character '}' ${where}`);
  }
});

test('a oneof is set once', () => {
  const text = '{"compare":[{"key":"Zm9v","target":"VERSION","version":"0","value":"AAA="}]}';
  const message =
    'proto: (line 1:60): error parsing "value", oneof etcdserverpb.Compare.target_union is already set';
  assert.equal(refusal('etcdserverpb.TxnRequest', text), message);
});

test('S17 any text is read or refused, never anything else', () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    messageArbitrary(RANGE).map((range) => messageToJson(RANGE, range)),
  );
  fc.assert(
    fc.property(text, fc.nat(), fc.string({ maxLength: 2 }), (whole, at, inserted) => {
      const position = at % (whole.length + 1);
      refusal(RANGE, whole.slice(0, position) + inserted + whole.slice(position));
    }),
  );
  assert.equal(refusal(RANGE, '['.repeat(200_000)), 'exceeded max depth');
});
