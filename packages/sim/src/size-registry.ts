/**
 * The limits in the members' sources that a world draws anew: {@link loadSimulation} makes each source tell its own here, with a way to
 * change it.
 */

interface Size {
  readonly usual: number;
  readonly set: (value: number) => void;
}

const sizes = new Map<string, Size>();

/** Called by the sources themselves, at their ends. */
export function registerSize(key: string, usual: number, set: (value: number) => void): void {
  sizes.set(key, { usual, set });
}

/** @param value null: what the source says. */
export function setSize(key: string, value: number | null): void {
  const size = sizes.get(key);
  if (size === undefined) throw new Error(`no source has told of ${key}: was it loaded by loadSimulation?`);
  size.set(value ?? size.usual);
}
