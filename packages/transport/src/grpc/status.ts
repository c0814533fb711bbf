/** How gRPC's status codes travel in headers, and what HTTP's codes mean in their place. */
import { isUtf8 } from 'node:buffer';
import { GrpcCode } from '@etcd/base';
import { ErrorCode } from '../http2/protocol.ts';

/** The code that a reset with this HTTP/2 error code stands for. */
export function codeFromReset(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.REFUSED_STREAM:
      return GrpcCode.Unavailable;
    case ErrorCode.CANCEL:
      return GrpcCode.Canceled;
    case ErrorCode.FLOW_CONTROL_ERROR:
    case ErrorCode.ENHANCE_YOUR_CALM:
      return GrpcCode.ResourceExhausted;
    case ErrorCode.INADEQUATE_SECURITY:
      return GrpcCode.PermissionDenied;
    default:
      return errorCode <= ErrorCode.HTTP_1_1_REQUIRED ? GrpcCode.Internal : GrpcCode.Unknown;
  }
}

/** The code that this HTTP status stands for when the answer is not one of gRPC. */
export function codeFromHttpStatus(status: number): number {
  switch (status) {
    case 400:
      return GrpcCode.Internal;
    case 401:
      return GrpcCode.Unauthenticated;
    case 403:
      return GrpcCode.PermissionDenied;
    case 404:
      return GrpcCode.Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcCode.Unavailable;
    default:
      return GrpcCode.Unknown;
  }
}

/** The value of `grpc-status`, -1 when it is not a number. */
export function parseGrpcStatus(text: string): number {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : -1;
}

/** `grpc-message`: UTF-8, everything but visible ASCII percent-encoded. */
export function encodeGrpcMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let text = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    text += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** Never fails: what is no percent-encoding stays as it is. */
export function decodeGrpcMessage(text: string): string {
  if (!text.includes('%')) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const hex = text.slice(i + 1, i + 3);
    if (text[i] === '%' && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else {
      bytes.push(text.charCodeAt(i));
    }
  }
  return Buffer.from(bytes).toString('utf8');
}

/**
 * A header's value (latin1 of its bytes) in double quotes, as Go's `%q` prints it: error texts carry it. Text
 * is UTF-8 where the bytes are.
 */
export function quote(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  let quoted = '"';
  if (isUtf8(bytes)) for (const character of bytes.toString('utf8')) quoted += quoteCharacter(character);
  else
    for (const byte of bytes)
      quoted += byte < 0x80 ? quoteCharacter(String.fromCharCode(byte)) : hexEscape(byte);
  return `${quoted}"`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

function quoteCharacter(character: string): string {
  const escaped = ESCAPES.get(character);
  if (escaped !== undefined) return escaped;
  const code = character.codePointAt(0)!;
  return code < 0x20 || code === 0x7f ? hexEscape(code) : character;
}

function hexEscape(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}
