/** What may have been meant by a word that is none. */

/** Words that differ by at most this many letters are near. */
const MAX_DISTANCE = 2;

/** Of `words`, those that `word` begins, or nearly is. */
export function nearWords(word: string, words: readonly string[]): string[] {
  return words.filter((known) => known.startsWith(word) || distance(known, word) <= MAX_DISTANCE);
}

/** As lines for stderr; empty for no suggestion. */
export function suggestion(near: readonly string[]): string {
  return near.length === 0 ? '' : `\n\nDid you mean this?\n${near.map((word) => `\t${word}\n`).join('')}`;
}

/** How many letters must be changed, added or removed to make one word of the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
