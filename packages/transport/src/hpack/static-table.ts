/** The static table of HPACK (RFC 7541, appendix A): index 1 is the first entry, index 0 does not exist. */
import { HeaderField } from './header-field.ts';

// biome-ignore format: pairs of name and value, a few a line
const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'],
  [':scheme', 'http'], [':scheme', 'https'], [':status', '200'], [':status', '204'], [':status', '206'],
  [':status', '304'], [':status', '400'], [':status', '404'], [':status', '500'], ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'], ['accept-language', ''], ['accept-ranges', ''], ['accept', ''],
  ['access-control-allow-origin', ''], ['age', ''], ['allow', ''], ['authorization', ''], ['cache-control', ''],
  ['content-disposition', ''], ['content-encoding', ''], ['content-language', ''], ['content-length', ''],
  ['content-location', ''], ['content-range', ''], ['content-type', ''], ['cookie', ''], ['date', ''],
  ['etag', ''], ['expect', ''], ['expires', ''], ['from', ''], ['host', ''], ['if-match', ''],
  ['if-modified-since', ''], ['if-none-match', ''], ['if-range', ''], ['if-unmodified-since', ''],
  ['last-modified', ''], ['link', ''], ['location', ''], ['max-forwards', ''], ['proxy-authenticate', ''],
  ['proxy-authorization', ''], ['range', ''], ['referer', ''], ['refresh', ''], ['retry-after', ''],
  ['server', ''], ['set-cookie', ''], ['strict-transport-security', ''], ['transfer-encoding', ''],
  ['user-agent', ''], ['vary', ''], ['via', ''], ['www-authenticate', ''],
];

/** Number of entries; the dynamic table's indices follow. */
export const STATIC_TABLE_COUNT = ENTRIES.length;

/** Entry `index` for 1 <= index <= {@link STATIC_TABLE_COUNT}; slot 0 is unused. */
export const STATIC_TABLE: readonly HeaderField[] = [
  new HeaderField('unused', ''),
  ...ENTRIES.map(([name, value]) => new HeaderField(name, value)),
];

const indexByName = new Map<string, number>();
const indexByField = new Map<string, number>();
for (const [i, [name, value]] of ENTRIES.entries()) {
  if (!indexByName.has(name)) indexByName.set(name, i + 1);
  indexByField.set(fieldKey(name, value), i + 1);
}

/** A key that no two different fields share: a name holds no NUL. */
function fieldKey(name: string, value: string): string {
  return `${name}\0${value}`;
}

/** Index of the first entry of that name, 0 when there is none. */
export function staticIndexOfName(name: string): number {
  return indexByName.get(name) ?? 0;
}

/** Index of exactly this field, 0 when there is none. */
export function staticIndexOfField(name: string, value: string): number {
  return indexByField.get(fieldKey(name, value)) ?? 0;
}
