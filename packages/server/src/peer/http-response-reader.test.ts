import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerCodecError } from './codec-error.ts';
import { HttpResponseReader } from './http-response-reader.ts';

interface Read {
  status: number;
  headers: Record<string, string>;
  body: string;
  ended: boolean;
  whole: boolean;
}

function read(text: string, pieceBytes = text.length): Read {
  const result: Read = { status: 0, headers: {}, body: '', ended: false, whole: false };
  const reader = new HttpResponseReader({
    onHead: ({ status, headers }) => Object.assign(result, { status, headers: Object.fromEntries(headers) }),
    onBody: (bytes, start, end) =>
      (result.body += Buffer.from(bytes.subarray(start, end)).toString('latin1')),
    onEnd: () => (result.ended = true),
  });
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = Uint8Array.from(bytes.subarray(at, at + pieceBytes));
    reader.push(piece, piece.length);
  }
  result.whole = reader.end();
  return result;
}

const CHUNKED = [
  'HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.30\r\nTransfer-Encoding: chunked\r\n\r\n',
  '5\r\nhello\r\n',
  '00000007;ext=1\r\n, world\r\n',
  '1\r\n!\r\n',
  '0\r\nTrailer: x\r\n\r\n',
].join('');

test('chunks come out as one body, wherever the connection cuts them', () => {
  for (let piece = 1; piece <= CHUNKED.length; piece++) {
    const { status, headers, body, ended, whole } = read(CHUNKED, piece);
    assert.equal(status, 200);
    assert.equal(headers['x-server-version'], '3.5.30');
    assert.equal(body, 'hello, world!');
    assert.ok(ended && whole);
  }
});

test('a body ends with its length, or with the connection', () => {
  const long = 'HTTP/1.1 410 Gone\r\nContent-Length: 15\r\n\r\nremoved member\n';
  for (const piece of [1, 7, long.length]) {
    const { status, body, ended } = read(long, piece);
    assert.deepEqual({ status, body, ended }, { status: 410, body: 'removed member\n', ended: true });
  }
  const open = read('HTTP/1.0 404 Not Found\r\n\r\nwhatever');
  assert.deepEqual([open.body, open.ended, open.whole], ['whatever', true, true]);
  assert.equal(read('HTTP/1.1 204 No Content\r\n\r\n').ended, true);
});

test('a response that is cut off is not whole', () => {
  for (let length = 1; length < CHUNKED.length; length++) {
    assert.equal(read(CHUNKED.slice(0, length)).whole, false, `after ${length} bytes`);
  }
});

test('S17 S18 heads, chunk sizes and lines have limits, and what is no HTTP is an error', () => {
  const bad = [
    'SSH-2.0-OpenSSH_9.6\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`,
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${'e'.repeat(1000)}\r\n`,
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'t'.repeat(1000)}\r\n`,
  ];
  for (const text of bad) {
    for (const piece of [1, text.length]) {
      assert.throws(() => read(text, piece), PeerCodecError, text.slice(0, 100));
    }
  }
});
