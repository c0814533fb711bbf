import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import type { Expiring } from './deadlines.ts';
import { Deadlines, NO_SLOT } from './deadlines.ts';

class Item implements Expiring {
  deadlineMs: number;
  deadlineSlot = NO_SLOT;
  deadlineNext: Expiring | null = null;
  deadlinePrevious: Expiring | null = null;
  firedMs = -1;
  readonly #clock: SimClock;

  constructor(clock: SimClock, deadlineMs: number) {
    this.#clock = clock;
    this.deadlineMs = deadlineMs;
  }

  onDeadline(): void {
    assert.equal(this.firedMs, -1, 'fired twice');
    this.firedMs = this.#clock.now();
  }
}

const TICK_MS = 8;

test('every deadline that was not lifted is told, never early and at most a tick late', () => {
  const action = fc.record({
    waitMs: fc.oneof(fc.nat(50), fc.nat(10_000)),
    timeoutMs: fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(100_000), fc.constant(3_600_000)),
    lift: fc.option(fc.nat(100)),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const clock = new SimClock();
      const deadlines = new Deadlines(clock);
      const items: Item[] = [];
      const lifted = new Set<Item>();
      for (const { waitMs, timeoutMs, lift } of actions) {
        clock.advance(waitMs);
        const item = new Item(clock, clock.now() + timeoutMs);
        items.push(item);
        deadlines.add(item);
        if (lift !== null) {
          const other = items[lift % items.length]!;
          if (other.firedMs < 0) lifted.add(other);
          deadlines.delete(other);
          deadlines.delete(other);
        }
      }
      clock.advance(4_000_000);
      for (const item of items) {
        if (lifted.has(item)) assert.equal(item.firedMs, -1);
        else {
          assert.ok(item.firedMs >= item.deadlineMs, `${item.firedMs} before ${item.deadlineMs}`);
          assert.ok(
            item.firedMs <= item.deadlineMs + TICK_MS,
            `${item.firedMs} long after ${item.deadlineMs}`,
          );
        }
      }
      assert.equal(deadlines.count, 0);
    }),
    { numRuns: 300 },
  );
});

test('a deadline may lift others, and set new ones, when it is told', () => {
  const clock = new SimClock();
  const deadlines = new Deadlines(clock);
  const second = new Item(clock, 100);
  const third = new Item(clock, 300);
  const first = new (class extends Item {
    override onDeadline(): void {
      super.onDeadline();
      deadlines.delete(second);
      deadlines.add(third);
    }
  })(clock, 100);
  deadlines.add(second);
  deadlines.add(first);
  clock.advance(1000);
  assert.equal(second.firedMs, -1);
  assert.ok(third.firedMs >= 300 && third.firedMs <= 308);
});
