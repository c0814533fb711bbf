import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poisonMemory, SeededRandom } from '@etcd/base';
import { CHUNK_BYTES, EnvelopeMemory } from './envelope-memory.ts';

poisonMemory();

function give(memory: EnvelopeMemory, size: number, byte: number): Uint8Array {
  const at = memory.reserve(size);
  const envelope = memory.bytes.subarray(at, at + size);
  envelope.fill(byte);
  return envelope;
}

test('envelopes keep what was written into them until they are released, and their memory is used again', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new SeededRandom(seed);
    const memory = new EnvelopeMemory();
    const buffers = new Set<ArrayBufferLike>();
    const live: { readonly envelope: Uint8Array; readonly byte: number }[] = [];
    for (let i = 0; i < 20_000; i++) {
      const byte = i & 0x7f;
      const envelope = give(memory, 1 + random.below(5000), byte);
      buffers.add(envelope.buffer);
      live.push({ envelope, byte });
      // As the log lets go of its head: many at once, in order.
      if (live.length < 600) continue;
      for (const { envelope: old, byte: expected } of live.splice(0, 256)) {
        assert.ok(old[0] === expected && old.at(-1) === expected, 'it was written over while it was held');
        memory.release(old);
      }
    }
    // 600 envelopes are 12 chunks; those that are partly released come on top.
    assert.ok(buffers.size < 30, `${buffers.size} chunks for 20,000 envelopes`);
  }
});

test('a chunk is not used again while one of its envelopes is out', () => {
  const memory = new EnvelopeMemory();
  const held = give(memory, 100, 1);
  for (let i = 0; i < 1000; i++) memory.release(give(memory, 4000, 2));
  assert.ok(held.every((byte) => byte === 1));
  memory.release(held);
  assert.ok(
    held.every((byte) => byte === 0xdb),
    'poisoned when it is released',
  );
});

test('large envelopes have memory of their own; what is no envelope is nothing to release', () => {
  const memory = new EnvelopeMemory();
  const large = give(memory, CHUNK_BYTES, 3);
  assert.equal(large.buffer.byteLength, CHUNK_BYTES);
  memory.release(large);
  memory.release(new Uint8Array(10));
  assert.ok(large.every((byte) => byte === 3));
});

test('an envelope is released once', () => {
  const memory = new EnvelopeMemory();
  const envelope = give(memory, 100, 1);
  memory.release(envelope);
  assert.throws(() => memory.release(envelope), /released twice/);
});
