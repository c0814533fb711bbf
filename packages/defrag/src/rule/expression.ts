/** A rule's expression, read with the precedences of C into a function of its variables. */
import { BINARY, itemAt, UNARY } from './operators.ts';
import { RuleError } from './rule-error.ts';
import { type Token, tokensOf } from './tokens.ts';
import { asBool, type Value } from './value.ts';

export type Variables = Readonly<Record<string, Value>>;
export type Expression = (variables: Variables) => Value;

/** How tightly an operator binds. */
const PRECEDENCE: Readonly<Record<string, number>> = {
  '?': 1,
  '||': 2,
  '&&': 3,
  '|': 4,
  '^': 5,
  '&': 6,
  '==': 7,
  '!=': 7,
  '<': 8,
  '<=': 8,
  '>': 8,
  '>=': 8,
  '<<': 9,
  '>>': 9,
  '+': 10,
  '-': 10,
  '*': 11,
  '**': 11,
  '/': 11,
  '%': 11,
  in: 13,
  '[': 14,
};
const UNARY_PRECEDENCE = 12;
/** Parentheses, lists and signs in each other: no rule that somebody wrote comes near, and the stack has an end. */
const MAX_DEPTH = 200;

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['false', false],
  ['nil', null],
]);

/** Throws {@link RuleError}. */
export function parseExpression(rule: string): Expression {
  const parser = new Parser(tokensOf(rule));
  return parser.whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#expression(0);
    if (this.#next.kind !== 'end') throw this.#unexpected();
    return expression;
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  /** Everything that binds more tightly than `floor`. */
  #expression(floor: number): Expression {
    if (++this.#depth > MAX_DEPTH) throw new RuleError('syntax error: the rule is nested too deeply');
    let left = this.#operand();
    for (;;) {
      const operator = this.#operator();
      const precedence = PRECEDENCE[operator] ?? 0;
      if (precedence <= floor) break;
      this.#at += operator === '**' ? 2 : 1;
      left = this.#continue(left, operator, precedence);
    }
    this.#depth--;
    return left;
  }

  #continue(left: Expression, operator: string, precedence: number): Expression {
    if (operator === '?') return this.#choice(left);
    if (operator === '[') {
      const index = this.#expression(0);
      this.#take(']');
      return (variables) => itemAt(left(variables), index(variables));
    }
    const apply = BINARY[operator]!;
    const right = this.#expression(precedence);
    return (variables) => apply(left(variables), right(variables));
  }

  /** Both outcomes are worked out, as everything is. */
  #choice(condition: Expression): Expression {
    const first = this.#expression(0);
    this.#take(':');
    const second = this.#expression(0);
    return (variables) => {
      const outcomes = [first(variables), second(variables)] as const;
      return asBool(condition(variables)) ? outcomes[0] : outcomes[1];
    };
  }

  /** The operator that comes next; empty for anything else. */
  #operator(): string {
    const { kind, text } = this.#next;
    if (kind === 'name') return text === 'in' || text === 'IN' ? 'in' : '';
    if (kind !== 'sign') return '';
    return text === '*' && this.#tokens[this.#at + 1]?.text === '*' ? '**' : text;
  }

  #operand(): Expression {
    const token = this.#next;
    this.#at++;
    switch (token.kind) {
      case 'integer':
        return constant(integerOf(token));
      case 'float':
        return constant(Number(token.text.replaceAll('_', '')));
      case 'string':
        return constant(stringOf(token));
      case 'name':
        return nameOf(token.text);
      case 'sign':
        return this.#signed(token.text);
      default:
        this.#at--;
        throw this.#unexpected();
    }
  }

  #signed(sign: string): Expression {
    if (sign === '(') {
      const inner = this.#expression(0);
      this.#take(')');
      return inner;
    }
    if (sign === '[') return this.#list();
    const apply = UNARY[sign];
    if (apply === undefined) {
      this.#at--;
      throw this.#unexpected();
    }
    const operand = this.#expression(UNARY_PRECEDENCE - 1);
    return (variables) => apply(operand(variables));
  }

  #list(): Expression {
    const items: Expression[] = [];
    if (this.#next.text === ']') {
      this.#at++;
      return constant([]);
    }
    for (;;) {
      items.push(this.#expression(0));
      if (this.#next.text !== ',') break;
      this.#at++;
    }
    this.#take(']');
    return (variables) => items.map((item) => item(variables));
  }

  #take(sign: string): void {
    if (this.#next.kind !== 'sign' || this.#next.text !== sign) throw this.#unexpected(sign);
    this.#at++;
  }

  #unexpected(wanted?: string): RuleError {
    const { kind, text, position } = this.#next;
    const what = kind === 'end' ? 'end of the rule' : JSON.stringify(text);
    const expected = wanted === undefined ? '' : `, expected ${JSON.stringify(wanted)}`;
    return new RuleError(`syntax error: unexpected ${what} at position ${position}${expected}`);
  }
}

function constant(value: Value): Expression {
  return () => value;
}

function nameOf(name: string): Expression {
  const value = CONSTANTS.get(name);
  if (value !== undefined) return constant(value);
  return (variables) => {
    if (Object.hasOwn(variables, name)) return variables[name]!;
    throw new RuleError(`var error: variable ${JSON.stringify(name)} does not exist`);
  };
}

/** In the spellings of Go, where a leading 0 means octal. */
function integerOf({ text, position }: Token): bigint {
  const digits = text.replaceAll('_', '');
  try {
    const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
    const limit = /^0x/i.test(digits) ? 2n ** 64n : 2n ** 63n;
    if (value < limit) return BigInt.asIntN(64, value);
  } catch {
    // Digits that are none in that base.
  }
  throw new RuleError(`parse error: cannot parse integer at position ${position}`);
}

function stringOf({ text, position }: Token): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new RuleError(`parse error: cannot unquote string literal at position ${position}`);
  }
}
