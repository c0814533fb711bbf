/** Conditions of a typed transaction: `value("key") = "text"`, `mod("key") > "3"`. */
import type { Compare } from '@etcd/api/etcdserverpb';
import { type CompareOperator, compare } from '@etcd/client';
import { goQuote } from '@etcd/host/cli';
import { unquoteAt } from './unquote.ts';
import { bytesOf } from './words.ts';

const OPERATORS: ReadonlySet<string> = new Set(['=', '!=', '>', '<']);

function isOperator(text: string): text is CompareOperator {
  return OPERATORS.has(text);
}

interface Parts {
  readonly key: string;
  readonly operator: string;
  readonly value: string;
  readonly isWhole: boolean;
}

/** The condition; a text is what is wrong with it. */
export function parseCompare(line: string): Compare | string {
  const paren = line.indexOf('(');
  if (paren < 0) return `malformed comparison: ${line}`;
  const target = line.slice(0, paren);
  const { key, operator, value, isWhole } = partsOf(line, paren + 1);
  if (!isWhole) {
    return `malformed comparison: ${line}; got ${target}(${goQuote(key)}) ${operator} ${goQuote(value)}`;
  }
  if (!isOperator(operator)) return `malformed comparison: ${line} (unknown operator ${operator})`;
  if (target === 'val' || target === 'value') return compare.value(bytesOf(key), operator, bytesOf(value));
  const isNumber = /^[+-]?[0-9]+$/.test(value);
  switch (target) {
    case 'ver':
    case 'version':
      return isNumber ? compare.version(bytesOf(key), operator, Number(value)) : invalid(line);
    case 'c':
    case 'create':
      return isNumber ? compare.createRevision(bytesOf(key), operator, Number(value)) : invalid(line);
    case 'm':
    case 'mod':
      return isNumber ? compare.modRevision(bytesOf(key), operator, Number(value)) : invalid(line);
    case 'lease':
      return isNumber ? compare.lease(bytesOf(key), operator, BigInt(value)) : invalid(line);
    default:
      return `malformed comparison: ${line} (unknown target ${target})`;
  }
}

function invalid(line: string): string {
  return `invalid txn compare request: ${line}`;
}

/** As much as there is of `"key") op "value"`. */
function partsOf(line: string, at: number): Parts {
  const key = unquoteAt(line, skipBlanks(line, at));
  if (key === null || line[key.end] !== ')')
    return { key: key?.text ?? '', operator: '', value: '', isWhole: false };
  const operatorAt = skipBlanks(line, key.end + 1);
  const operator = /^\S*/.exec(line.slice(operatorAt))?.[0] ?? '';
  const value = unquoteAt(line, skipBlanks(line, operatorAt + operator.length));
  return { key: key.text, operator, value: value?.text ?? '', isWhole: operator !== '' && value !== null };
}

function skipBlanks(line: string, at: number): number {
  let position = at;
  while (/\s/.test(line[position] ?? '')) position++;
  return position;
}
