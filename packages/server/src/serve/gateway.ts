/**
 * The JSON gateway: `POST /v3/…` is the call of a method, its body the request as JSON, its answer the message as JSON, or one line
 * `{"result":…}` for each message of a stream. Routes and messages are those of the generated services.
 *
 * Calls go over a connection in memory to the member's own gRPC server, so everything that is asked of a call is asked of these, too. They carry
 * the caller's token and never an identity of the member's own (S07): what comes from here is marked as such.
 */
import type { Method, MethodKind } from '@etcd/api';
import { JsonError, messageFromJson, messageToJson } from '@etcd/api/json';
import { SERVICES } from '@etcd/api/services';
import { type Clock, GrpcCode, utf8FromBytes, utf8ToBytes } from '@etcd/base';
import {
  type ClientCall,
  type ClientReceiver,
  GrpcChannel,
  type GrpcServer,
  type Metadata,
  memoryDuplexPair,
} from '@etcd/transport';
import type { AnswerHeaders, HttpCall } from './http-call.ts';
import { JsonValues } from './json-values.ts';

type AnyMethod = Method<MethodKind, object, object>;

export interface GatewayOptions {
  readonly grpc: GrpcServer;
  readonly clock: Clock;
  /** The longest body: base64 makes requests a third longer. */
  readonly maxBodyBytes: number;
}

const MAX_ANSWER_BYTES = 2 ** 31 - 1;

const JSON_HEADERS: AnswerHeaders = [['content-type', 'application/json']];
const ANSWER_HEADERS: AnswerHeaders = [...JSON_HEADERS, ['grpc-metadata-content-type', 'application/grpc']];
/** Headers that are metadata of the call. */
const METADATA_PREFIX = 'grpc-metadata-';

const ROUTES: ReadonlyMap<string, AnyMethod> = new Map(
  SERVICES.flatMap(({ methods }) => Object.values(methods)).flatMap((method): [string, AnyMethod][] =>
    method.gatewayPaths.map((path) => [path, method]),
  ),
);

export class Gateway {
  readonly #options: GatewayOptions;
  #channel: GrpcChannel | null = null;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  answer(path: string, call: HttpCall): void {
    const method = ROUTES.get(path);
    if (method === undefined) return refuse(call, GrpcCode.NotFound, 'Not Found');
    if (call.method !== 'POST') return refuse(call, GrpcCode.Unimplemented, 'Method Not Allowed');
    if (method.kind === 'bidi-stream') this.#converse(method, call);
    else this.#ask(method, call);
  }

  /** One request, which is the whole body. */
  #ask(method: AnyMethod, call: HttpCall): void {
    const body = new Body(this.#options.maxBodyBytes);
    call.readBody(
      (bytes) => body.add(bytes),
      () => {
        if (body.isTooLong) return refuse(call, GrpcCode.ResourceExhausted, body.complaint);
        const request = decode(method, body.text(), call);
        if (request === null) return;
        const answer =
          method.kind === 'unary' ? new UnaryAnswer(method, call) : new StreamAnswer(method, call);
        const upstream = this.#open(method, call, answer);
        upstream.write(request);
        upstream.halfClose();
      },
    );
  }

  /**
   * As many requests as there are values in the body, each sent when it is there. As in etcd, a value that is none ends what the client
   * sends, and the stream goes on; but if it is the first one, the client is told.
   */
  #converse(method: AnyMethod, call: HttpCall): void {
    const { maxBodyBytes } = this.#options;
    const values = new JsonValues();
    const answer = new StreamAnswer(method, call);
    const upstream = this.#open(method, call, answer);
    let bodyBytes = 0;
    let hasSent = false;
    let isOver = false;
    const stop = (code: number, message: string): void => {
      isOver = true;
      if (hasSent) return upstream.halfClose();
      answer.refuse(code, message);
      upstream.cancel();
    };
    const take = (texts: () => readonly string[]): void => {
      try {
        for (const text of texts()) {
          upstream.write(encodeRequest(method, text));
          hasSent = true;
        }
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        stop(GrpcCode.InvalidArgument, error.message);
      }
    };
    call.readBody(
      (bytes) => {
        if (isOver) return;
        bodyBytes += bytes.length;
        if (bodyBytes > maxBodyBytes) stop(GrpcCode.ResourceExhausted, tooLong(maxBodyBytes));
        else take(() => values.add(bytes));
      },
      () => {
        if (isOver) return;
        take(() => [values.rest()].filter((text) => text !== ''));
        upstream.halfClose();
      },
    );
  }

  #open(method: AnyMethod, call: HttpCall, receiver: ClientReceiver): ClientCall {
    const upstream = this.#connected().call(method.path, receiver, { metadata: metadataOf(call) });
    call.onCancel(() => upstream.cancel());
    return upstream;
  }

  #connected(): GrpcChannel {
    if (this.#channel === null || !this.#channel.isOpen) {
      const { grpc, clock } = this.#options;
      const [theirs, ours] = memoryDuplexPair({ clock });
      grpc.accept(ours);
      this.#channel = new GrpcChannel(theirs, {
        clock,
        authority: 'gateway',
        maxReceiveMessageBytes: MAX_ANSWER_BYTES,
      });
    }
    return this.#channel;
  }
}

/** Gathers a body, up to a limit. */
class Body {
  readonly #limit: number;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isTooLong(): boolean {
    return this.#length > this.#limit;
  }

  get complaint(): string {
    return tooLong(this.#limit);
  }

  add(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (!this.isTooLong) this.#pieces.push(bytes);
  }

  text(): string {
    if (this.#pieces.length > 1) this.#pieces.splice(0, this.#pieces.length, Buffer.concat(this.#pieces));
    return this.#pieces.length === 0 ? '' : utf8FromBytes(this.#pieces[0]!);
  }
}

function tooLong(limitBytes: number): string {
  return `request body is longer than ${limitBytes} bytes`;
}

function decode(method: AnyMethod, text: string, call: HttpCall): Uint8Array | null {
  try {
    return encodeRequest(method, text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    refuse(call, GrpcCode.InvalidArgument, error.message);
    return null;
  }
}

function encodeRequest({ request }: AnyMethod, text: string): Uint8Array {
  const message = messageFromJson(request.name, text);
  const bytes = new Uint8Array(request.size(message));
  request.write(message, bytes, 0);
  return bytes;
}

/** A call's answer as the body of an answer. */
class UnaryAnswer implements ClientReceiver {
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
    this.#call.respond(200, ANSWER_HEADERS, utf8ToBytes(this.#json));
  }
}

/** Each message as a line. */
class StreamAnswer implements ClientReceiver {
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
    if (!this.#call.write(utf8ToBytes(line))) upstream.pause();
  }

  onEnd(_upstream: ClientCall, code: number, message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const line = utf8ToBytes(`{"error":${statusJson(code, message)}}`);
    if (this.#hasStarted) {
      if (code !== GrpcCode.OK) this.#call.write(line);
      return this.#call.end();
    }
    if (code === GrpcCode.OK) this.#call.respond(200, ANSWER_HEADERS, new Uint8Array(0));
    else this.#call.respond(httpStatus(code), JSON_HEADERS, line);
  }
}

function answerJson({ response }: AnyMethod, bytes: Uint8Array, start: number, end: number): string {
  return messageToJson(response.name, response.decode(bytes, start, end));
}

function refuse(call: HttpCall, code: number, message: string): void {
  call.respond(httpStatus(code), JSON_HEADERS, utf8ToBytes(statusJson(code, message)));
}

function statusJson(code: number, message: string): string {
  return `{"code":${code},"message":${JSON.stringify(message)}}`;
}

/** The token, headers that are meant for the call, where it comes from, and the mark by which a call from here is known. */
function metadataOf(call: HttpCall): Metadata {
  const metadata: [string, string][] = [
    ['grpcgateway-accept', call.header('accept') ?? ''],
    ['x-forwarded-for', call.remoteAddress],
  ];
  const token = call.header('authorization');
  if (token !== null) metadata.push(['authorization', token]);
  const direct = call.header(`${METADATA_PREFIX}token`);
  if (direct !== null) metadata.push(['token', direct]);
  return metadata;
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
