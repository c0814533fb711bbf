/**
 * The JSON gateway: `POST /v3/…` is the call of a method, its body the request as JSON, its answer the message as JSON, or one line
 * `{"result":…}` for each message of a stream. Routes and messages are those of the generated services.
 *
 * Calls go over a connection in memory to the member's own gRPC server, so everything that is asked of a call is asked of these, too. They carry
 * the caller's token and never an identity of the member's own (S07): what comes from here is marked as such.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { encode } from '@etcd/api';
import { JsonError, messageFromJson } from '@etcd/api/json';
import { SERVICES, WatchService } from '@etcd/api/services';
import { type Clock, GrpcCode, utf8FromBytes, utf8ToBytes } from '@etcd/base';
import {
  type ClientCall,
  type ClientReceiver,
  GrpcChannel,
  type GrpcServer,
  type Http2Limits,
  type Metadata,
  memoryDuplexPair,
} from '@etcd/transport';
import { EventStream, wantsEventStream, watchRequestOf } from './event-stream.ts';
import { type AnyMethod, refuse, StreamAnswer, statusJson, UnaryAnswer } from './gateway-answers.ts';
import { OPEN_API_PATH } from './gateway-paths.ts';
import { gatewayTimeout, NO_TIMEOUT, TIMEOUT_HEADER } from './gateway-timeout.ts';
import type { AnswerHeaders, HttpCall } from './http-call.ts';
import { JsonValues } from './json-values.ts';
import { openApiDocument } from './open-api.ts';
import { UnfinishedBodies } from './unfinished-bodies.ts';
import { WebSockets } from './web-sockets.ts';

export interface GatewayOptions {
  readonly grpc: GrpcServer;
  readonly clock: Clock;
  /** What the program calls itself. */
  readonly version: string;
  /** The longest body: base64 makes requests a third longer. */
  readonly maxBodyBytes: number;
  /** What all bodies of HTTP/1 and WebSockets that have not come to their ends may hold. */
  readonly maxUnfinishedBytes: number;
}

const MAX_ANSWER_BYTES = 2 ** 31 - 1;
/** With more, what waits for clients that do not read could fill the queue of a connection, which ends calls of others. */
const MAX_STREAMS_PER_CONNECTION = 8;
const KIB = 1024;
const HTTP_REQUEST_TIMEOUT = 408;
const HTTP_TOO_MANY = 429;
/** What comes for a client that does not read, before its stream is stopped. */
const STREAM_LIMITS = { streamWindowBytes: 256 * KIB, maxStreamWindowBytes: 1024 * KIB } as const;

/** As long as a body of HTTP/2 has. */
const BODY_IDLE_MS = 60_000;
const TOO_LATE = 'transport: the request did not arrive in time';
const TOO_MANY = 'too many bytes of unfinished requests';

const CLIENT_ADDRESS = 'x-forwarded-for';
/** The token under its name as metadata. */
const TOKEN_HEADER = 'grpc-metadata-token';
/** Whether the call is to end where the member sees no leader. */
const LEADER_HEADER = 'grpc-metadata-hasleader';
const FORM_TYPE = 'application/x-www-form-urlencoded';

const ROUTES: ReadonlyMap<string, AnyMethod> = new Map(
  SERVICES.flatMap(({ methods }) => Object.values(methods)).flatMap((method): [string, AnyMethod][] =>
    method.gatewayPaths.map((path) => [path, method]),
  ),
);

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #unfinished: UnfinishedBodies;
  #channel: GrpcChannel | null = null;
  /** For the next streams. */
  #streams: GrpcChannel | null = null;
  #sockets: WebSockets | null = null;
  #description: Uint8Array | null = null;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#unfinished = new UnfinishedBodies({
      clock: options.clock,
      maxBytes: options.maxUnfinishedBytes,
      idleMs: BODY_IDLE_MS,
    });
  }

  /** Bytes of requests that have not come to their ends. */
  get unfinishedBytes(): number {
    return this.#unfinished.heldBytes;
  }

  answer(path: string, call: HttpCall): void {
    const method = ROUTES.get(path);
    if (path === OPEN_API_PATH) return this.#describe(call);
    if (method === undefined) return refuse(call, GrpcCode.NotFound, 'Not Found');
    if (wantsEventStream(call, method.path)) return this.#streamEvents(call);
    if (methodOf(call) !== 'POST') return refuse(call, GrpcCode.Unimplemented, 'Method Not Allowed');
    const timeoutMs = gatewayTimeout(call.header(TIMEOUT_HEADER) ?? '');
    if (timeoutMs === null) {
      const text = `invalid grpc-timeout: ${call.header(TIMEOUT_HEADER)}`;
      return refuse(call, GrpcCode.InvalidArgument, text);
    }
    if (method.kind === 'bidi-stream') this.#converse(method, call);
    else if (call.isOfMessages) this.#askOnce(method, call);
    else this.#ask(method, call);
  }

  /** The WebSocket that `request` asks for, as a call of the method at `path`. */
  openSocket(path: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets ??= new WebSockets(this.#options.maxBodyBytes);
    this.#sockets.open(request, socket, head, (call) => this.answer(path, call));
  }

  /** One request, which is the whole body. */
  #ask(method: AnyMethod, call: HttpCall): void {
    if (call.wholeBody !== undefined && call.wholeBody.length <= this.#options.maxBodyBytes) {
      return this.#askFor(method, call, utf8FromBytes(call.wholeBody));
    }
    const body = new Body(this.#options.maxBodyBytes);
    let isOver = false;
    const stop = (status: number, code: number, message: string): void => {
      isOver = true;
      body.clear();
      unfinished.end();
      refuseAndClose(call, status, code, message);
    };
    const unfinished = this.#unfinished.begin(false, () =>
      stop(HTTP_REQUEST_TIMEOUT, GrpcCode.DeadlineExceeded, TOO_LATE),
    );
    call.onCancel(() => unfinished.end());
    call.readBody(
      (bytes) => {
        if (isOver) return;
        body.add(bytes);
        if (!unfinished.hold(body.heldBytes)) stop(HTTP_TOO_MANY, GrpcCode.ResourceExhausted, TOO_MANY);
      },
      () => {
        unfinished.end();
        if (isOver) return;
        if (body.isTooLong) return refuse(call, GrpcCode.ResourceExhausted, body.complaint);
        this.#askFor(method, call, body.text());
      },
    );
  }

  /** One request, which is the first value of a body without an end. */
  #askOnce(method: AnyMethod, call: HttpCall): void {
    const values = new JsonValues();
    const { maxBodyBytes } = this.#options;
    let isAsked = false;
    const stop = (code: number, message: string): void => {
      isAsked = true;
      unfinished.end();
      refuse(call, code, message);
    };
    const unfinished = this.#unfinished.begin(true, () => stop(GrpcCode.DeadlineExceeded, TOO_LATE));
    call.onCancel(() => unfinished.end());
    call.readBody(
      (bytes) => {
        if (isAsked) return;
        try {
          const [text] = values.add(bytes);
          if ((text?.length ?? values.openLength) > maxBodyBytes)
            return stop(GrpcCode.ResourceExhausted, tooLong(maxBodyBytes));
          if (text === undefined) {
            if (!unfinished.hold(values.openLength)) stop(GrpcCode.ResourceExhausted, TOO_MANY);
            return;
          }
          isAsked = true;
          unfinished.end();
          this.#askFor(method, call, text);
        } catch (error) {
          if (!(error instanceof JsonError)) throw error;
          stop(GrpcCode.InvalidArgument, error.message);
        }
      },
      () => {},
    );
  }

  #askFor(method: AnyMethod, call: HttpCall, text: string): void {
    const request = decode(method, text, call);
    if (request === null) return;
    const answer = method.kind === 'unary' ? new UnaryAnswer(method, call) : new StreamAnswer(method, call);
    const upstream = this.#open(method, call, answer);
    upstream.write(request);
    upstream.halfClose();
  }

  /**
   * As many requests as there are values in the body, each sent when it is there. As in etcd, a value that is none ends what the client
   * sends, and the stream goes on; but if it is the first one, the client is told.
   */
  #converse(method: AnyMethod, call: HttpCall): void {
    const { maxBodyBytes } = this.#options;
    let values = new JsonValues();
    const answer = new StreamAnswer(method, call);
    const upstream = this.#open(method, call, answer);
    let hasSent = false;
    let isOver = false;
    const stop = (code: number, message: string): void => {
      isOver = true;
      values = new JsonValues();
      unfinished.end();
      if (hasSent) return upstream.halfClose();
      answer.refuse(code, message);
      upstream.cancel();
    };
    const unfinished = this.#unfinished.begin(true, () => stop(GrpcCode.DeadlineExceeded, TOO_LATE));
    call.onCancel(() => {
      unfinished.end();
      upstream.cancel();
    });
    const take = (texts: () => readonly string[]): void => {
      try {
        for (const text of texts()) {
          if (text.length > maxBodyBytes) return stop(GrpcCode.ResourceExhausted, tooLong(maxBodyBytes));
          const hasRoom = upstream.write(encodeRequest(method, text));
          hasSent = true;
          if (!hasRoom) call.pauseBody();
        }
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        stop(GrpcCode.InvalidArgument, error.message);
      }
    };
    call.readBody(
      (bytes) => {
        if (isOver) return;
        take(() => values.add(bytes));
        if (isOver) return;
        const { openLength } = values;
        if (openLength > maxBodyBytes) stop(GrpcCode.ResourceExhausted, tooLong(maxBodyBytes));
        else if (!unfinished.hold(openLength)) stop(GrpcCode.ResourceExhausted, TOO_MANY);
      },
      () => {
        unfinished.end();
        if (isOver) return;
        take(() => [values.rest()].filter((text) => text !== ''));
        upstream.halfClose();
      },
    );
  }

  #streamEvents(call: HttpCall): void {
    try {
      const query = call.target.split('?', 2)[1] ?? '';
      const request = watchRequestOf(query, call.header('last-event-id'));
      const events = new EventStream(call, this.#options.clock, request);
      const upstream = this.#open(WatchService.methods.watch, call, events);
      call.onCancel(() => {
        events.stop();
        upstream.cancel();
      });
      upstream.write(encode(WatchService.methods.watch.request, request));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      refuse(call, GrpcCode.InvalidArgument, error.message);
    }
  }

  #describe(call: HttpCall): void {
    if (call.method !== 'GET') return refuse(call, GrpcCode.Unimplemented, 'Method Not Allowed');
    this.#description ??= utf8ToBytes(openApiDocument(this.#options.version));
    call.respond(200, [['content-type', 'application/json']], this.#description);
  }

  #open(method: AnyMethod, call: HttpCall, receiver: ClientReceiver): ClientCall {
    const channel = method.kind === 'unary' ? this.#forAnswers() : this.#forStreams();
    const timeoutMs = gatewayTimeout(call.header(TIMEOUT_HEADER) ?? '') ?? NO_TIMEOUT;
    const metadata = metadataOf(call);
    const options = timeoutMs === NO_TIMEOUT ? { metadata } : { metadata, timeoutMs };
    const upstream = channel.call(method.path, receiver, options);
    call.onCancel(() => upstream.cancel());
    return upstream;
  }

  #forAnswers(): GrpcChannel {
    if (this.#channel === null || !this.#channel.isOpen) this.#channel = this.#connect({});
    return this.#channel;
  }

  #forStreams(): GrpcChannel {
    if (this.#streams !== null && this.#streams.callCount >= MAX_STREAMS_PER_CONNECTION) {
      // It ends with the last of its streams.
      this.#streams.drain();
      this.#streams = null;
    }
    if (this.#streams === null || !this.#streams.isOpen) this.#streams = this.#connect(STREAM_LIMITS);
    return this.#streams;
  }

  #connect(limits: Partial<Http2Limits>): GrpcChannel {
    const { grpc, clock } = this.#options;
    const [theirs, ours] = memoryDuplexPair({ clock });
    grpc.accept(ours);
    return new GrpcChannel(theirs, {
      clock,
      authority: 'gateway',
      maxReceiveMessageBytes: MAX_ANSWER_BYTES,
      variedMetadata: CLIENT_ADDRESS,
      limits,
    });
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

  get heldBytes(): number {
    return Math.min(this.#length, this.#limit);
  }

  clear(): void {
    this.#pieces.length = 0;
  }

  get complaint(): string {
    return tooLong(this.#limit);
  }

  add(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (!this.isTooLong) this.#pieces.push(bytes);
    else this.clear();
  }

  text(): string {
    if (this.#pieces.length > 1) this.#pieces.splice(0, this.#pieces.length, Buffer.concat(this.#pieces));
    return this.#pieces.length === 0 ? '' : utf8FromBytes(this.#pieces[0]!);
  }
}

/** What comes of a body that is refused in its middle is of no use to anybody: the connection ends with the answer. */
function refuseAndClose(call: HttpCall, status: number, code: number, message: string): void {
  const headers: AnswerHeaders = [
    ['content-type', 'application/json'],
    ['connection', 'close'],
  ];
  call.respond(status, headers, statusJson(code, message));
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

/** Of heads that come again: the channel knows metadata that it has seen. */
const knownMetadata = new WeakMap<object, Metadata>();

function metadataOf(call: HttpCall): Metadata {
  const { headKey } = call;
  if (headKey === undefined) return newMetadata(call);
  let metadata = knownMetadata.get(headKey);
  if (metadata === undefined) {
    metadata = newMetadata(call);
    knownMetadata.set(headKey, metadata);
  }
  return metadata;
}

/** A form may say that another method is meant, for senders that have no other. */
function methodOf(call: HttpCall): string {
  if (call.method !== 'POST' || call.header('content-type') !== FORM_TYPE) return call.method;
  return call.header('x-http-method-override')?.toUpperCase() || call.method;
}

/** The token, where the call comes from, and the mark by which a call from here is known. */
function newMetadata(call: HttpCall): Metadata {
  const metadata: [string, string][] = [
    ['grpcgateway-accept', call.header('accept') ?? ''],
    [CLIENT_ADDRESS, call.remoteAddress],
  ];
  const token = call.header('authorization');
  if (token !== null) metadata.push(['authorization', token]);
  const direct = call.header(TOKEN_HEADER);
  if (direct !== null) metadata.push(['token', direct]);
  const hasLeader = call.header(LEADER_HEADER);
  if (hasLeader !== null) metadata.push(['hasleader', hasLeader]);
  return metadata;
}
