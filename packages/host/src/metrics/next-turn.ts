/** Between the pieces of a scrape. */

/** Resolves when others have had their turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
