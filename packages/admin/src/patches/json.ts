/** JSON as patches see it. */
import { PatchError } from './patch-error.ts';

export type Json = null | boolean | number | string | Json[] | JsonMap;
export interface JsonMap {
  [name: string]: Json;
}

export function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By its own fields alone, with names in order, as serializers of Kubernetes write it. */
export function jsonText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (!isMap(value)) return JSON.stringify(value);
  const fields = Object.keys(value).sort();
  return `{${fields.map((name) => `${JSON.stringify(name)}:${jsonText(value[name]!)}`).join(',')}}`;
}

/** As Go prints a value of maps and lists, in errors. */
export function goText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (!isMap(value)) return value === null ? '<nil>' : String(value);
  const fields = Object.keys(value).sort();
  return `map[${fields.map((name) => `${name}:${goText(value[name]!)}`).join(' ')}]`;
}

/** A name that is no field of anything's prototype. Throws {@link PatchError}. */
export function checkNames(value: Json): void {
  if (Array.isArray(value)) return value.forEach(checkNames);
  if (!isMap(value)) return;
  for (const [name, one] of Object.entries(value)) {
    if (name === '__proto__') throw new PatchError('invalid JSON document');
    checkNames(one);
  }
}
