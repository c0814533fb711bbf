/**
 * Metadata: the application's headers. Names are lower case; those that end in `-bin` carry bytes, in base64
 * on the wire. The values that an application gives or gets for them are latin1 strings, one unit a byte.
 */
import type { Head } from '../http2/head.ts';

/** Pairs of name and value. */
export type Metadata = readonly (readonly [name: string, value: string])[];

export const NO_METADATA: Metadata = [];

const BINARY_SUFFIX = '-bin';

/** Headers that belong to the protocol and are no metadata. */
const RESERVED: ReadonlySet<string> = new Set([
  'content-type',
  'user-agent',
  'grpc-message-type',
  'grpc-encoding',
  'grpc-message',
  'grpc-status',
  'grpc-timeout',
  'te',
]);

/** The value as it goes on the wire. */
export function encodeMetadataValue(name: string, value: string): string {
  if (!name.endsWith(BINARY_SUFFIX)) return value;
  return Buffer.from(value, 'latin1').toString('base64').replace(/=+$/, '');
}

/** The value as the application sees it; null when it is no base64 though its name says so. */
export function decodeMetadataValue(name: string, value: string): string | null {
  if (!name.endsWith(BINARY_SUFFIX)) return value;
  if (!isBase64(value)) return null;
  return Buffer.from(value, 'base64').toString('latin1');
}

/** Standard alphabet; padding must be right where there is any. */
function isBase64(text: string): boolean {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return false;
  if (text.length % 4 === 0) return true;
  return !text.endsWith('=') && text.length % 4 !== 1;
}

/** Position of the first character of `text` that makes it no base64. */
export function illegalBase64At(text: string): number {
  const at = text.search(/[^A-Za-z0-9+/]/);
  return at < 0 ? Math.max(0, text.length - 1) : at;
}

function isReservedHeader(name: string): boolean {
  return name.startsWith(':') || RESERVED.has(name);
}

/** The first value of `name` (lower case) in `head`, decoded; null when absent. */
export function metadataValue(head: Head, name: string): string | null {
  const value = head.value(name);
  return value === null ? null : decodeMetadataValue(name, value);
}

/** All metadata of `head`, decoded. */
export function metadataOf(head: Head): Metadata {
  const pairs: (readonly [string, string])[] = [];
  for (const { name, value } of head.fields) {
    if (isReservedHeader(name)) continue;
    const decoded = decodeMetadataValue(name, value);
    if (decoded !== null) pairs.push([name, decoded]);
  }
  return pairs;
}
