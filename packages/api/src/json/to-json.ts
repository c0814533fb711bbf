/**
 * A message as proto3 JSON in the form that etcd's gateway gives it: names of the `.proto` files, 64-bit integers as strings, bytes in base64,
 * enums by name; fields at their default are left out, but for a member of a oneof that is set.
 */
import { base64FromBytes } from '@etcd/base';
import type { FieldDescriptor, MessageDescriptor } from '../descriptor.ts';
import { ENUMS, MESSAGES } from '../gen/descriptors.ts';
import { unionProperty } from './union-property.ts';

/** The JSON of a message of type `name` (`etcdserverpb.PutResponse`). */
export function messageToJson(name: string, message: object): string {
  return objectJson(MESSAGES.get(name)!, message as Readonly<Record<string, unknown>>);
}

function objectJson(descriptor: MessageDescriptor, message: Readonly<Record<string, unknown>>): string {
  let text = '';
  for (const field of descriptor.fields) {
    const value = message[field.property];
    if (!isShown(field, value, message)) continue;
    // Names of fields need no escapes.
    text += text === '' ? `"${field.name}":` : `,"${field.name}":`;
    text += field.isRepeated ? listJson(field, value as readonly unknown[]) : valueJson(field, value);
  }
  return `{${text}}`;
}

function isShown(
  field: FieldDescriptor,
  value: unknown,
  message: Readonly<Record<string, unknown>>,
): boolean {
  if (field.isRepeated) return (value as readonly unknown[]).length > 0;
  if (value === null || value === undefined) return false;
  if (field.kind === 'message' || field.explicitPresence) return true;
  if (!isDefault(value)) return true;
  return field.oneof !== null && message[unionProperty(field.oneof)] === field.number;
}

function isDefault(value: unknown): boolean {
  return (
    value === 0 ||
    value === 0n ||
    value === '' ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

function listJson(field: FieldDescriptor, items: readonly unknown[]): string {
  if (field.isMap) return mapJson(field, items);
  let text = '';
  for (const item of items) text += `${text === '' ? '' : ','}${valueJson(field, item)}`;
  return `[${text}]`;
}

/** Entries of key and value become the fields of an object. */
function mapJson(field: FieldDescriptor, items: readonly unknown[]): string {
  const [keyField, valueField] = MESSAGES.get(field.type)!.fields;
  const entries = items.map((item) => {
    const entry = item as Readonly<Record<string, unknown>>;
    const value = entry[valueField!.property];
    // An entry has a value even if nothing of it was sent.
    return `${JSON.stringify(entry[keyField!.property])}:${value === null ? '{}' : valueJson(valueField!, value)}`;
  });
  return `{${entries.join(',')}}`;
}

function valueJson(field: FieldDescriptor, value: unknown): string {
  switch (field.kind) {
    case 'message':
      return objectJson(MESSAGES.get(field.type)!, value as Readonly<Record<string, unknown>>);
    case 'enum':
      return enumJson(field, value as number);
    case 'bytes':
      return `"${base64FromBytes(value as Uint8Array)}"`;
    case 'string':
    case 'lossyString':
      return JSON.stringify(value);
    case 'bool':
    case 'int32':
    case 'uint32':
      return String(value);
    default:
      return `"${integerText(value as number | bigint)}"`;
  }
}

/** Numbers beyond 2^53 stand for themselves, not for their shortest text. */
function integerText(value: number | bigint): string {
  return Number.isSafeInteger(value) || typeof value === 'bigint' ? String(value) : String(BigInt(value));
}

function enumJson(field: FieldDescriptor, value: number): string {
  const known = ENUMS.get(field.type)!.values.find(({ number }) => number === value);
  return known === undefined ? String(value) : JSON.stringify(known.name);
}
