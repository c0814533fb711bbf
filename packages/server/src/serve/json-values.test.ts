import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonError } from '@etcd/api/json';
import fc from 'fast-check';
import { JsonValues } from './json-values.ts';

/** What a stream in these pieces is cut into; what is left behind it last, if there is anything. */
function cut(...pieces: (string | Uint8Array)[]): string[] {
  const values = new JsonValues();
  const texts = pieces.flatMap((piece) => values.add(Buffer.from(piece)));
  const rest = values.rest();
  return rest === '' ? texts : [...texts, rest];
}

test('values are told apart with and without white space between them', () => {
  assert.deepEqual(cut('{"a":1}{"b":[2]} \r\n[3]"x"\t4 true{}'), [
    '{"a":1}',
    '{"b":[2]}',
    '[3]',
    '"x"',
    '4',
    'true',
    '{}',
  ]);
  assert.deepEqual(cut(' \n\t '), []);
  assert.deepEqual(cut(''), []);
});

test('a value is there with its last byte, not before and not later', () => {
  const values = new JsonValues();
  assert.deepEqual(values.add(Buffer.from('{"a":"}')), []);
  assert.deepEqual(values.add(Buffer.from('"')), []);
  assert.deepEqual(values.add(Buffer.from('}{')), ['{"a":"}"}']);
  assert.equal(values.rest(), '{');
});

test('brackets and quotes in strings are text', () => {
  assert.deepEqual(cut('{"]}":"\\"}{"}', '["\\\\"]'), ['{"]}":"\\"}{"}', '["\\\\"]']);
});

test('what can not become a value is told with the piece that it begins in', () => {
  for (const text of ['{bad', '{,', '[1 2', '}', ']', '{"a" 1', 'tru!', ',', '{"a":1}{bad']) {
    const values = new JsonValues();
    assert.throws(() => {
      for (const value of [...values.add(Buffer.from(text)), values.rest()])
        if (value !== '') JSON.parse(value);
    }, `${text}`);
  }
  assert.throws(() => new JsonValues().add(Buffer.from('{bad')), JsonError);
});

test('however a stream is cut into pieces, within characters too, its values are the same', () => {
  const streams = fc.array(fc.tuple(fc.json(), fc.constantFrom(' ', '\n', '\r\n\t')), { maxLength: 8 });
  fc.assert(
    fc.property(streams, fc.array(fc.nat(), { maxLength: 20 }), (values, cuts) => {
      const stream = Buffer.from(values.flat().join(''));
      const places = [0, ...cuts.map((place) => place % (stream.length + 1)), stream.length];
      places.sort((a, b) => a - b);
      const pieces = places.slice(1).map((place, i) => stream.subarray(places[i], place));
      assert.deepEqual(
        cut(...pieces),
        values.map(([text]) => Buffer.from(text).toString()),
      );
    }),
  );
});

test('S17 a long value that comes byte by byte is looked at once for each byte', () => {
  const values = new JsonValues();
  const value = Buffer.from(`{"a":"${'x'.repeat(300_000)}"}`);
  const texts: string[] = [];
  for (let at = 0; at < value.length; at++) texts.push(...values.add(value.subarray(at, at + 1)));
  assert.deepEqual(texts, [value.toString()]);
});
