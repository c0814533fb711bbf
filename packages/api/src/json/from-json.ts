/**
 * A message from its proto3 JSON, as protobuf's Go library reads it: fields by their name in the `.proto` file or in camel case, 64-bit
 * integers as numbers or strings, bytes in either alphabet of base64, enums by name or number, null for a field that is not there. Fields
 * and enum names that nobody knows are passed over.
 */
import { bytesFromBase64 } from '@etcd/base';
import type { EnumDescriptor, FieldDescriptor, MessageDescriptor } from '../descriptor.ts';
import { ENUMS, MESSAGES } from '../gen/descriptors.ts';
import { JsonError } from './json-error.ts';
import { type JsonNode, parseJson } from './parse-json.ts';
import { unionProperty } from './union-property.ts';

/** A message whose fields are set by name. */
type Fields = Record<string, unknown>;

/**
 * The message of type `name` (`etcdserverpb.PutRequest`) that `text` holds; one with every field at its default for an empty text. Throws
 * {@link JsonError}.
 */
export function messageFromJson(name: string, text: string): object {
  const node = parseJson(text);
  const descriptor = MESSAGES.get(name)!;
  return node === null ? descriptor.codec.create() : new Reader(text).message(descriptor, node);
}

interface Lookup {
  readonly fields: ReadonlyMap<string, FieldDescriptor>;
}

const lookups = new Map<MessageDescriptor, Lookup>();

function lookupOf(descriptor: MessageDescriptor): Lookup {
  let lookup = lookups.get(descriptor);
  if (lookup === undefined) {
    const fields = descriptor.fields.flatMap((field): [string, FieldDescriptor][] => [
      [field.name, field],
      [field.jsonName, field],
    ]);
    lookup = { fields: new Map(fields) };
    lookups.set(descriptor, lookup);
  }
  return lookup;
}

/** No value for an enum name that is not known: the field stays as it is. */
const UNKNOWN = Symbol('unknown');

class Reader {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  message(descriptor: MessageDescriptor, node: JsonNode): object {
    if (node.kind !== 'object') throw this.#unexpected(node);
    const message = descriptor.codec.create() as Fields;
    const { fields } = lookupOf(descriptor);
    const seen = new Set<FieldDescriptor>();
    const oneofs = new Set<string>();
    for (const { name, nameAt, value } of node.fields) {
      const field = fields.get(name);
      if (field === undefined) continue;
      const place = `proto: (${this.#place(nameAt)})`;
      if (seen.has(field)) throw new JsonError(`${place}: duplicate field ${JSON.stringify(name)}`);
      seen.add(field);
      if (value.kind === 'null') continue;
      if (field.oneof !== null) {
        const oneof = `${descriptor.name}.${field.oneof}`;
        if (oneofs.has(oneof)) {
          throw new JsonError(
            `${place}: error parsing ${JSON.stringify(name)}, oneof ${oneof} is already set`,
          );
        }
        oneofs.add(oneof);
      }
      this.#set(message, field, value);
    }
    return message;
  }

  #set(message: Fields, field: FieldDescriptor, node: JsonNode): void {
    if (field.isMap) {
      message[field.property] = this.#map(field, node);
      return;
    }
    if (field.isRepeated) {
      if (node.kind !== 'array') throw this.#unexpected(node);
      const items = node.items.map((item) => this.#one(field, item)).filter((item) => item !== UNKNOWN);
      message[field.property] = items;
      return;
    }
    const value = this.#one(field, node);
    if (value === UNKNOWN) return;
    message[field.property] = value;
    // A scalar in a oneof counts even when it is zero.
    if (field.oneof !== null && field.kind !== 'message') message[unionProperty(field.oneof)] = field.number;
  }

  /** The fields of an object become entries of key and value. */
  #map(field: FieldDescriptor, node: JsonNode): object[] {
    if (node.kind !== 'object') throw this.#unexpected(node);
    const entry = MESSAGES.get(field.type)!;
    const [keyField, valueField] = entry.fields;
    return node.fields.map(({ name, value }) => ({
      ...entry.codec.create(),
      [keyField!.property]: name,
      [valueField!.property]: this.#one(valueField!, value),
    }));
  }

  #one(field: FieldDescriptor, node: JsonNode): unknown {
    switch (field.kind) {
      case 'message':
        return this.message(MESSAGES.get(field.type)!, node);
      case 'enum':
        return this.#enum(field, node);
      case 'bool':
        if (node.kind === 'true' || node.kind === 'false') return node.kind === 'true';
        throw this.#invalid(field, node);
      case 'bytes': {
        const bytes = node.kind === 'string' ? bytesFromBase64(node.value) : null;
        if (bytes === null) throw this.#invalid(field, node);
        return bytes;
      }
      case 'string':
      case 'lossyString':
        if (node.kind === 'string') return node.value;
        throw this.#invalid(field, node);
      default:
        return this.#integer(field, node);
    }
  }

  #integer(field: FieldDescriptor, node: JsonNode): number | bigint {
    const { minimum, maximum } = INTEGERS[field.kind as IntegerKind];
    const text = node.kind === 'number' ? node.raw : node.kind === 'string' ? node.value : '';
    const value = integerOf(text);
    if (value === null || value < minimum || value > maximum) throw this.#invalid(field, node);
    return field.kind === 'bigInt64' || field.kind === 'bigUint64' ? value : Number(value);
  }

  #enum(field: FieldDescriptor, node: JsonNode): number | typeof UNKNOWN {
    const descriptor: EnumDescriptor = ENUMS.get(field.type)!;
    if (node.kind === 'string') {
      return descriptor.values.find(({ name }) => name === node.value)?.number ?? UNKNOWN;
    }
    const value = node.kind === 'number' ? integerOf(node.raw) : null;
    const { minimum, maximum } = INTEGERS.int32;
    if (value === null || value < minimum || value > maximum) throw this.#invalid(field, node);
    return Number(value);
  }

  #invalid(field: FieldDescriptor, node: JsonNode): JsonError {
    const kind = KIND_NAMES[field.kind] ?? field.kind;
    const token = this.#token(node);
    return new JsonError(
      `proto: (${this.#place(node.at)}): invalid value for ${kind} field ${field.jsonName}: ${token}`,
    );
  }

  #unexpected(node: JsonNode): JsonError {
    return new JsonError(
      `proto: syntax error (${this.#place(node.at)}): unexpected token ${this.#token(node)}`,
    );
  }

  #token(node: JsonNode): string {
    if (node.kind === 'object') return '{';
    return node.kind === 'array' ? '[' : node.raw;
  }

  #place(at: number): string {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    return `line ${line}:${at - before.lastIndexOf('\n')}`;
  }
}

type IntegerKind = 'int32' | 'uint32' | 'int64' | 'uint64' | 'bigInt64' | 'bigUint64';

const SIGNED_64 = { minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n };
const UNSIGNED_64 = { minimum: 0n, maximum: 2n ** 64n - 1n };
const INTEGERS: Readonly<Record<IntegerKind, { readonly minimum: bigint; readonly maximum: bigint }>> = {
  int32: { minimum: -(2n ** 31n), maximum: 2n ** 31n - 1n },
  uint32: { minimum: 0n, maximum: 2n ** 32n - 1n },
  int64: SIGNED_64,
  uint64: UNSIGNED_64,
  bigInt64: SIGNED_64,
  bigUint64: UNSIGNED_64,
};

const KIND_NAMES: Readonly<Partial<Record<FieldDescriptor['kind'], string>>> = {
  bigInt64: 'int64',
  bigUint64: 'uint64',
  lossyString: 'string',
};

/** Digits that a number may have: far more than 64 bits need, and few enough to be computed with. */
const MAX_DIGITS = 400;

/** The integer that `text` stands for, also as `5.0` or `1e3`; null if it is none. */
function integerOf(text: string): bigint | null {
  const match = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return null;
  const [, sign, whole, fraction = '', exponentText = '0'] = match;
  const exponent = Number(exponentText) - fraction.length;
  const digits = `${whole}${fraction}`;
  if (/^0*$/.test(digits)) return 0n;
  if (digits.length > MAX_DIGITS || Math.abs(exponent) > MAX_DIGITS) return null;
  let value = BigInt(digits);
  if (exponent >= 0) value *= 10n ** BigInt(exponent);
  else {
    const divisor = 10n ** BigInt(-exponent);
    if (value % divisor !== 0n) return null;
    value /= divisor;
  }
  return sign === '-' ? -value : value;
}
