import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { Arena, SLAB_UNIT_BITS, UNIT_MASK } from './arena.ts';

test('blocks never overlap, and hold what was written to them until they are freed', () => {
  const random = new SeededRandom(1);
  const arena = new Arena();
  const blocks = new Map<number, { readonly size: number; readonly mark: number }>();
  const bytesOf = (ref: number, size: number): Uint8Array =>
    arena.u8[ref >>> SLAB_UNIT_BITS]!.subarray((ref & UNIT_MASK) * 8, (ref & UNIT_MASK) * 8 + size);
  const check = (ref: number): void => {
    const { size, mark } = blocks.get(ref)!;
    assert.ok(bytesOf(ref, size).every((byte) => byte === mark));
  };
  for (let step = 0; step < 20_000; step++) {
    if (blocks.size < 500 || random.chance(0.5)) {
      const large = random.chance(0.002) ? random.below(2_000_000) : random.below(3000);
      const size = 1 + (random.chance(0.9) ? random.below(200) : large);
      const ref = arena.allocate(size);
      assert.ok(ref > 0 && !blocks.has(ref));
      bytesOf(ref, size).fill(step & 0xff);
      blocks.set(ref, { size, mark: step & 0xff });
    } else {
      const ref = random.pick([...blocks.keys()]);
      check(ref);
      arena.free(ref, blocks.get(ref)!.size);
      blocks.delete(ref);
    }
  }
  for (const ref of blocks.keys()) check(ref);
  const { slabBytes } = arena;
  for (const [ref, { size }] of blocks) arena.free(ref, size);
  assert.equal(arena.usedBytes, 0);
  for (let i = 0; i < 1000; i++) arena.allocate(100);
  assert.ok(arena.slabBytes <= slabBytes, 'freed blocks are used again');
});

test('a block that is freed with another size is noticed where it has a slab of its own', () => {
  const arena = new Arena();
  const ref = arena.allocate(1_000_000);
  assert.throws(() => arena.free(ref, 2_000_000), { name: 'InvariantError' });
});
