/**
 * What a client concludes from the headers or trailers of an answer: the protocol's own, gRPC's status, or
 * why this is no answer of gRPC at all. Found out once per distinct head of a connection. Texts and codes are
 * those of grpc-go's client.
 */

import { GrpcCode } from '@etcd/base';
import { FieldKind } from '../hpack/header-field.ts';
import type { Head } from '../http2/head.ts';
import { encodingOf } from './compression.ts';
import { isGrpcContentType } from './grpc-route.ts';
import { codeFromHttpStatus, decodeGrpcMessage, parseGrpcStatus, quote } from './status.ts';

export class AnswerHead {
  /** A 1xx head, which only announces the real one. */
  readonly isInterim: boolean;
  /** Not empty when these can't be the headers of a gRPC answer: why not. */
  readonly problem: string = '';
  /** The code that goes with {@link problem}. */
  readonly problemCode: number;
  readonly encoding: number;
  readonly encodingName: string;
  // The status, if these are trailers.
  readonly code: number;
  readonly message: string;

  constructor(head: Head) {
    let contentType: string | null = null;
    let encoding: string | null = null;
    let status: string | null = null;
    let message = '';
    for (const { kind, value } of head.fields) {
      if (kind === FieldKind.CONTENT_TYPE) contentType ??= value;
      else if (kind === FieldKind.GRPC_ENCODING) encoding = value;
      else if (kind === FieldKind.GRPC_STATUS) status = value;
      else if (kind === FieldKind.GRPC_MESSAGE) message = decodeGrpcMessage(value);
    }
    this.isInterim = head.status >= 100 && head.status < 200;
    this.problem = problemOf(head, contentType);
    this.problemCode = codeFromHttpStatus(head.status);
    this.encoding = encodingOf(encoding);
    this.encodingName = encoding ?? '';
    const code = status === null ? GrpcCode.Unknown : parseGrpcStatus(status);
    this.code = code < 0 ? GrpcCode.Unknown : code;
    this.message = code < 0 ? `transport: malformed grpc-status: ${quote(status ?? '')}` : message;
  }

  /** What these headers say, from the head's memory when they have been seen before. */
  static of(head: Head): AnswerHead {
    if (head.attachment instanceof AnswerHead) return head.attachment;
    const answer = new AnswerHead(head);
    head.attachment = answer;
    return answer;
  }
}

function problemOf(head: Head, contentType: string | null): string {
  if (contentType !== null && isGrpcContentType(contentType)) return '';
  const status = `unexpected HTTP status code received from server: ${head.status} (${statusText(head.status)})`;
  if (contentType === null) return `${status}; malformed header: missing HTTP content-type`;
  return `${status}; transport: received unexpected content-type ${quote(contentType)}`;
}

const STATUS_TEXTS: ReadonlyMap<number, string> = new Map([
  [200, 'OK'],
  [204, 'No Content'],
  [301, 'Moved Permanently'],
  [302, 'Found'],
  [307, 'Temporary Redirect'],
  [400, 'Bad Request'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [408, 'Request Timeout'],
  [413, 'Request Entity Too Large'],
  [415, 'Unsupported Media Type'],
  [429, 'Too Many Requests'],
  [431, 'Request Header Fields Too Large'],
  [500, 'Internal Server Error'],
  [501, 'Not Implemented'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
]);

function statusText(status: number): string {
  return STATUS_TEXTS.get(status) ?? '';
}
