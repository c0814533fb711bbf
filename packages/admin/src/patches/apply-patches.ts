/** A static pod with the patches of a directory. */
import { isMap, type Json, jsonText } from './json.ts';
import { jsonPatch } from './json-patch.ts';
import { mergePatch } from './merge-patch.ts';
import { PatchError } from './patch-error.ts';
import { POD } from './pod-schema.ts';
import { type PatchType, readPatches } from './read-patches.ts';
import { strategicMerge } from './strategic-merge.ts';

const MEDIA_TYPES: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

const APPLY: Readonly<Record<PatchType, (document: Json, patch: Json) => Json>> = {
  json: jsonPatch,
  merge: mergePatch,
  strategic: (document, patch) => strategicMerge(document, patch, POD),
};

/** Applies those for `target`. Throws {@link PatchError}; `line` hears what is done. */
export function applyPatches(
  pod: object,
  target: string,
  directory: string,
  line: (text: string) => void,
): object {
  let patched = JSON.parse(JSON.stringify(pod)) as Json;
  try {
    for (const { target: of, type, patches } of readPatches(directory, line)) {
      if (of !== target) continue;
      for (const patch of patches) {
        patched = applied(patched, patch, type, target);
        line(`[patches] Applied patch of type "${MEDIA_TYPES[type]}" to target "${target}"`);
      }
    }
    checkPod(patched);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    throw new PatchError(`failed to patch static Pod manifest file for "${target}": ${error.message}`);
  }
  return patched as object;
}

function applied(document: Json, patch: Json, type: PatchType, target: string): Json {
  try {
    return APPLY[type](document, patch);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    const head = `could not apply the following patch of type "${MEDIA_TYPES[type]}" to target "${target}":`;
    throw new PatchError(`${head}\n${jsonText(patch)}\n: ${error.message}`);
  }
}

/** What a kubelet would not take for a pod is not written into its directory. */
function checkPod(value: Json): void {
  const spec = isMap(value) ? value['spec'] : undefined;
  const containers = isMap(spec) ? spec['containers'] : undefined;
  const isPod = isMap(value) && value['kind'] === 'Pod' && value['apiVersion'] === 'v1';
  const isWhole =
    Array.isArray(containers) &&
    containers.length > 0 &&
    containers.every((one) => isMap(one) && typeof one['name'] === 'string');
  if (!isPod) throw new PatchError('patched manifest is not a valid Pod object');
  if (!isWhole) throw new PatchError('failed to unmarshal patched manifest: it has no containers with names');
}
