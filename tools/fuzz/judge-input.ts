/** Runs a target on inputs, and says what is wrong with how it took them: an error that is none of its own, no end, or too much memory. */

import { getHeapStatistics } from 'node:v8';
import { Script } from 'node:vm';
import type { FuzzTarget } from '@etcd/testing';

export interface Finding {
  readonly kind: 'error' | 'hang' | 'memory';
  readonly details: string;
}

/** Of one input, on a busy machine too. */
const HANG_MS = 10_000;
/** What an input may make a target hold at once, whatever its length. */
const FREE_BYTES = 16 * 1024 * 1024;
const BYTES_PER_BYTE = 1024;

/** Called by the script that V8 ends when it takes too long. */
const slot: { run: () => void | Promise<void> } = { run: () => {} };
Reflect.set(globalThis, 'fuzzSlot', slot);
const caller = new Script('fuzzSlot.run()');

export async function judgeInput(
  target: FuzzTarget,
  input: Uint8Array,
  hangMs = HANG_MS,
): Promise<Finding | null> {
  const before = heldBytes();
  const finding = await within(hangMs, () => target.run(Uint8Array.from(input)));
  if (finding !== null) return finding;
  const grown = heldBytes() - before;
  if (grown <= freeBytes(target) + BYTES_PER_BYTE * input.length) return null;
  return { kind: 'memory', details: `${Math.round(grown / 1024)} KiB for ${input.length} bytes` };
}

/** Many inputs, watched one by one for errors and for an end: false if one of them has to be looked at alone. */
export async function isFine(target: FuzzTarget, inputs: readonly Uint8Array[]): Promise<boolean> {
  const before = heldBytes();
  for (let next = 0; next < inputs.length; ) {
    let pending: void | Promise<void>;
    // Those that are answered at once share one watch.
    const finding = await within(HANG_MS, () => {
      do pending = target.run(Uint8Array.from(inputs[next++]!));
      while (pending === undefined && next < inputs.length);
      return pending;
    });
    if (finding !== null) return false;
  }
  return heldBytes() - before <= freeBytes(target) * inputs.length;
}

async function within(timeoutMs: number, run: () => void | Promise<void>): Promise<Finding | null> {
  slot.run = run;
  try {
    const pending = caller.runInThisContext({ timeout: timeoutMs }) as void | Promise<void>;
    if (pending !== undefined) await orHang(pending, timeoutMs);
    return null;
  } catch (error) {
    if (error === HANG || (error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      return { kind: 'hang', details: `no end in ${timeoutMs} ms` };
    }
    return {
      kind: 'error',
      details: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}

const HANG = new Error('no end');

/** What waits for something that never comes. */
async function orHang(pending: Promise<void>, timeoutMs: number): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(HANG), timeoutMs);
  try {
    await Promise.race([pending, late]);
  } finally {
    clearTimeout(timer);
  }
}

function freeBytes({ heldBytes: held = 0 }: FuzzTarget): number {
  return FREE_BYTES + held;
}

function heldBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}
