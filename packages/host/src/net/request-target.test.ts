import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTarget } from './request-target.ts';

const pathOf = (target: string): string | undefined => readTarget('GET', target)?.path;
const locationOf = (target: string): string | null | undefined => readTarget('GET', target)?.location;

test('a path with a query is what it says', () => {
  assert.deepEqual(readTarget('GET', '/v3/kv/range?a=%zz&b'), {
    path: '/v3/kv/range',
    route: '/v3/kv/range',
    query: 'a=%zz&b',
    host: null,
    location: null,
  });
});

test('of a whole URI the path counts, and its host is known', () => {
  for (const target of ['http://a:99/health?x', 'HTTPS://a:99/health?x', 'ftp://user:pass@a:99/health?x']) {
    const read = readTarget('GET', target);
    assert.deepEqual(
      [read?.path, read?.query, read?.host, read?.location],
      ['/health', 'x', 'a:99', null],
      target,
    );
  }
  assert.equal(readTarget('GET', 'http://[::1]:2379/health')?.host, '[::1]:2379');
  assert.equal(readTarget('GET', 'http:///health')?.host, '');
  assert.equal(locationOf('http://a'), '/');
  assert.equal(locationOf('http://a?b=c'), '/?b=c');
  assert.equal(locationOf('mailto:a'), '/');
});

test('escapes are resolved; an escaped slash parts nothing', () => {
  const read = readTarget('GET', '/v3/kv%2Frange');
  assert.deepEqual([read?.path, read?.route], ['/v3/kv/range', '/v3/kv%2Frange']);
  assert.equal(pathOf('/%68ealth'), '/health');
  assert.equal(pathOf('/a%C3%A9'), '/a\u00e9');
  assert.equal(pathOf('/a%FF'), '/a\ufffd');
  assert.equal(locationOf('/%2e%2e/health'), null);
});

test('empty parts and dots are not what was meant', () => {
  const meant: Readonly<Record<string, string>> = {
    '//v3/kv/range': '/v3/kv/range',
    '/v3//kv/range?x=1': '/v3/kv/range?x=1',
    '/v3/kv/range//': '/v3/kv/range/',
    '/v3/./kv/../kv/range': '/v3/kv/range',
    '/../../health': '/health',
    '/v3/..': '/',
    '//': '/',
    '/.?': '/?',
    // As Go escapes once more what was escaped.
    '//a%20b': '/a%2520b',
    '//a;b,c:d@e&f=g$!*()~': '/a;b,c:d@e&f=g$%21%2A%28%29~',
    '//a\'b"c<d>': '/a%2527b%2522c%253Cd%253E',
  };
  for (const [target, location] of Object.entries(meant)) assert.equal(locationOf(target), location, target);
  for (const target of ['/', '/a/', '/a.b/.c', '/a+b', '/a|b', '/...'])
    assert.equal(locationOf(target), null, target);
});

test('what is no target is none', () => {
  const bad = [
    '',
    '?',
    'health',
    '/a%',
    '/a%z0',
    '//%',
    'http://a b/',
    'http://[::1/',
    'http://a:b/',
    ':8080/',
    '1a://x/',
  ];
  for (const target of bad) assert.equal(readTarget('GET', target), null, target);
});

test('a tunnel is asked for by host and port, or by a path that is left as it is', () => {
  assert.deepEqual([readTarget('CONNECT', 'a:80')?.host, readTarget('CONNECT', 'a:80')?.path], ['a:80', '']);
  assert.equal(readTarget('CONNECT', '//v3')?.location, null);
  assert.equal(readTarget('CONNECT', 'a b'), null);
});

test('S17 a long target is read in time that grows with its length', () => {
  for (const piece of ['/', '/a', '/.', '/..', '%2F', '/%2e', 'a.', "'", '/~-']) {
    const target = `/${piece.repeat(20_000)}`;
    assert.notEqual(readTarget('GET', `${target}|`), null, piece);
  }
});
