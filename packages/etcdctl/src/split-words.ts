/** A typed line as words: bare, in single quotes as they are, or in double quotes with Go's escapes. */
import { unquoteAt } from './unquote.ts';

const WORD = /"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?/gs;

/** The words; a text is what is wrong. */
export function splitWords(line: string): string[] | string {
  const words: string[] = [];
  for (const [word] of line.matchAll(WORD)) {
    if (word.startsWith("'")) {
      words.push(word.slice(1, -1));
    } else if (word.startsWith('"')) {
      const unquoted = unquoteAt(word, 0);
      if (unquoted === null) return 'invalid syntax';
      words.push(unquoted.text);
    } else {
      words.push(word);
    }
  }
  return words;
}
