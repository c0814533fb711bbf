/**
 * What a server does with a request's head: which method it is for, or how it is refused. Found out once per
 * distinct head of a connection. The checks, their order and their texts are those of grpc-go's server.
 */

import { GrpcCode } from '@etcd/base';
import { FieldKind } from '../hpack/header-field.ts';
import type { Head } from '../http2/head.ts';
import { ACCEPTED_ENCODINGS, Encoding, encodingOf } from './compression.ts';
import type { GrpcMethod } from './grpc-method.ts';
import { decodeMetadataValue, illegalBase64At, type Metadata, NO_METADATA } from './metadata.ts';
import { quote } from './status.ts';

const GRPC_CONTENT_TYPE = 'application/grpc';

const HTTP_OK = 200;
const HTTP_BAD_REQUEST = 400;
const HTTP_METHOD_NOT_ALLOWED = 405;
const HTTP_UNSUPPORTED_MEDIA_TYPE = 415;

/** The methods that a server offers. Paths are compared as they are: nothing is decoded or normalised. */
export interface MethodTable {
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly services: ReadonlySet<string>;
}

/** How a request is refused. */
export class Refusal {
  readonly httpStatus: number;
  readonly code: number;
  readonly message: string;
  readonly metadata: Metadata;

  constructor(httpStatus: number, code: number, message: string, metadata = NO_METADATA) {
    this.httpStatus = httpStatus;
    this.code = code;
    this.message = message;
    this.metadata = metadata;
  }
}

export class GrpcRoute {
  /** Null when {@link refusal} says why. */
  readonly method: GrpcMethod | null;
  readonly refusal: Refusal | null;
  readonly encoding: number;
  /** The answer's content-type: that of the request. */
  readonly contentType: string;

  constructor(head: Head, table: MethodTable) {
    const encoding = head.value('grpc-encoding');
    const contentType = head.value('content-type') ?? '';
    const method = table.methods.get(head.path) ?? null;
    this.encoding = encodingOf(encoding);
    this.contentType = answerContentType(contentType);
    this.refusal =
      refusalByHead(head, contentType) ??
      (method === null ? refusalByPath(head.path, table) : null) ??
      (this.encoding === Encoding.UNSUPPORTED ? refusalByEncoding(encoding ?? '') : null);
    this.method = this.refusal === null ? method : null;
  }
}

/** Whether a request with this content-type is one of gRPC. */
export function isGrpcContentType(contentType: string): boolean {
  if (!contentType.startsWith(GRPC_CONTENT_TYPE)) return false;
  const next = contentType[GRPC_CONTENT_TYPE.length];
  return next === undefined || next === '+' || next === ';';
}

/** grpc-go takes whatever follows the separator as the name of a codec, and answers with it. */
function answerContentType(contentType: string): string {
  if (!isGrpcContentType(contentType)) return GRPC_CONTENT_TYPE;
  const subtype = contentType.slice(GRPC_CONTENT_TYPE.length + 1);
  return subtype === '' ? GRPC_CONTENT_TYPE : `${GRPC_CONTENT_TYPE}+${subtype}`;
}

function refusalByHead(head: Head, contentType: string): Refusal | null {
  const hostCount = head.fields.filter((field) => field.kind === FieldKind.HOST).length;
  if (hostCount > 1) {
    const authorityCount = head.authority === '' ? 0 : 1;
    const text = `num values of :authority: ${authorityCount}, num values of host: ${hostCount}, both must only have 1 value as per HTTP/2 spec`;
    return new Refusal(HTTP_BAD_REQUEST, GrpcCode.Internal, text);
  }
  if (!isGrpcContentType(contentType)) {
    const text = `invalid gRPC request content-type ${quote(contentType)}`;
    return new Refusal(HTTP_UNSUPPORTED_MEDIA_TYPE, GrpcCode.InvalidArgument, text);
  }
  for (const { name, value } of head.fields) {
    if (decodeMetadataValue(name, value) !== null) continue;
    const problem = `illegal base64 data at input byte ${illegalBase64At(value)}`;
    const text = `malformed binary metadata ${quote(value)} in header ${quote(name)}: ${problem}`;
    return new Refusal(HTTP_BAD_REQUEST, GrpcCode.Internal, text);
  }
  if (head.method !== 'POST') {
    const text = `Received a HEADERS frame with :method ${quote(head.method)} which should be POST`;
    return new Refusal(HTTP_METHOD_NOT_ALLOWED, GrpcCode.Internal, text);
  }
  return null;
}

function refusalByPath(path: string, table: MethodTable): Refusal {
  const slash = path.lastIndexOf('/');
  let text: string;
  if (!path.startsWith('/') || slash === 0) {
    text = `malformed method name: ${quote(path)}`;
  } else {
    const service = path.slice(1, slash);
    const name = path.slice(slash + 1);
    text = table.services.has(service)
      ? `unknown method ${name} for service ${service}`
      : `unknown service ${service}`;
  }
  return new Refusal(HTTP_OK, GrpcCode.Unimplemented, text);
}

function refusalByEncoding(encoding: string): Refusal {
  const text = `grpc: Decompressor is not installed for grpc-encoding ${quote(encoding)}`;
  return new Refusal(HTTP_OK, GrpcCode.Unimplemented, text, [['grpc-accept-encoding', ACCEPTED_ENCODINGS]]);
}

/** A malformed `grpc-timeout` is found per request, since it is not part of the head. */
export function refusalByTimeout(text: string): Refusal {
  return new Refusal(HTTP_BAD_REQUEST, GrpcCode.Internal, text);
}

export const DEADLINE_PASSED = new Refusal(HTTP_OK, GrpcCode.DeadlineExceeded, 'context deadline exceeded');
