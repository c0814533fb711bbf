import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEtcdUrl, parseUrlList, parseUrls, unixSocketPath, urlTexts } from './etcd-url.ts';

test('a URL is taken apart and keeps its canonical text', () => {
  const { url } = parseEtcdUrl('HTTP://127.0.0.1:2379');
  assert.deepEqual(url, {
    scheme: 'http',
    host: '127.0.0.1:2379',
    hostname: '127.0.0.1',
    port: '2379',
    path: '',
    text: 'http://127.0.0.1:2379',
  });
});

test('IPv6 hosts lose their brackets in the host name only', () => {
  const { url } = parseEtcdUrl('https://[::1]:2380');
  assert.equal(url?.hostname, '::1');
  assert.equal(url?.host, '[::1]:2380');
  assert.equal(url?.text, 'https://[::1]:2380');
});

test('user information, query and an empty port are kept in the text', () => {
  assert.equal(parseEtcdUrl('http://user:pw@foo:1').url?.hostname, 'foo');
  assert.equal(parseEtcdUrl('http://user:pw@foo:1').url?.text, 'http://user:pw@foo:1');
  assert.equal(parseEtcdUrl('http://127.0.0.1:0?x=y').url?.text, 'http://127.0.0.1:0?x=y');
  assert.equal(parseEtcdUrl('http://127.0.0.1:').url?.port, '');
});

test('a unix socket is named by whatever follows the scheme', () => {
  assert.equal(unixSocketPath(parseEtcdUrl('unix://sock:1').url!), 'sock:1');
  assert.equal(unixSocketPath(parseEtcdUrl('unix:///run/etcd.sock').url!), '/run/etcd.sock');
  assert.equal(unixSocketPath(parseEtcdUrl('unix:/run/etcd.sock').url!), '/run/etcd.sock');
  assert.equal(parseEtcdUrl('unix:///run/etcd.sock').url?.text, 'unix:///run/etcd.sock');
});

test('what is no URL of etcd is refused in its words', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['ftp://1.2.3.4:5', 'URL scheme must be http, https, unix, or unixs: ftp://1.2.3.4:5'],
    ['localhost:2379', 'URL scheme must be http, https, unix, or unixs: localhost:2379'],
    ['', 'URL scheme must be http, https, unix, or unixs: '],
    ['foo', 'URL scheme must be http, https, unix, or unixs: foo'],
    ['http://localhost', 'URL address does not have the form "host:port": http://localhost'],
    ['http://localhost:23/x', 'URL must not contain a path: http://localhost:23/x'],
    ['http://localhost:23/', 'URL must not contain a path: http://localhost:23/'],
    ['http://a b:23', 'parse "http://a b:23": invalid character " " in host name'],
    ['http://::1:0', 'parse "http://::1:0": invalid port "::1:0" after host'],
    ['http://localhost:abc', 'parse "http://localhost:abc": invalid port ":abc" after host'],
    ['127.0.0.1:2379', 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon'],
    ['%zz', 'parse "%zz": invalid URL escape "%zz"'],
    [':1', 'parse ":1": missing protocol scheme'],
    ['http://[::1', `parse "http://[::1": missing ']' in host`],
    ['http://a:1\n', 'parse "http://a:1\\n": net/url: invalid control character in URL'],
  ];
  for (const [text, error] of cases) assert.equal(parseEtcdUrl(text).error, error);
});

test('a list is trimmed, sorted and free of duplicates', () => {
  const { urls } = parseUrlList('http://b:1, http://a:2,http://b:1');
  assert.deepEqual(urlTexts(urls!), ['http://a:2', 'http://b:1']);
  assert.deepEqual(urlTexts(parseUrls(['http://b:1', 'http://b:1']).urls!), ['http://b:1', 'http://b:1']);
  assert.equal(
    parseUrlList('http://a:1,,http://b:1').error,
    'URL scheme must be http, https, unix, or unixs: ',
  );
});

test('S17 any text gives a URL or an error, and a URL parses back to itself', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.string().map((s) => `http://${s}:1`),
      ),
      (text) => {
        const { url, error } = parseEtcdUrl(text);
        if (error !== undefined) return;
        assert.equal(parseEtcdUrl(url.text).url?.text, url.text);
      },
    ),
  );
});
