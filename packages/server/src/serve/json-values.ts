/**
 * A stream of JSON values, cut into one text for each value as the bytes come in. Each byte is looked at a fixed number of times, however the stream is
 * cut into pieces: what is looked for here is only where a value ends, and whether it is one is for whoever reads it.
 */
import { jsonValueEnd } from '@etcd/api/json';

const QUOTE = '"';
const ESCAPE = '\\';
const SPACES = ' \t\r\n';
const OPENERS = '{[';
const CLOSERS = '}]';
/** What ends a number or a word at the top. */
const BREAKS = `${SPACES}${OPENERS}${CLOSERS}${QUOTE}`;

export class JsonValues {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Of the value that is not complete yet, from its first character on. */
  #pieces: string[] = [];
  #openLength = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** In a number or a word that stands in nothing. */
  #isInWord = false;

  /** Texts of the values that end in `bytes`. Throws `JsonError` where one begins in them that can't become any. */
  add(bytes: Uint8Array): string[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const values: string[] = [];
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const character = text[at]!;
      if (this.#isInWord && BREAKS.includes(character)) from = this.#finish(text, from, at, values);
      if (!this.#isInside && SPACES.includes(character)) from = at + 1;
      else if (this.#endsWith(character)) from = this.#finish(text, from, at + 1, values);
    }
    const isNew = this.#pieces.length === 0;
    if (from < text.length) {
      this.#pieces.push(text.slice(from));
      this.#openLength += text.length - from;
    }
    // Once for each value, so that nonsense is told at once and long values are not read again and again.
    if (isNew && this.#pieces.length > 0) jsonValueEnd(this.#pieces[0]!, 0);
    return values;
  }

  /** Characters of the value that is not complete yet. */
  get openLength(): number {
    return this.#openLength;
  }

  /** What is left when nothing more comes: a value without its end, or a number; empty if there is none. */
  rest(): string {
    return this.#pieces.join('') + this.#decoder.decode();
  }

  get #isInside(): boolean {
    return this.#depth > 0 || this.#isInString || this.#isInWord;
  }

  /** Takes the next character; whether a value ends with it. */
  #endsWith(character: string): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (character === ESCAPE) this.#isEscaped = true;
      else if (character === QUOTE) this.#isInString = false;
      return !this.#isInString && this.#depth === 0;
    }
    if (character === QUOTE) this.#isInString = true;
    else if (OPENERS.includes(character)) this.#depth++;
    else if (CLOSERS.includes(character)) return --this.#depth <= 0;
    else if (this.#depth === 0) this.#isInWord = true;
    return false;
  }

  #finish(text: string, from: number, to: number, values: string[]): number {
    values.push(this.#pieces.join('') + text.slice(from, to));
    this.#pieces = [];
    this.#openLength = 0;
    this.#depth = 0;
    this.#isInWord = false;
    return to;
  }
}
