import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gatewayTimeout, NO_TIMEOUT } from './gateway-timeout.ts';

test('a timeout is a number of hours, minutes, seconds or parts of a second', () => {
  const times: Readonly<Record<string, number>> = {
    '2H': 7_200_000,
    '3M': 180_000,
    '4S': 4000,
    '+5m': 5,
    '250u': 0.25,
    '500n': 0.0005,
    '-1S': -1000,
    '123456789012m': 123_456_789_012,
  };
  for (const [text, ms] of Object.entries(times)) assert.equal(gatewayTimeout(text), ms, text);
});

test('none is none, and so is zero', () => {
  for (const text of ['', '0S', '-0n']) assert.equal(gatewayTimeout(text), NO_TIMEOUT, text);
});

test('what is no time is told apart', () => {
  for (const text of ['x', '1', 'S', '1s', '1.5S', ' 1S', '1 S', '0x1S', '9223372036854775808n', '--1S']) {
    assert.equal(gatewayTimeout(text), null, text);
  }
});
