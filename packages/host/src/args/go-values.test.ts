import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatGoDuration, parseGoDuration } from './go-duration.ts';
import { clampToSafeNumber, GO_INTEGER_RANGES, parseGoBool, parseGoInteger } from './go-number.ts';

test('durations are read in every unit and combination that Go has', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['+0', 0],
    ['5s', 5000],
    ['-5s', -5000],
    ['1h2m3.5s', 3_723_500],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['5.s', 5000],
    ['300ms', 300],
    ['10us', 0.01],
    ['10µs', 0.01],
    ['1ns', 1e-6],
    ['600000000000ns', 600_000],
    ['2562047h47m16.854775807s', 9_223_372_036_854.775],
  ];
  for (const [text, durationMs] of cases) assert.equal(parseGoDuration(text).durationMs, durationMs, text);
});

test('what is no duration is refused in the words of Go', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'time: invalid duration ""'],
    ['abc', 'time: invalid duration "abc"'],
    ['-', 'time: invalid duration "-"'],
    ['.s', 'time: invalid duration ".s"'],
    ['5', 'time: missing unit in duration "5"'],
    ['-1', 'time: missing unit in duration "-1"'],
    ['1.5', 'time: missing unit in duration "1.5"'],
    ['1h5', 'time: missing unit in duration "1h5"'],
    ['99999999999999999999', 'time: invalid duration "99999999999999999999"'],
    ['5d', 'time: unknown unit "d" in duration "5d"'],
    ['5 s', 'time: unknown unit " s" in duration "5 s"'],
    ['9223372036854775808ns', 'time: invalid duration "9223372036854775808ns"'],
    ['99999999999999999999999h', 'time: invalid duration "99999999999999999999999h"'],
  ];
  for (const [text, error] of cases) assert.equal(parseGoDuration(text).error, error);
});

test('durations are printed as Go prints them', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [1e-6, '1ns'],
    [0.0015, '1.5µs'],
    [1.083885, '1.083885ms'],
    [100, '100ms'],
    [1000, '1s'],
    [1500, '1.5s'],
    [10_000, '10s'],
    [60_000, '1m0s'],
    [7_200_000, '2h0m0s'],
    [3_723_500, '1h2m3.5s'],
    [-5000, '-5s'],
  ];
  for (const [durationMs, text] of cases) assert.equal(formatGoDuration(durationMs), text);
});

test('a printed duration reads back as itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e12 }), (microseconds) => {
      const durationMs = microseconds / 1000;
      const back = parseGoDuration(formatGoDuration(durationMs)).durationMs;
      assert.ok(back !== undefined && Math.abs(back - durationMs) < 1e-3);
    }),
  );
});

test('booleans have twelve spellings', () => {
  for (const text of ['1', 't', 'T', 'true', 'TRUE', 'True']) assert.equal(parseGoBool(text), true);
  for (const text of ['0', 'f', 'F', 'false', 'FALSE', 'False']) assert.equal(parseGoBool(text), false);
  for (const text of ['', 'yes', 'tRUE', '2', ' true']) assert.equal(parseGoBool(text), null);
});

test('S19 integers are read in every base of Go and checked against the range of their type', () => {
  assert.equal(parseGoInteger('0', 'uint').value, 0n);
  assert.equal(parseGoInteger('0x1f', 'uint').value, 31n);
  assert.equal(parseGoInteger('0b101', 'uint').value, 5n);
  assert.equal(parseGoInteger('0o17', 'uint').value, 15n);
  assert.equal(parseGoInteger('017', 'uint').value, 15n);
  assert.equal(parseGoInteger('0x_ff_ff', 'uint').value, 65_535n);
  assert.equal(parseGoInteger('1_000', 'uint').value, 1000n);
  assert.equal(parseGoInteger('-5', 'int').value, -5n);
  assert.equal(parseGoInteger('+5', 'int').value, 5n);
  for (const text of [
    '',
    'abc',
    '1.5',
    '1e3',
    '1__0',
    '1_',
    '_1',
    '0x',
    '09',
    ' 1',
    '1 ',
    '--1',
    '100 # ms',
  ]) {
    assert.equal(parseGoInteger(text, 'int').problem, 'syntax', text);
  }
  assert.equal(parseGoInteger('-1', 'uint').problem, 'syntax');
  assert.equal(parseGoInteger('9'.repeat(400), 'uint').problem, 'range');
  for (const type of ['int', 'int64', 'uint', 'uint32', 'uint64'] as const) {
    const { min, max } = GO_INTEGER_RANGES[type];
    assert.equal(parseGoInteger(String(max), type).value, max);
    assert.equal(parseGoInteger(String(max + 1n), type).problem, 'range');
    assert.equal(parseGoInteger(String(min), type).value, min);
  }
});

test('any decimal integer in range reads as itself', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      assert.equal(parseGoInteger(String(value), 'int64').value, value);
    }),
  );
});

test('integers beyond the safe range become its bounds', () => {
  assert.equal(clampToSafeNumber(2n ** 64n - 1n), Number.MAX_SAFE_INTEGER);
  assert.equal(clampToSafeNumber(-(2n ** 63n)), Number.MIN_SAFE_INTEGER);
  assert.equal(clampToSafeNumber(42n), 42);
});
