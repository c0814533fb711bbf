/** Merge patches (RFC 7386): what is null goes, what is a map is merged, all else is put in place. */
import { isMap, type Json, type JsonMap } from './json.ts';

export function mergePatch(target: Json, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const merged: JsonMap = isMap(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name] ?? null, value);
  }
  return merged;
}
