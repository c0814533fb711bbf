import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeKeyValue, encodeKeyValue, KeyValue } from '@etcd/api/mvccpb';
import fc from 'fast-check';
import { KeyValueParts, KeyValueView, sizeKeyValue, writeKeyValue } from './key-value.ts';

const counter = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 28, 2 ** 31, 2 ** 32, 2 ** 35, 2 ** 42),
);
const anyKeyValue = fc
  .record({
    key: fc.uint8Array({ maxLength: 80 }),
    createRevision: counter,
    modRevision: counter,
    version: counter,
    value: fc.uint8Array({ maxLength: 200 }),
    lease: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  })
  .map((fields) => new KeyValue(fields));

function partsOf(kv: KeyValue, margin: number): KeyValueParts {
  const pad = (bytes: Uint8Array): Uint8Array =>
    Buffer.concat([Buffer.alloc(margin, 7), bytes, Buffer.alloc(margin, 7)]);
  const parts = new KeyValueParts();
  parts.key = pad(kv.key);
  parts.keyStart = margin;
  parts.keyEnd = margin + kv.key.length;
  parts.value = pad(kv.value);
  parts.valueStart = margin;
  parts.valueEnd = margin + kv.value.length;
  parts.createRevision = kv.createRevision;
  parts.modRevision = kv.modRevision;
  parts.version = kv.version;
  parts.lease = kv.lease;
  return parts;
}

test('a KeyValue is written as the codec of messages writes it', () => {
  fc.assert(
    fc.property(anyKeyValue, fc.nat(3), (kv, margin) => {
      const parts = partsOf(kv, margin);
      const target = new Uint8Array(sizeKeyValue(parts) + 5);
      assert.equal(writeKeyValue(parts, target, 5), target.length);
      assert.deepEqual(target.subarray(5), encodeKeyValue(kv));
    }),
  );
});

test('a KeyValue is read in place as the codec of messages reads it', () => {
  const view = new KeyValueView();
  fc.assert(
    fc.property(anyKeyValue, fc.nat(5), (kv, margin) => {
      const encoded = encodeKeyValue(kv);
      const buffer = new Uint8Array(encoded.length + margin * 2).fill(0xff);
      buffer.set(encoded, margin);
      assert.ok(view.parse(buffer, margin, margin + encoded.length));
      assert.deepEqual(buffer.slice(view.keyStart, view.keyEnd), kv.key);
      assert.deepEqual(buffer.slice(view.valueStart, view.valueEnd), kv.value);
      assert.deepEqual(
        [view.createRevision, view.modRevision, view.version, view.lease],
        [kv.createRevision, kv.modRevision, kv.version, kv.lease],
      );
    }),
  );
});

test('S17 arbitrary and damaged bytes are refused or read as the codec reads them', () => {
  const view = new KeyValueView();
  const damaged = fc.tuple(anyKeyValue, fc.nat(), fc.nat(255)).map(([kv, at, byte]) => {
    const bytes = encodeKeyValue(kv);
    if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), damaged), (bytes) => {
      if (!view.parse(bytes, 0, bytes.length)) return;
      assert.ok(view.keyStart <= view.keyEnd && view.keyEnd <= bytes.length);
      assert.ok(view.valueStart <= view.valueEnd && view.valueEnd <= bytes.length);
      const kv = decodeKeyValue(bytes);
      assert.deepEqual(bytes.slice(view.keyStart, view.keyEnd), Uint8Array.from(kv.key));
    }),
    { numRuns: 1000 },
  );
});
