/**
 * Broken invariants. An expected condition is a value or a typed error; a broken invariant throws
 * {@link InvariantError}, which no handler catches: the process logs it and dies, because going on could write
 * wrong data.
 */

/** A condition that the program relies on does not hold. Never caught except to log and exit. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Throws {@link InvariantError} unless `condition` holds.
 * @param message a constant, or a thunk where building the text costs something.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) fail(message);
}

/** Marks a branch that the types rule out; throws if it is reached all the same. */
export function unreachable(value: never, message = 'unreachable'): never {
  throw new InvariantError(`${message}: ${String(value)}`);
}

// Out of line, so that `assert` itself stays small enough to be inlined.
function fail(message: string | (() => string)): never {
  throw new InvariantError(typeof message === 'string' ? message : message());
}
