/**
 * What an expression may be. Whole numbers and fractions are two kinds, as in the language of the original tool: `80/100` is 0, and so is
 * whatever is multiplied with it. Whole numbers have 64 bits and wrap around.
 */
import { RuleError } from './rule-error.ts';

export type Value = null | boolean | bigint | number | string | readonly Value[];

export function kindOf(value: Value): string {
  if (value === null) return 'nil';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint' || typeof value === 'number') return 'number';
  return typeof value === 'string' ? 'string' : 'array';
}

export function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

export function asBool(value: Value): boolean {
  if (typeof value === 'boolean') return value;
  throw new RuleError(`type error: required bool, but was ${kindOf(value)}`);
}

export function asInteger(value: Value): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value !== 'number') {
    throw new RuleError(`type error: required number of type integer, but was ${kindOf(value)}`);
  }
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) return BigInt(value);
  throw new RuleError('type error: cannot cast floating point number to integer without losing precision');
}

/** Null for what is no number. */
export function asFloat(value: Value): number | null {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' ? value : null;
}

/** Numbers are equal whatever their kind; other things only to their like. */
export function isEqual(a: Value, b: Value): boolean {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a === b;
  const left = asFloat(a);
  const right = asFloat(b);
  if (left !== null || right !== null) return left !== null && left === right;
  if (isList(a) && isList(b)) {
    return a.length === b.length && a.every((item, i) => isEqual(item, b[i] ?? null));
  }
  return a === b;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
