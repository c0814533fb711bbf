/**
 * JSON as a tree that keeps what `JSON.parse` loses: numbers as they were written (64-bit integers), fields that are there twice,
 * and where each value stands. Text behind the first value is not looked at, as in a stream of values. Errors are those of Go's decoder.
 */
import { JsonError } from './json-error.ts';

export type JsonNode =
  | { readonly kind: 'object'; readonly at: number; readonly fields: readonly JsonField[] }
  | { readonly kind: 'array'; readonly at: number; readonly items: readonly JsonNode[] }
  | { readonly kind: 'string'; readonly at: number; readonly raw: string; readonly value: string }
  | { readonly kind: 'number' | 'true' | 'false' | 'null'; readonly at: number; readonly raw: string };

export interface JsonField {
  readonly name: string;
  readonly nameAt: number;
  readonly value: JsonNode;
}

/** Objects and arrays lie inside each other at most this deep: deeper than any message, and as deep as a call stack bears. */
const MAX_JSON_DEPTH = 1_000;
const UNEXPECTED_END = 'unexpected EOF';

/** The first value of `text`; null if there is nothing but white space. Throws {@link JsonError}. */
export function parseJson(text: string): JsonNode | null {
  const parser = new Parser(text);
  return parser.isAtEnd() ? null : parser.value(0);
}

/** {@link parseJson} of a text that holds one value and nothing else. */
export function parseWholeJson(text: string): JsonNode | null {
  const parser = new Parser(text);
  if (parser.isAtEnd()) return null;
  const node = parser.value(0);
  if (!parser.isAtEnd()) {
    const found = quoteCharacter(text, parser.position);
    throw new JsonError(`invalid character ${found} after top-level value`);
  }
  return node;
}

/**
 * Where the first value of `text` at or behind `from` ends; -1 when there is none, or not all of it yet. For streams of values. Throws
 * {@link JsonError} for what can't become one.
 */
export function jsonValueEnd(text: string, from: number): number {
  const parser = new Parser(text, from);
  try {
    if (parser.isAtEnd()) return -1;
    parser.value(0);
    return parser.position;
  } catch (error) {
    if (error instanceof JsonError && error.message === UNEXPECTED_END) return -1;
    throw error;
  }
}

/** Of a code point in UTF-8: Go has read bytes, and shows the one that it stopped at. */
function firstByte(codePoint: number): number {
  if (codePoint < 0x80) return codePoint;
  if (codePoint < 0x800) return 0xc0 | (codePoint >> 6);
  return codePoint < 0x10000 ? 0xe0 | (codePoint >> 12) : 0xf0 | (codePoint >> 18);
}

/** What stands at `at`, for an error: Go quotes control characters and quotes. */
function quoteCharacter(text: string, at: number): string {
  const character = String.fromCharCode(firstByte(text.codePointAt(at)!));
  if (character === "'") return "'\\''";
  if (character === '"') return `'"'`;
  return character < ' ' ? `'${JSON.stringify(character).slice(1, -1)}'` : `'${character}'`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

class Parser {
  readonly #text: string;
  #at: number;

  constructor(text: string, from = 0) {
    this.#text = text;
    this.#at = from;
  }

  get position(): number {
    return this.#at;
  }

  isAtEnd(): boolean {
    while (this.#at < this.#text.length && ' \t\r\n'.includes(this.#text[this.#at]!)) this.#at++;
    return this.#at === this.#text.length;
  }

  value(depth: number): JsonNode {
    if (depth > MAX_JSON_DEPTH) throw new JsonError('exceeded max depth');
    switch (this.#next('looking for beginning of value')) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string('looking for beginning of value');
      case 't':
        return this.#literal('true');
      case 'f':
        return this.#literal('false');
      case 'n':
        return this.#literal('null');
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonNode {
    const at = this.#at++;
    const fields: JsonField[] = [];
    if (this.#next('looking for beginning of object key string') === '}') {
      this.#at++;
      return { kind: 'object', at, fields };
    }
    for (;;) {
      if (this.#next('looking for beginning of object key string') !== '"') {
        this.#fail('looking for beginning of object key string');
      }
      const nameAt = this.#at;
      const { value: name } = this.#string('looking for beginning of object key string');
      if (this.#next('after object key') !== ':') this.#fail('after object key');
      this.#at++;
      fields.push({ name, nameAt, value: this.value(depth + 1) });
      const separator = this.#next('after object key:value pair');
      if (separator !== ',' && separator !== '}') this.#fail('after object key:value pair');
      this.#at++;
      if (separator === '}') return { kind: 'object', at, fields };
    }
  }

  #array(depth: number): JsonNode {
    const at = this.#at++;
    const items: JsonNode[] = [];
    if (this.#next('looking for beginning of value') === ']') {
      this.#at++;
      return { kind: 'array', at, items };
    }
    for (;;) {
      items.push(this.value(depth + 1));
      const separator = this.#next('after array element');
      if (separator !== ',' && separator !== ']') this.#fail('after array element');
      this.#at++;
      if (separator === ']') return { kind: 'array', at, items };
    }
  }

  #string(context: string): JsonNode & { readonly kind: 'string' } {
    const at = this.#at;
    this.#skipString(context);
    const raw = this.#text.slice(at, this.#at);
    return { kind: 'string', at, raw, value: JSON.parse(raw) as string };
  }

  #number(): JsonNode {
    const at = this.#at;
    NUMBER.lastIndex = at;
    const raw = NUMBER.exec(this.#text)?.[0];
    if (raw === undefined) {
      const isSign = this.#text[at] === '-';
      if (isSign) this.#at++;
      this.#fail(isSign ? 'in numeric literal' : 'looking for beginning of value');
    }
    this.#at += raw.length;
    this.#refuseUnfinished();
    return { kind: 'number', at, raw };
  }

  /** A point or an exponent behind a number that has no digits, or none yet. */
  #refuseUnfinished(): void {
    const next = this.#text[this.#at];
    if (next === '.') {
      this.#at++;
      this.#fail('after decimal point in numeric literal');
    }
    if (next !== 'e' && next !== 'E') return;
    this.#at++;
    if ('+-'.includes(this.#text[this.#at] ?? ' ')) this.#at++;
    this.#fail('in exponent of numeric literal');
  }

  #literal(word: 'true' | 'false' | 'null'): JsonNode {
    const at = this.#at;
    for (const letter of word) {
      if (this.#text[this.#at] !== letter) this.#fail(`in literal ${word} (expecting '${letter}')`);
      this.#at++;
    }
    return { kind: word, at, raw: word };
  }

  /** The next character that is not white space. */
  #next(context: string): string {
    if (this.isAtEnd()) this.#fail(context);
    return this.#text[this.#at]!;
  }

  /** Character by character: an expression for all of it would need a call stack as deep as the string is long. */
  #skipString(context: string): void {
    const text = this.#text;
    for (this.#at++; this.#at < text.length; this.#at++) {
      const character = text.charCodeAt(this.#at);
      if (character === QUOTE) {
        this.#at++;
        return;
      }
      if (character < SPACE) this.#fail('in string literal');
      if (character === BACKSLASH) this.#skipEscaped();
    }
    this.#fail(context);
  }

  /** To the last character of what stands behind a backslash. */
  #skipEscaped(): void {
    const escaped = this.#text[++this.#at] ?? '';
    if (escaped === 'u') {
      for (let digits = 0; digits < 4; digits++) {
        if (!/[\da-fA-F]/.test(this.#text[++this.#at] ?? ''))
          this.#fail('in \\u hexadecimal character escape');
      }
    } else if (escaped === '' || !'"\\/bfnrt'.includes(escaped)) this.#fail('in string escape code');
  }

  #fail(context: string): never {
    if (this.#at >= this.#text.length) throw new JsonError(UNEXPECTED_END);
    throw new JsonError(`invalid character ${quoteCharacter(this.#text, this.#at)} ${context}`);
  }
}
