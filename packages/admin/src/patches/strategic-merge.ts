/**
 * Strategic merge patches, as Kubernetes applies them: maps are merged, lists by the key that their schema names, and directives in the patch
 * (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) say what a merge alone could not.
 */
import { goText, isMap, type Json, type JsonMap, jsonText } from './json.ts';
import { PatchError } from './patch-error.ts';
import type { FieldSchema } from './pod-schema.ts';

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const ORDER = '$setElementOrder';
const DELETE = '$deleteFromPrimitiveList';
const ANY: FieldSchema = {};

/** Throws {@link PatchError}. Neither argument is changed. */
export function strategicMerge(document: Json, patch: Json, schema: FieldSchema): Json {
  if (!isMap(document) || !isMap(patch)) throw new PatchError('invalid JSON document');
  return mergeMaps(document, patch, schema);
}

function mergeMaps(original: JsonMap, patch: JsonMap, schema: FieldSchema): JsonMap {
  const directive = patch[DIRECTIVE];
  if (directive !== undefined) return replacement(directive, patch);
  const merged = retained(original, patch);
  const { lists, fields } = sortedOut(patch);
  for (const [name, change] of lists) {
    const list = merged[name];
    // An order without a list, and things to remove from none, are for nothing.
    if (Array.isArray(list)) {
      const field = schema.fields?.[name] ?? ANY;
      merged[name] = change.isDeletion
        ? withoutScalars(list, change.list)
        : inOrder(list, change.list, field.mergeKey);
    }
  }
  for (const [name, value] of fields) {
    if (value === null) delete merged[name];
    else
      mergeField(merged, name, value, schema.fields?.[name] ?? ANY, lists.find(([of]) => of === name)?.[1]);
  }
  return merged;
}

/** What a map becomes of which a directive speaks. */
function replacement(directive: Json, patch: JsonMap): JsonMap {
  const { [DIRECTIVE]: _, ...rest } = patch;
  if (directive === 'replace') return rest;
  if (directive === 'delete') return {};
  throw new PatchError(`unknown patch type: ${String(directive)} in map: ${goText(patch)}`);
}

/** A copy, without what `$retainKeys` does not name. */
function retained(original: JsonMap, patch: JsonMap): JsonMap {
  const listed = patch[RETAIN_KEYS];
  if (listed === undefined) return { ...original };
  if (!Array.isArray(listed)) throw new PatchError('invalid patch format of retainKeys');
  for (const [name, value] of Object.entries(patch)) {
    if (value === null || name === RETAIN_KEYS || isListDirective(name) || listed.includes(name)) continue;
    throw new PatchError('invalid patch format of retainKeys');
  }
  return Object.fromEntries(Object.entries(original).filter(([name]) => listed.includes(name)));
}

interface ListChange {
  readonly list: readonly Json[];
  readonly isDeletion: boolean;
}

function isListDirective(name: string): boolean {
  return name.startsWith(ORDER) || name.startsWith(DELETE);
}

/** Directives about lists apart from the fields. */
function sortedOut(patch: JsonMap): {
  readonly lists: readonly (readonly [string, ListChange])[];
  readonly fields: readonly (readonly [string, Json])[];
} {
  const lists: (readonly [string, ListChange])[] = [];
  const fields: (readonly [string, Json])[] = [];
  for (const [name, value] of Object.entries(patch)) {
    if (name === RETAIN_KEYS) continue;
    if (!isListDirective(name)) {
      fields.push([name, value]);
      continue;
    }
    const isDeletion = name.startsWith(DELETE);
    const [prefix, of] = [name.slice(0, name.indexOf('/')), name.slice(name.indexOf('/') + 1)];
    if (!Array.isArray(value) || prefix !== (isDeletion ? DELETE : ORDER)) {
      throw new PatchError(
        `invalid patch format of ${isDeletion ? 'primitive list' : 'setElementOrder list'}`,
      );
    }
    lists.push([of, { list: value, isDeletion }]);
  }
  return { lists, fields };
}

function mergeField(
  merged: JsonMap,
  name: string,
  value: Json,
  schema: FieldSchema,
  order: ListChange | undefined,
): void {
  const before = merged[name];
  if (isMap(before) && isMap(value)) {
    merged[name] = mergeMaps(before, value, schema);
  } else if (Array.isArray(before) && Array.isArray(value)) {
    merged[name] =
      schema.mergeKey === undefined
        ? value
        : mergeLists(before, value, schema, order?.isDeletion === false ? order.list : value);
  } else {
    const plain = withoutDirectives(value);
    if (plain === undefined) delete merged[name];
    else merged[name] = plain;
  }
}

/** What is new has no nulls, and no maps that only say what is to be done. */
function withoutDirectives(value: Json): Json | undefined {
  if (Array.isArray(value)) {
    return value.map(withoutDirectives).filter((one): one is Json => one !== undefined);
  }
  if (!isMap(value)) return value;
  if (value[DIRECTIVE] !== undefined) return undefined;
  const plain: JsonMap = {};
  for (const [name, one] of Object.entries(value)) {
    const kept = one === null ? undefined : withoutDirectives(one);
    if (kept !== undefined) plain[name] = kept;
  }
  return plain;
}

function mergeLists(
  original: readonly Json[],
  patch: readonly Json[],
  schema: FieldSchema,
  order: readonly Json[],
): Json[] {
  const key = schema.mergeKey!;
  const all = [...original, ...patch];
  if (new Set(all.map((one) => (isMap(one) ? 'map' : Array.isArray(one) ? 'list' : typeof one))).size > 1) {
    throw new PatchError(
      `list element types are not identical: [${goText([...original])}] [${goText([...patch])}]`,
    );
  }
  if (all.some(Array.isArray)) throw new PatchError('lists of lists are not supported');
  if (key === null || !all.every(isMap)) return inOrder([...new Set(all)], order, null, original);
  const { kept, changes } = withoutSpecial(original as JsonMap[], patch as JsonMap[], key);
  const merged = [...kept];
  for (const change of changes) {
    const at = merged.findIndex((one) => one[key] === keyOf(change, key));
    if (at < 0) merged.push(withoutDirectives(change) as JsonMap);
    else merged[at] = mergeMaps(merged[at]!, change, schema);
  }
  const ordered = order === patch ? changes : order;
  return inOrder(merged, ordered, key, kept);
}

/** Does what elements with a directive say; what is left of the list and of the patch. */
function withoutSpecial(
  original: readonly JsonMap[],
  patch: readonly JsonMap[],
  key: string,
): { readonly kept: readonly JsonMap[]; readonly changes: readonly JsonMap[] } {
  let kept = original;
  let isReplaced = false;
  const changes: JsonMap[] = [];
  for (const one of patch) {
    const directive = one[DIRECTIVE];
    if (directive === undefined) {
      changes.push(one);
    } else if (directive === 'delete') {
      const gone = keyOf(one, key);
      kept = kept.filter((other) => other[key] !== gone);
    } else if (directive === 'replace') {
      isReplaced = true;
    } else if (directive === 'merge') {
      throw new PatchError('merging lists cannot yet be specified in the patch');
    } else {
      throw new PatchError(`unknown patch type: ${String(directive)} in map: ${goText(one)}`);
    }
  }
  return isReplaced ? { kept: changes, changes: [] } : { kept, changes };
}

function keyOf(map: JsonMap, key: string): Json {
  const value = map[key];
  if (value !== undefined) return value;
  throw new PatchError(`map: ${goText(map)} does not contain declared merge key: ${key}`);
}

function withoutScalars(list: readonly Json[], gone: readonly Json[]): Json[] {
  return list.filter((one) => !gone.includes(one));
}

/**
 * Elements that `order` names come in its order, among the others: one of these goes before the next that is named if it stood before it
 * in `original`.
 */
function inOrder(
  list: readonly Json[],
  order: readonly Json[],
  mergeKey: string | null | undefined,
  original = list,
): Json[] {
  const identity = (one: Json): Json | undefined =>
    isMap(one) ? (typeof mergeKey === 'string' ? keyOf(one, mergeKey) : jsonText(one)) : one;
  const wanted = order.map(identity);
  const positions = new Map(original.map((one, i) => [identity(one), i]));
  const named = list
    .filter((one) => wanted.includes(identity(one)))
    .toSorted((a, b) => wanted.indexOf(identity(a)) - wanted.indexOf(identity(b)));
  const others = list.filter((one) => !wanted.includes(identity(one)));
  const result: Json[] = [];
  let next = 0;
  for (const one of named) {
    const position = positions.get(identity(one)) ?? -1;
    while (next < others.length && isBefore(positions.get(identity(others[next]!)), position)) {
      result.push(others[next++]!);
    }
    result.push(one);
  }
  return [...result, ...others.slice(next)];
}

/** What was not there before is before nothing. */
function isBefore(position: number | undefined, other: number): boolean {
  return position !== undefined && position < other;
}
