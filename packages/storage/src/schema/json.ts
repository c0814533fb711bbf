/** JSON as Go's encoding/json writes it, with 64-bit integers: ids are numbers in the file that a double can't hold. */

/** Parses JSON; integers beyond 2^53 become BigInts, exactly. Throws `SyntaxError`. */
export function parseGoJson(text: string): unknown {
  return JSON.parse(text, exactInteger as (key: string, value: unknown) => unknown);
}

/** V8 tells a reviver the source text of a primitive; the types do not know that yet. */
function exactInteger(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  return /^-?\d+$/.test(context.source ?? '') ? BigInt(context.source!) : value;
}

// --- checked access to parsed values

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An id: an integer of 64 bits, 0 where absent. Throws `TypeError`. */
function uint64Of(value: unknown): bigint {
  if (value === undefined || value === null) return 0n;
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) {
    const id = BigInt(value as number | bigint);
    if (id >= 0n && id < 2n ** 64n) return id;
  }
  throw new TypeError('not an unsigned 64-bit integer');
}

export function uint64sOf(value: unknown): bigint[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new TypeError('not a list');
  return value.map(uint64Of);
}

export function booleanOf(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw new TypeError('not a boolean');
  return value;
}
