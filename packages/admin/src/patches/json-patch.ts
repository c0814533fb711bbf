/** JSON patches (RFC 6902), which say what does not apply in the words of the library that kubeadm has. */
import { applyPatch, type Operation, Pointer } from 'rfc6902';
import { isMap, type Json } from './json.ts';
import { PatchError } from './patch-error.ts';

const OPERATIONS = ['add', 'remove', 'replace', 'move', 'copy', 'test'];
const WITH_VALUE = ['add', 'replace', 'test'];
const WITH_FROM = ['move', 'copy'];

/** Throws {@link PatchError}, where a single operation does not apply. The document is left as it is. */
export function jsonPatch(document: Json, patch: Json): Json {
  if (!Array.isArray(patch)) {
    throw new PatchError(`json: cannot unmarshal ${kindOf(patch)} into Go value of type jsonpatch.Patch`);
  }
  // An operation may put something in the place of the whole.
  const holder = { document: structuredClone(document) };
  for (const one of patch) {
    const operation = asKubeadmTakes(holder.document, operationOf(one));
    const [problem] = applyPatch(holder, [below('/document', operation)]);
    if (problem != null) throw new PatchError(complaint(holder.document, operation));
  }
  return holder.document;
}

/** A field that is not there is replaced by it all the same. */
function asKubeadmTakes(document: Json, operation: Operation): Operation {
  if (operation.op !== 'replace' || !isMap(valueAt(document, parentOf(operation.path)))) return operation;
  return { ...operation, op: 'add' };
}

function parentOf(path: string): string {
  return path.replace(/\/[^/]*$/, '');
}

function below(prefix: string, operation: Operation): Operation {
  const path = `${prefix}${operation.path}`;
  return 'from' in operation
    ? { ...operation, path, from: `${prefix}${operation.from}` }
    : { ...operation, path };
}

function kindOf(value: Json): string {
  if (isMap(value)) return 'object';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function operationOf(one: Json): Operation {
  if (!isMap(one)) {
    throw new PatchError(`json: cannot unmarshal ${kindOf(one)} into Go value of type jsonpatch.Operation`);
  }
  const { op, path, from } = one;
  if (typeof op !== 'string' || !OPERATIONS.includes(op)) {
    throw new PatchError(`Unexpected kind: ${typeof op === 'string' ? op : 'unknown'}`);
  }
  if (typeof path !== 'string') throw new PatchError(`${op} operation failed to decode path: missing value`);
  if (WITH_FROM.includes(op) && typeof from !== 'string') {
    throw new PatchError(
      `${op} operation failed to decode from: operation, missing from field: missing value`,
    );
  }
  if (WITH_VALUE.includes(op) && one['value'] === undefined) {
    throw new PatchError('operation, missing value field: missing value');
  }
  // What an operation is has been looked at.
  return one as unknown as Operation;
}

function complaint(document: Json, operation: Operation): string {
  const { op } = operation;
  if (op === 'move' || op === 'copy') {
    const { from } = operation;
    if (op === 'move' && isMap(valueAt(document, parentOf(from)))) {
      const key = from.split('/').at(-1)!;
      return `error in move for path: '${key}': Unable to remove nonexistent key: ${key}: missing value`;
    }
    if (valueAt(document, from) === undefined) {
      return `${op} operation does not apply: doc is missing from path: ${from}: missing value`;
    }
    return `${op} operation does not apply: doc is missing destination path: ${operation.path}: missing value`;
  }
  const { path } = operation;
  const parent = valueAt(document, parentOf(path));
  const isThere = isMap(parent) || Array.isArray(parent);
  if (op === 'test') {
    if (isThere) return `testing value ${path} failed: test failed`;
    return `test operation does not apply: is missing path: ${path}: missing value`;
  }
  if (!isThere) {
    const shown = op === 'replace' ? path : `"${path}"`;
    return `${op} operation does not apply: doc is missing path: ${shown}: missing value`;
  }
  if (op === 'replace') return `replace operation does not apply: doc is missing key: ${path}: missing value`;
  const key = path.split('/').at(-1)!;
  if (Array.isArray(parent)) {
    return `error in ${op} for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`;
  }
  return `error in ${op} for path: '${path}': Unable to remove nonexistent key: ${key}: missing value`;
}

function valueAt(document: Json, path: string): Json | undefined {
  try {
    return Pointer.fromJSON(path).evaluate(document).value as Json | undefined;
  } catch {
    return undefined;
  }
}
