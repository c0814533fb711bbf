import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCollectorAddress } from './collector-address.ts';

test('a collector is a host or an address, with a port or gRPC’s own', () => {
  for (const [text, host, port] of [
    ['localhost:4317', 'localhost', 4317],
    ['10.0.0.1:1', '10.0.0.1', 1],
    ['[::1]:65535', '::1', 65_535],
    ['[fe80::1]', 'fe80::1', 443],
    ['collector.example', 'collector.example', 443],
  ] as const) {
    assert.deepEqual(parseCollectorAddress(text), { host, port }, text);
  }
});

test('S19 what is no address is none', () => {
  for (const text of [
    '',
    ':4317',
    'http://c:4317',
    'c:0',
    'c:65536',
    'c:-1',
    'c:x',
    '::1',
    '[::1',
    'c:1:2',
    'c d:1',
    '[c]:1',
  ]) {
    assert.equal(parseCollectorAddress(text), null, text);
  }
});
