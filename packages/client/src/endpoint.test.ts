import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEndpoint } from './endpoint.ts';
import { ClientError } from './errors.ts';

test('an endpoint is read with and without scheme, port and brackets', () => {
  const read = (text: string): unknown[] => {
    const { isSecure, host, port, path, authority } = parseEndpoint(text);
    return [isSecure, path ?? `${host} ${port}`, authority];
  };
  assert.deepEqual(read('a.b:1234'), [null, 'a.b 1234', 'a.b:1234']);
  assert.deepEqual(read('a.b'), [null, 'a.b 2379', 'a.b:2379']);
  assert.deepEqual(read('http://10.0.0.1:1'), [false, '10.0.0.1 1', '10.0.0.1:1']);
  assert.deepEqual(read('https://h'), [true, 'h 2379', 'h:2379']);
  assert.deepEqual(read('https://h:5/'), [true, 'h 5', 'h:5']);
  assert.deepEqual(read('[::1]:7'), [null, '::1 7', '[::1]:7']);
  assert.deepEqual(read('[fe80::1]'), [null, 'fe80::1 2379', '[fe80::1]:2379']);
  assert.deepEqual(read('fe80::1'), [null, 'fe80::1 2379', '[fe80::1]:2379']);
  assert.deepEqual(read('http://[::1]:7'), [false, '::1 7', '[::1]:7']);
  assert.deepEqual(read(':2380'), [null, 'localhost 2380', 'localhost:2380']);
  assert.deepEqual(read('unix:///run/etcd.sock'), [false, '/run/etcd.sock', '/run/etcd.sock']);
  assert.deepEqual(read('unix://localhost:1'), [false, 'localhost:1', 'localhost:1']);
  assert.deepEqual(read('unixs:///s'), [true, '/s', '/s']);
});

test('what is no endpoint is refused by name', () => {
  for (const text of ['ftp://h', 'h:99999', 'h:port', 'http://a:b:c', 'unix://', '[::1', 'a b://x']) {
    assert.throws(
      () => parseEndpoint(text),
      (error) =>
        error instanceof ClientError && error.code === 'bad-endpoint' && error.message.includes(text),
      text,
    );
  }
});
