/** Runs a target on inputs, and says what is wrong with how it took them: an error that is none of its own, no end, or too much memory. */

import { getHeapStatistics } from 'node:v8';
import { Script } from 'node:vm';
import type { FuzzTarget } from '@etcd/testing';

export interface Finding {
  readonly kind: 'error' | 'hang' | 'memory';
  readonly details: string;
}

/** Of one input, on a busy machine too. */
const HANG_MS = 4000;
/** What an input may make a target hold at once, whatever its length. */
const FREE_BYTES = 16 * 1024 * 1024;
const BYTES_PER_BYTE = 1024;

/** Called by the script that V8 ends when it takes too long. */
const slot: { run: () => void } = { run: () => {} };
Reflect.set(globalThis, 'fuzzSlot', slot);
const caller = new Script('fuzzSlot.run()');

export function judgeInput(target: FuzzTarget, input: Uint8Array, hangMs = HANG_MS): Finding | null {
  const before = heldBytes();
  const finding = within(hangMs, () => target.run(Uint8Array.from(input)));
  if (finding !== null) return finding;
  const grown = heldBytes() - before;
  if (grown <= FREE_BYTES + BYTES_PER_BYTE * input.length) return null;
  return { kind: 'memory', details: `${Math.round(grown / 1024)} KiB for ${input.length} bytes` };
}

/** Many inputs, watched as one: false if one of them has to be looked at alone. */
export function isFine(target: FuzzTarget, inputs: readonly Uint8Array[]): boolean {
  const before = heldBytes();
  const finding = within(HANG_MS, () => {
    for (const input of inputs) target.run(Uint8Array.from(input));
  });
  return finding === null && heldBytes() - before <= FREE_BYTES * inputs.length;
}

function within(timeoutMs: number, run: () => void): Finding | null {
  slot.run = run;
  try {
    caller.runInThisContext({ timeout: timeoutMs });
    return null;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      return { kind: 'hang', details: `no end in ${timeoutMs} ms` };
    }
    return {
      kind: 'error',
      details: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}

function heldBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}
