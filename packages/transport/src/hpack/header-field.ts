/**
 * One decoded header field. A field object lives in the dynamic table and in every block that refers to it,
 * so what can be said about it (which name it is, whether it is well-formed) is found out once, not per
 * request.
 */

/** What a name means to this package: an integer to switch on instead of a string. */
export const FieldKind = {
  OTHER: 0,
  METHOD: 1,
  SCHEME: 2,
  AUTHORITY: 3,
  PATH: 4,
  STATUS: 5,
  UNKNOWN_PSEUDO: 6,
  CONNECTION_SPECIFIC: 7,
  TE: 8,
  HOST: 9,
  CONTENT_LENGTH: 10,
  CONTENT_TYPE: 11,
  GRPC_TIMEOUT: 12,
  GRPC_ENCODING: 13,
  GRPC_STATUS: 14,
  GRPC_MESSAGE: 15,
  EXPECT: 16,
} as const;

const KINDS: ReadonlyMap<string, number> = new Map([
  [':method', FieldKind.METHOD],
  [':scheme', FieldKind.SCHEME],
  [':authority', FieldKind.AUTHORITY],
  [':path', FieldKind.PATH],
  [':status', FieldKind.STATUS],
  ['connection', FieldKind.CONNECTION_SPECIFIC],
  ['keep-alive', FieldKind.CONNECTION_SPECIFIC],
  ['proxy-connection', FieldKind.CONNECTION_SPECIFIC],
  ['transfer-encoding', FieldKind.CONNECTION_SPECIFIC],
  ['upgrade', FieldKind.CONNECTION_SPECIFIC],
  ['te', FieldKind.TE],
  ['host', FieldKind.HOST],
  ['content-length', FieldKind.CONTENT_LENGTH],
  ['content-type', FieldKind.CONTENT_TYPE],
  ['grpc-timeout', FieldKind.GRPC_TIMEOUT],
  ['grpc-encoding', FieldKind.GRPC_ENCODING],
  ['grpc-status', FieldKind.GRPC_STATUS],
  ['grpc-message', FieldKind.GRPC_MESSAGE],
  ['expect', FieldKind.EXPECT],
]);

/** What a field costs in a table or list beyond its bytes (RFC 7541, section 4.1). */
const FIELD_OVERHEAD_BYTES = 32;

let nextId = 1;

export class HeaderField {
  readonly name: string;
  /** Latin-1: one UTF-16 unit a byte. */
  readonly value: string;
  readonly kind: number;
  /**
   * Whether name and value hold only characters that HTTP/2 allows; a block with one that doesn't is
   * malformed.
   */
  readonly isValid: boolean;
  readonly hasValidName: boolean;
  readonly sizeBytes: number;
  /** Distinguishes field objects, for hashing a list of them. */
  readonly id: number;

  /**
   * @param sameName a field of the same name, if there is one: what is known about the name is taken from it.
   */
  constructor(name: string, value: string, sameName: HeaderField | null = null) {
    this.name = name;
    this.value = value;
    this.kind = sameName === null ? kindOf(name) : sameName.kind;
    this.hasValidName = sameName === null ? isValidName(name) : sameName.hasValidName;
    this.isValid = this.hasValidName && isValidValue(value);
    this.sizeBytes = name.length + value.length + FIELD_OVERHEAD_BYTES;
    this.id = nextId++ | 0;
  }

  get isPseudo(): boolean {
    return this.kind >= FieldKind.METHOD && this.kind <= FieldKind.UNKNOWN_PSEUDO;
  }
}

function kindOf(name: string): number {
  return KINDS.get(name) ?? (name.startsWith(':') ? FieldKind.UNKNOWN_PSEUDO : FieldKind.OTHER);
}

/** RFC 9113, section 8.2.1: visible ASCII without upper case; a colon only in front. */
function isValidName(name: string): boolean {
  if (name.length === 0) return false;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c <= 0x20 || c >= 0x7f || (c >= 0x41 && c <= 0x5a) || (c === 0x3a && i > 0)) return false;
  }
  return true;
}

function isValidValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 0 || c === 0x0a || c === 0x0d) return false;
  }
  return true;
}
