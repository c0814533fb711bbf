import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMetadataValue, encodeMetadataValue } from './metadata.ts';
import { codeFromHttpStatus, codeFromReset, decodeGrpcMessage, encodeGrpcMessage, quote } from './status.ts';
import { formatTimeout, parseTimeout, timeoutError } from './timeout.ts';

test('timeouts are parsed as the protocol says', () => {
  for (const [text, timeoutMs] of [
    ['1n', 1e-6],
    ['5000000u', 5000],
    ['250m', 250],
    ['3S', 3000],
    ['2M', 120_000],
    ['1H', 3_600_000],
    ['99999999H', 99_999_999 * 3_600_000],
    ['0m', 0],
  ] as const) {
    assert.equal(parseTimeout(text), timeoutMs, text);
  }
  for (const text of ['', 'm', '5', '5x', '-1m', '1.5S', ' 1m', '123456789m', '1mm', 'abcm']) {
    assert.equal(parseTimeout(text), -1, text);
    assert.match(timeoutError(text), /^malformed grpc-timeout: /);
  }
});

test('a formatted timeout is at least what was asked for, and less than a part in a million more', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), (timeoutMs) => {
      const text = formatTimeout(timeoutMs);
      assert.ok(text.length <= 9);
      const parsed = parseTimeout(text);
      assert.ok(parsed >= timeoutMs * (1 - 1e-9), `${timeoutMs} ${text}`);
      assert.ok(parsed <= timeoutMs * (1 + 1e-5) + 1e-6, `${timeoutMs} ${text}`);
    }),
  );
  assert.equal(formatTimeout(0), '0n');
  assert.equal(formatTimeout(-5), '0n');
  assert.equal(formatTimeout(1e300), '99999999H');
});

test('messages survive percent-encoding, and broken encodings are taken as they are', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (message) => {
      const encoded = encodeGrpcMessage(message);
      assert.match(encoded, /^[ -~]*$/);
      assert.equal(decodeGrpcMessage(encoded), message.toWellFormed());
    }),
  );
  assert.equal(decodeGrpcMessage('100%'), '100%');
  assert.equal(decodeGrpcMessage('%zz%4'), '%zz%4');
  assert.equal(decodeGrpcMessage('%41%'), 'A%');
});

test('quoting is Go’s', () => {
  assert.equal(quote('plain'), '"plain"');
  assert.equal(quote('a"b\\c\n\t\x00\x7f'), '"a\\"b\\\\c\\n\\t\\x00\\x7f"');
  assert.equal(quote(Buffer.from('ключ').toString('latin1')), '"ключ"');
  assert.equal(quote('a\xff'), '"a\\xff"');
});

test('binary metadata survives, with and without padding', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const value = Buffer.from(bytes).toString('latin1');
      const encoded = encodeMetadataValue('x-bin', value);
      assert.equal(decodeMetadataValue('x-bin', encoded), value);
      assert.equal(decodeMetadataValue('x-bin', Buffer.from(bytes).toString('base64')), value);
    }),
  );
  for (const bad of ['a', 'ab=', '====', 'a b=', 'ab==c', '-_-_', 'abcde']) {
    assert.equal(decodeMetadataValue('x-bin', bad), null, bad);
  }
  assert.equal(encodeMetadataValue('x', 'as it is'), 'as it is');
});

test('codes of resets and of HTTP', () => {
  assert.deepEqual([0, 1, 3, 7, 8, 11, 12, 13, 99].map(codeFromReset), [13, 13, 8, 14, 1, 8, 7, 13, 2]);
  assert.deepEqual(
    [400, 401, 403, 404, 429, 502, 503, 504, 200].map(codeFromHttpStatus),
    [13, 16, 7, 12, 14, 14, 14, 14, 2],
  );
});
