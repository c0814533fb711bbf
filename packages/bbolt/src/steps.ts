/**
 * Long work that can be done in slices: a generator that yields after every step what the step cost, in pages built or looked
 * at, a microsecond or two each.
 */
export type Steps = Generator<number, void, void>;

/** What a slice may cost so that a turn of the event loop stays well below 10 ms. */
export const SLICE_COST = 512;

/** Does a slice; returns whether all is done. */
export function runSlice(steps: Steps, cost: number): boolean {
  for (let spent = 0; spent < cost; ) {
    const { done, value } = steps.next();
    if (done) return true;
    spent += value;
  }
  return false;
}

/** Does all that is left. */
export function runAll(steps: Steps): void {
  runSlice(steps, Number.POSITIVE_INFINITY);
}
