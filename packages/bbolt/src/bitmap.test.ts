import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitmap } from './bitmap.ts';

test('a bitmap answers as a set of numbers does', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 400 }),
      fc.nat(320),
      fc.integer({ min: 1, max: 6 }),
      (changes, from, length) => {
        const bitmap = new Bitmap();
        const set = new Set<number>();
        for (const [bit, add] of changes) {
          if (add) assert.equal(bitmap.add(bit), !set.has(bit));
          else assert.equal(bitmap.delete(bit), set.has(bit));
          if (add) set.add(bit);
          else set.delete(bit);
        }
        const sorted = [...set].sort((a, b) => a - b);
        let clear = from;
        while (set.has(clear)) clear++;
        const isRun = (start: number): boolean =>
          Array.from({ length }, (_, i) => start + i).every((bit) => set.has(bit));
        let before = 0;
        while (set.has(from - before - 1)) before++;
        assert.equal(bitmap.count, set.size);
        assert.equal(bitmap.has(from), set.has(from));
        assert.equal(bitmap.nextSet(from), sorted.find((bit) => bit >= from) ?? -1);
        assert.equal(bitmap.nextClear(from), clear);
        assert.equal(bitmap.findRun(from, length), sorted.find((bit) => bit >= from && isRun(bit)) ?? -1);
        assert.equal(bitmap.runBefore(from), before);
        assert.equal(bitmap.countBelow(from), sorted.filter((bit) => bit < from).length);
      },
    ),
  );
});
