/**
 * What a message is made of, as values, for code that works on any message: JSON, printers, tests. The tables are in
 * `@etcd/api/descriptors`; the codec does not use them, and a member that serves only gRPC never loads them.
 */
import type { Codec } from './codec.ts';

/**
 * Form of a field's value: `int64`, `uint64`, `int32`, `uint32` and `enum` are Numbers, `bigInt64` and `bigUint64` are
 * BigInts; a `lossyString` is one that is not validated.
 */
export type FieldKind =
  | 'int64'
  | 'uint64'
  | 'int32'
  | 'uint32'
  | 'bool'
  | 'bytes'
  | 'string'
  | 'lossyString'
  | 'bigInt64'
  | 'bigUint64'
  | 'enum'
  | 'message';

export interface FieldDescriptor {
  readonly number: number;
  /** Name in the `.proto` file, and in the JSON that the gateway writes. */
  readonly name: string;
  /** Lower camel case of it, which the gateway reads as well. */
  readonly jsonName: string;
  /** Name in the class. */
  readonly property: string;
  readonly kind: FieldKind;
  /** Full name of the enum or message; empty for scalars. */
  readonly type: string;
  readonly isRepeated: boolean;
  readonly isPacked: boolean;
  /** A repeated message of key and value that stands for a map. */
  readonly isMap: boolean;
  /** Written even when zero. */
  readonly alwaysEncoded: boolean;
  /** A scalar that may be null. */
  readonly explicitPresence: boolean;
  readonly oneof: string | null;
  /** The oldest etcd that understands it, as `3.1`; null means as old as the message. */
  readonly since: string | null;
}

export interface MessageDescriptor {
  readonly name: string;
  /** The oldest etcd that understands it; null where the protocol does not say. */
  readonly since: string | null;
  readonly codec: Codec<object>;
  readonly fields: readonly FieldDescriptor[];
}

export interface EnumValueDescriptor {
  readonly name: string;
  readonly number: number;
  readonly since: string | null;
}

export interface EnumDescriptor {
  readonly name: string;
  readonly since: string | null;
  readonly values: readonly EnumValueDescriptor[];
}

/** A field of the given form; what `more` leaves out is false, null, or follows from the name. */
export function field(
  number: number,
  name: string,
  kind: FieldKind,
  more: Partial<FieldDescriptor> = {},
): FieldDescriptor {
  const jsonName = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return {
    number,
    name,
    jsonName,
    property: jsonName,
    kind,
    type: '',
    isRepeated: false,
    isPacked: false,
    isMap: false,
    alwaysEncoded: false,
    explicitPresence: false,
    oneof: null,
    since: null,
    ...more,
  };
}

export function message(
  codec: Codec<object>,
  since: string | null,
  fields: readonly FieldDescriptor[],
): MessageDescriptor {
  return { name: codec.name, since, codec, fields };
}

export function enumValue(name: string, number: number, since: string | null = null): EnumValueDescriptor {
  return { name, number, since };
}

/** A table by full name. */
export function byName<T extends { readonly name: string }>(items: readonly T[]): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [item.name, item]));
}
