/** Field values as a log line can hold them. */

/** More of a key or value than this helps nobody who reads a log. */
const MAX_BYTES_SHOWN = 1024;
/** Deeper parts of an object are named by their type only. */
const MAX_DEPTH = 4;

/**
 * What is written for `value`: text of bytes (base64 where they are no UTF-8), the message of an error, a map as an
 * object. A function is called, so that a field that costs something is made only when the line is written.
 */
export function printable(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'number':
      if (Number.isFinite(value)) return value;
      return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
    case 'bigint':
      // Digits are written as they are; those that a Number holds exactly take the short way.
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case 'function':
      return depth < MAX_DEPTH ? printable(evaluate(value as () => unknown), depth + 1) : '[function]';
    case 'symbol':
      return String(value);
    case 'object':
      return value === null ? null : printableObject(value, depth);
    default:
      return value;
  }
}

function printableObject(value: object, depth: number): unknown {
  if (value instanceof Uint8Array) return bytesText(value);
  if (value instanceof Error) return value.message;
  if (depth >= MAX_DEPTH) return Array.isArray(value) ? '[array]' : '[object]';
  if (Array.isArray(value)) return value.map((item) => printable(item, depth + 1));
  if (value instanceof Set) return [...value].map((item) => printable(item, depth + 1));
  if (value instanceof Map) return entriesObject([...value], depth);
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const { toJSON } = value as { toJSON: () => unknown };
    return printable(
      evaluate(() => toJSON.call(value)),
      depth + 1,
    );
  }
  return entriesObject(Object.entries(value), depth);
}

function entriesObject(entries: readonly (readonly [unknown, unknown])[], depth: number): unknown {
  return Object.fromEntries(entries.map(([key, item]) => [String(key), printable(item, depth + 1)]));
}

/** A log line is never the reason for a failure. */
function evaluate(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    return `[field failed: ${error instanceof Error ? error.message : String(error)}]`;
  }
}

function bytesText(bytes: Uint8Array): string {
  const shown = bytes.length > MAX_BYTES_SHOWN ? bytes.subarray(0, MAX_BYTES_SHOWN) : bytes;
  const more = bytes.length > MAX_BYTES_SHOWN ? `… (${bytes.length} bytes)` : '';
  const view = Buffer.from(shown.buffer, shown.byteOffset, shown.length);
  const text = view.toString('utf8');
  // A cut may fall inside a character, which is no reason to call the whole binary.
  const isText = text.lastIndexOf('\ufffd', text.length - 2) < 0 && (more !== '' || !text.endsWith('\ufffd'));
  return isText ? text + more : view.toString('base64') + more;
}
