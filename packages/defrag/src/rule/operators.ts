/** What the operators of a rule do. The words of errors are those of the original tool's language. */
import { RuleError } from './rule-error.ts';
import { asBool, asFloat, asInteger, isEqual, isList, kindOf, type Value, wrap } from './value.ts';

type Binary = (a: Value, b: Value) => Value;

const MAX_SHIFT = 64n;

/** A calculation with whole numbers where both are, and with fractions otherwise. */
function numeric(
  verb: string,
  ofIntegers: (a: bigint, b: bigint) => bigint,
  ofFloats: (a: number, b: number) => number,
): Binary {
  return (a, b) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return wrap(ofIntegers(a, b));
    const left = asFloat(a);
    const right = asFloat(b);
    if (left !== null && right !== null) return ofFloats(left, right);
    throw new RuleError(`type error: cannot ${verb} type ${kindOf(a)} and ${kindOf(b)}`);
  };
}

function ordered(holds: (order: number) => boolean): Binary {
  return (a, b) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return holds(a < b ? -1 : a > b ? 1 : 0);
    const left = asFloat(a);
    const right = asFloat(b);
    if (left !== null && right !== null) return holds(left < right ? -1 : left > right ? 1 : 0);
    throw new RuleError(`type error: cannot compare type ${kindOf(a)} and ${kindOf(b)}`);
  };
}

const plus = numeric(
  'add or concatenate',
  (a, b) => a + b,
  (a, b) => a + b,
);

function add(a: Value, b: Value): Value {
  if (isList(a) && isList(b)) return [...a, ...b];
  if (typeof a === 'string' || typeof b === 'string') {
    if (!isList(a) && !isList(b)) return textOf(a) + textOf(b);
  }
  return plus(a, b);
}

function textOf(value: Value): string {
  return value === null ? 'nil' : String(value);
}

const nonZero = <T extends bigint | number>(divide: (a: T, b: T) => T) => {
  return (a: T, b: T): T => {
    if (Number(b) === 0) throw new RuleError('math error: cannot divide by zero');
    return divide(a, b);
  };
};

/** Of two whole numbers a whole one, if there is one. */
function power(a: Value, b: Value): Value {
  const left = asFloat(a);
  const right = asFloat(b);
  if (left === null || right === null) {
    throw new RuleError(`type error: cannot multiply type ${kindOf(a)} and ${kindOf(b)}`);
  }
  const result = left ** right;
  const isWhole = typeof a === 'bigint' && typeof b === 'bigint' && Number.isInteger(result);
  return isWhole && Math.abs(result) < 2 ** 63 ? BigInt(result) : result;
}

function shifted(value: bigint, by: bigint): bigint {
  if (by < 0n) return value >> (by < -MAX_SHIFT ? MAX_SHIFT : -by);
  return by > MAX_SHIFT ? 0n : wrap(value << by);
}

function isIn(item: Value, list: Value): boolean {
  if (isList(list)) return list.some((one) => isEqual(one, item));
  throw new RuleError(`syntax error: in-operator requires array, but was ${kindOf(list)}`);
}

/** Operators between two values; `**` is two signs. */
export const BINARY: Readonly<Record<string, Binary>> = {
  '+': add,
  '-': numeric(
    'subtract',
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  '*': numeric(
    'multiply',
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  '/': numeric(
    'divide',
    nonZero((a, b) => a / b),
    nonZero((a, b) => a / b),
  ),
  '%': numeric(
    'perform modulo on',
    nonZero((a, b) => a % b),
    (a, b) => a % b,
  ),
  '**': power,
  '==': isEqual,
  '!=': (a, b) => !isEqual(a, b),
  '<': ordered((order) => order < 0),
  '>': ordered((order) => order > 0),
  '<=': ordered((order) => order <= 0),
  '>=': ordered((order) => order >= 0),
  // Both sides have been looked at already: a mistake on the right is told whatever is on the left.
  '&&': (a, b) => {
    const right = asBool(b);
    return asBool(a) && right;
  },
  '||': (a, b) => {
    const right = asBool(b);
    return asBool(a) || right;
  },
  '|': (a, b) => asInteger(a) | asInteger(b),
  '&': (a, b) => asInteger(a) & asInteger(b),
  '^': (a, b) => asInteger(a) ^ asInteger(b),
  '<<': (a, b) => shifted(asInteger(a), asInteger(b)),
  '>>': (a, b) => shifted(asInteger(a), -asInteger(b)),
  in: isIn,
};

export const UNARY: Readonly<Record<string, (value: Value) => Value>> = {
  '-': (value) => {
    if (typeof value === 'bigint') return wrap(-value);
    if (typeof value === 'number') return -value;
    throw new RuleError(`type error: unary minus requires number, but was ${kindOf(value)}`);
  },
  '!': (value) => !asBool(value),
  '~': (value) => ~asInteger(value),
};

export function itemAt(list: Value, index: Value): Value {
  if (!isList(list)) throw new RuleError(`syntax error: cannot access fields on type ${kindOf(list)}`);
  const at = Number(asInteger(index));
  const item = list[at];
  if (item === undefined) {
    throw new RuleError(`var error: array index ${at} is out of range [0, ${list.length}]`);
  }
  return item;
}
