import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FEATURE_NAMES, FEATURES, parseFeatureGates } from './feature-gates.ts';
import type { FlagKind, FlagSpec } from './flag-spec.ts';
import { mayStandAlone } from './flag-spec.ts';
import { parseFlagValue } from './flag-value.ts';

function spec(kind: FlagKind, values: readonly string[] = []): FlagSpec {
  return {
    name: 'x',
    kind,
    defaultText: kind === 'urls' ? 'http://localhost:1' : '',
    section: 'other',
    help: '',
    configKey: 'x',
    values,
    secret: false,
    lastRelease: null,
  };
}

/** Its value, URLs as texts, or its refusal. */
function read(kind: FlagKind, text: string, values?: readonly string[]): unknown {
  const { parsed, error } = parseFlagValue(spec(kind, values), text);
  if (parsed === undefined) return error;
  return parsed.kind === 'urls' ? parsed.value.map((url) => url.text) : parsed.value;
}

const MAX = Number.MAX_SAFE_INTEGER;

test('booleans are what Go takes for one', () => {
  for (const text of ['1', 't', 'T', 'true', 'TRUE', 'True']) assert.equal(read('bool', text), true, text);
  for (const text of ['0', 'f', 'F', 'false', 'FALSE', 'False'])
    assert.equal(read('bool', text), false, text);
  for (const text of ['', 'yes', 'tRUE', ' true', '2']) assert.equal(read('bool', text), 'parse error', text);
});

test('S19 integers have the range of their type and the notations of Go, and never lose their order', () => {
  const cases: readonly [FlagKind, string, number | string][] = [
    ['int', '-5', -5],
    ['int', '+5', 5],
    ['int', '0x10', 16],
    ['int', '0b101', 5],
    ['int', '0o17', 15],
    ['int', '1_000', 1000],
    ['int', '', 'parse error'],
    ['int', '1e3', 'parse error'],
    ['int', ' 1', 'parse error'],
    ['int', '9223372036854775807', MAX],
    ['int', '9223372036854775808', 'value out of range'],
    ['int64', '-9223372036854775808', -MAX],
    ['int64', '-9223372036854775809', 'value out of range'],
    ['uint', '-1', 'parse error'],
    ['uint', '18446744073709551615', MAX],
    ['uint64', '18446744073709551615', MAX],
    ['uint64', '18446744073709551616', 'value out of range'],
    ['uint32', '4294967295', 4_294_967_295],
    ['uint32', '4294967296', 'strconv.ParseUint: parsing "4294967296": value out of range'],
    ['uint32', '-1', 'strconv.ParseUint: parsing "-1": invalid syntax'],
  ];
  for (const [kind, text, value] of cases) assert.equal(read(kind, text), value, `${kind} ${text}`);
});

test('durations are Go’s, in milliseconds', () => {
  const cases: readonly [string, number | string][] = [
    ['0', 0],
    ['1h2m3s', 3_723_000],
    ['1.5s', 1500],
    ['100ms', 100],
    ['500us', 0.5],
    ['-2s', -2000],
    ['5', 'parse error'],
    ['', 'parse error'],
    ['1 s', 'parse error'],
    ['1d', 'parse error'],
    ['1s2', 'parse error'],
    ['9999999h', 'parse error'],
  ];
  for (const [text, value] of cases) assert.equal(read('duration', text), value, text);
});

test('lists of URLs are sorted; an empty text leaves the default', () => {
  assert.deepEqual(read('urls', 'http://b:1,http://a:1'), ['http://a:1', 'http://b:1']);
  assert.deepEqual(read('urls', ''), ['http://localhost:1']);
  for (const text of ['a', 'http://a', 'http://a:1/p', 'http://a:1,', 'ftp://a:1']) {
    assert.equal(typeof read('urls', text), 'string', text);
  }
});

test('origins are URLs or everything, lists as they are, sets sorted and each once', () => {
  assert.deepEqual(read('origins', '*'), ['*']);
  assert.deepEqual(read('origins', 'http://a:1'), ['http://a:1']);
  assert.equal(typeof read('origins', 'a'), 'string');
  assert.deepEqual(read('strings', 'b,a,b'), ['b', 'a', 'b']);
  assert.deepEqual(read('strings', ''), []);
  assert.deepEqual(read('string-set', 'b,a,b'), ['a', 'b']);
  assert.deepEqual(read('string-set', ''), []);
});

test('a choice is one of its values, word by word; a list of choices all of them', () => {
  const values = ['new', 'existing'];
  assert.equal(read('one-of', 'new', values), 'new');
  for (const text of ['', 'New', 'new,existing', ' new']) {
    assert.equal(read('one-of', text, values), 'invalid value', text);
  }
  assert.equal(read('some-of', 'new,existing', values), 'new,existing');
  assert.equal(read('some-of', 'new,other', values), 'invalid value "other"');
});

test('only booleans and what is ignored stand without a value', () => {
  const kinds: readonly FlagKind[] = ['bool', 'ignored', 'int', 'string', 'urls', 'one-of', 'feature-gates'];
  assert.deepEqual(kinds.filter(mayStandAlone), ['bool', 'ignored']);
});

test('gates have the value that they are given, by name before stage before default', () => {
  const gates = (text: string) => parseFeatureGates(text).gates!;
  for (const name of FEATURE_NAMES) {
    assert.equal(gates('')[name], FEATURES[name].defaultValue, name);
    for (const value of [true, false]) assert.equal(gates(`${name}=${value}`)[name], value, name);
  }
  const allBeta = gates('AllBeta=false');
  const allAlpha = gates('AllAlpha=true,LeaseCheckpoint=false');
  for (const name of FEATURE_NAMES) {
    if (name === 'AllAlpha' || name === 'AllBeta') continue;
    const isBeta = FEATURES[name].stage === 'BETA';
    assert.equal(allBeta[name], isBeta ? false : FEATURES[name].defaultValue, name);
    if (!isBeta) assert.equal(allAlpha[name], name !== 'LeaseCheckpoint', name);
  }
});

test('gates may have spaces around them and come twice; what is no gate or no value is refused', () => {
  assert.equal(parseFeatureGates(' LeaseCheckpoint = true ,').gates!.LeaseCheckpoint, true);
  assert.equal(parseFeatureGates('LeaseCheckpoint=true,LeaseCheckpoint=false').gates!.LeaseCheckpoint, false);
  for (const [text, error] of [
    ['LeaseCheckpoint', 'missing bool value for LeaseCheckpoint'],
    [
      'LeaseCheckpoint=on',
      'invalid value of LeaseCheckpoint=on, err: strconv.ParseBool: parsing "on": invalid syntax',
    ],
    ['leasecheckpoint=true', 'unrecognized feature gate: leasecheckpoint'],
    ['constructor=true', 'unrecognized feature gate: constructor'],
    ['__proto__=true', 'unrecognized feature gate: __proto__'],
  ] as const) {
    assert.equal(parseFeatureGates(text).error, error);
  }
});
