/** A rule cut into numbers, strings, names and signs. */
import { RuleError } from './rule-error.ts';

export interface Token {
  readonly kind: 'integer' | 'float' | 'string' | 'name' | 'sign' | 'end';
  readonly text: string;
  /** From 1 on. */
  readonly position: number;
}

const FLOAT = /(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][+-]?\d+)?|\d[\d_]*\.(?:[eE][+-]?\d+)?|\d[\d_]*[eE][+-]?\d+/y;
const INTEGER = /0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*/y;
const NAME = /[A-Za-z_]\w*/y;
const STRING = /"(?:[^"\\\n]|\\.)*"|`[^`]*`/y;
/** `*` stands for itself, so that two of them are a power whatever is between. */
const SIGN = /&&|\|\||==|!=|<=|>=|<<|>>|[-+*/%!<>&|^~?:()[\],]/y;
const BLANK = /\s+/y;

const KINDS: readonly (readonly [Token['kind'], RegExp])[] = [
  ['float', FLOAT],
  ['integer', INTEGER],
  ['name', NAME],
  ['string', STRING],
  ['sign', SIGN],
];

export function tokensOf(rule: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at += match(BLANK, rule, at).length;
    if (at === rule.length) break;
    const token = tokenAt(rule, at);
    tokens.push(token);
    at += token.text.length;
  }
  tokens.push({ kind: 'end', text: '', position: at + 1 });
  return tokens;
}

function tokenAt(rule: string, at: number): Token {
  for (const [kind, pattern] of KINDS) {
    const text = match(pattern, rule, at);
    if (text !== '') return { kind, text, position: at + 1 };
  }
  throw new RuleError(`unknown token ${JSON.stringify(rule[at])} at position ${at + 1}`);
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
