/**
 * JSON as Go's encoding/json writes and reads it: HTML characters escaped, 64-bit identifiers in decimal, null for a list
 * that was never set. What is stored must not differ by a byte from what a Go member stores.
 */
import { utf8FromBytes } from '@etcd/base';
import { MembershipError } from './membership-error.ts';

/** A string literal. */
export function goString(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, escaped);
}

/** An array of strings. */
export function goStrings(texts: readonly string[]): string {
  return `[${texts.map(goString).join(',')}]`;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** The object that `text` holds. Integers beyond 2^53 come as BigInts. Throws {@link MembershipError}. */
export function parseObject(text: string | Uint8Array, what: string): JsonObject {
  const json = typeof text === 'string' ? text : utf8FromBytes(text);
  let value: unknown;
  try {
    value = parseJson(json, exactInteger);
  } catch (error) {
    throw new MembershipError('malformed', `failed to unmarshal ${what}: ${String(error)}`, { cause: error });
  }
  if (!isObject(value)) throw new MembershipError('malformed', `failed to unmarshal ${what}: not an object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of `object` as Go would decode it: absent or null is the zero value, another type an error. */
export function stringField(object: JsonObject, name: string, what: string): string {
  const value = object[name] ?? '';
  if (typeof value !== 'string') throw wrongType(name, what);
  return value;
}

export function boolField(object: JsonObject, name: string, what: string): boolean {
  const value = object[name] ?? false;
  if (typeof value !== 'boolean') throw wrongType(name, what);
  return value;
}

export function stringsField(object: JsonObject, name: string, what: string): string[] {
  const value = object[name] ?? [];
  if (!Array.isArray(value)) throw wrongType(name, what);
  return value.map((item: unknown) => {
    if (typeof item !== 'string') throw wrongType(name, what);
    return item;
  });
}

/** An unsigned 64-bit integer. */
export function idField(object: JsonObject, name: string, what: string): bigint {
  const value = object[name] ?? 0;
  const isInteger = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
  if (!isInteger) throw wrongType(name, what);
  const id = BigInt(value);
  if (id < 0n || id >= 1n << 64n) throw wrongType(name, what);
  return id;
}

function wrongType(name: string, what: string): MembershipError {
  return new MembershipError('malformed', `failed to unmarshal ${what}: wrong type of ${name}`);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function exactInteger(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context.source ?? '';
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** JSON.parse, with the third argument that revivers get and the library's types do not know yet. */
const parseJson = JSON.parse as (text: string, reviver: typeof exactInteger) => unknown;
