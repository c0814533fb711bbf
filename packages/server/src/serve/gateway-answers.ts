/** What the gateway answers: messages as JSON, lines of a stream, errors with their status. */
import type { Method, MethodKind } from '@etcd/api';
import { messageToJson } from '@etcd/api/json';
import { GrpcCode } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import type { AnswerHeaders, HttpCall } from './http-call.ts';

export type AnyMethod = Method<MethodKind, object, object>;

const JSON_HEADERS: AnswerHeaders = [['content-type', 'application/json']];
const ANSWER_HEADERS: AnswerHeaders = [...JSON_HEADERS, ['grpc-metadata-content-type', 'application/grpc']];

/** A call's answer as the body of an answer. */
export class UnaryAnswer implements ClientReceiver {
  readonly #method: AnyMethod;
  readonly #call: HttpCall;
  #json: string | null = null;

  constructor(method: AnyMethod, call: HttpCall) {
    this.#method = method;
    this.#call = call;
  }

  onMessage(_upstream: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#json = answerJson(this.#method, bytes, start, end);
  }

  onEnd(_upstream: ClientCall, code: number, message: string): void {
    if (code !== GrpcCode.OK || this.#json === null) return refuse(this.#call, code, message);
    this.#call.respond(200, ANSWER_HEADERS, this.#json);
  }
}

/** Each message as a line. */
export class StreamAnswer implements ClientReceiver {
  readonly #method: AnyMethod;
  readonly #call: HttpCall;
  #hasStarted = false;
  #isOver = false;

  constructor(method: AnyMethod, call: HttpCall) {
    this.#method = method;
    this.#call = call;
  }

  /** Answers in the place of the member, which has not been asked anything. */
  refuse(code: number, message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    refuse(this.#call, code, message);
  }

  onMessage(upstream: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isOver) return;
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      this.#call.start(200, ANSWER_HEADERS);
      // Whoever does not read what he gets is not sent more.
      this.#call.onWritable(() => upstream.resume());
    }
    const line = `{"result":${answerJson(this.#method, bytes, start, end)}}\n`;
    if (!this.#call.write(line)) upstream.pause();
  }

  /** The member takes requests again. */
  onWritable(): void {
    this.#call.resumeBody();
  }

  onEnd(_upstream: ClientCall, code: number, message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const line = `{"error":${statusJson(code, message)}}`;
    if (this.#hasStarted) {
      if (code !== GrpcCode.OK) this.#call.write(line);
      return this.#call.end();
    }
    if (code === GrpcCode.OK) this.#call.respond(200, ANSWER_HEADERS, '');
    else this.#call.respond(httpStatus(code), JSON_HEADERS, line);
  }
}

function answerJson({ response }: AnyMethod, bytes: Uint8Array, start: number, end: number): string {
  return messageToJson(response.name, response.decode(bytes, start, end));
}

export function refuse(call: HttpCall, code: number, message: string): void {
  call.respond(httpStatus(code), JSON_HEADERS, statusJson(code, message));
}

export function statusJson(code: number, message: string): string {
  return `{"code":${code},"message":${JSON.stringify(message)}}`;
}

const HTTP_STATUS: Readonly<Record<number, number>> = {
  [GrpcCode.OK]: 200,
  [GrpcCode.Canceled]: 499,
  [GrpcCode.InvalidArgument]: 400,
  [GrpcCode.DeadlineExceeded]: 504,
  [GrpcCode.NotFound]: 404,
  [GrpcCode.AlreadyExists]: 409,
  [GrpcCode.PermissionDenied]: 403,
  [GrpcCode.Unauthenticated]: 401,
  [GrpcCode.ResourceExhausted]: 429,
  [GrpcCode.FailedPrecondition]: 400,
  [GrpcCode.Aborted]: 409,
  [GrpcCode.OutOfRange]: 400,
  [GrpcCode.Unimplemented]: 501,
  [GrpcCode.Unavailable]: 503,
};

function httpStatus(code: number): number {
  return HTTP_STATUS[code] ?? 500;
}
