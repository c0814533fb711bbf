/**
 * A header list, checked against the rules for requests, responses and trailers (RFC 9113, section 8.2 and
 * 8.3). Made once per distinct block of a connection and shared by every message that repeats it, so it must
 * never be changed; what the layer above concludes from it goes into {@link Head.attachment}.
 */
import type { HeaderField } from '../hpack/header-field.ts';
import { FieldKind } from '../hpack/header-field.ts';

/** No `content-length`. */
export const NO_LENGTH = -1;

export class Head {
  readonly fields: readonly HeaderField[];
  readonly listSizeBytes: number;

  // Pseudo-header fields; the empty string when absent.
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  /** 0 when absent. */
  readonly status: number;

  /** Value of `content-length`, or -1. */
  readonly contentLength: number;
  readonly hasPseudo: boolean;
  /** Whether it breaks a rule that every list must keep. */
  readonly isMalformed: boolean;

  /** What the layer above made of this head; null until it has looked. */
  attachment: object | null = null;

  constructor(fields: readonly HeaderField[], listSizeBytes: number) {
    this.fields = fields;
    this.listSizeBytes = listSizeBytes;
    const pseudo: (string | null)[] = [null, null, null, null, null];
    let isMalformed = false;
    let hasRegular = false;
    let contentLength = NO_LENGTH;
    for (const field of fields) {
      if (!field.isValid) isMalformed = true;
      if (field.isPseudo) {
        const slot = field.kind - FieldKind.METHOD;
        if (hasRegular || field.kind === FieldKind.UNKNOWN_PSEUDO || pseudo[slot] !== null)
          isMalformed = true;
        pseudo[slot] = field.value;
        continue;
      }
      hasRegular = true;
      if (field.kind === FieldKind.CONNECTION_SPECIFIC) isMalformed = true;
      if (field.kind === FieldKind.TE && field.value !== 'trailers') isMalformed = true;
      if (field.kind === FieldKind.CONTENT_LENGTH) {
        const length = parseLength(field.value);
        if (length < 0 || (contentLength >= 0 && contentLength !== length)) isMalformed = true;
        contentLength = length;
      }
    }
    const [method, scheme, authority, path, status = null] = pseudo;
    this.method = method ?? '';
    this.scheme = scheme ?? '';
    this.authority = authority ?? '';
    this.path = path ?? '';
    this.status = status === null ? 0 : parseStatus(status);
    if (status !== null && this.status === 0) isMalformed = true;
    this.contentLength = contentLength;
    this.hasPseudo = pseudo.some((value) => value !== null);
    this.isMalformed = isMalformed;
  }

  /** Whether this can begin a request. */
  get isRequest(): boolean {
    if (this.isMalformed || this.status !== 0 || this.method === '') return false;
    if (this.method === 'CONNECT') return this.scheme === '' && this.path === '' && this.authority !== '';
    return this.scheme !== '' && this.path !== '';
  }

  /** Whether this can begin a response. */
  get isResponse(): boolean {
    return (
      !this.isMalformed && this.status !== 0 && this.method === '' && this.path === '' && this.scheme === ''
    );
  }

  /** Whether this can end a message. */
  get isTrailers(): boolean {
    return !this.isMalformed && !this.hasPseudo;
  }

  /** The first value of header `name` (lower case), or null. */
  value(name: string): string | null {
    for (const field of this.fields) if (field.name === name) return field.value;
    return null;
  }

  /** All values of header `name` (lower case), in order. */
  values(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map((field) => field.value);
  }
}

function parseLength(text: string): number {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : -1;
}

function parseStatus(text: string): number {
  return /^[1-9][0-9]{2}$/.test(text) ? Number(text) : 0;
}
