/**
 * Calls of the gateway over WebSockets, for streams that a browser has a part in: each JSON value that the client sends is a request, each
 * message of the answer is a text message of its own. A method with one request takes the first value and ends the connection with its answer.
 *
 * A browser can't send headers with a WebSocket, so the token may stand in the list of subprotocols, behind `Bearer`, or in the cookie
 * `token`; the latter only for pages of this server itself, since browsers send cookies whoever's page it is (S12).
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { utf8FromBytes } from '@etcd/base';
import { type WebSocket, WebSocketServer } from 'ws';
import { type AnswerHeaders, type HttpCall, type HttpFacts, http1Facts } from './http-call.ts';
import { isSameOrigin } from './origins.ts';

const BEARER = 'Bearer';
const TOKEN_COOKIE = 'token';
/** Bytes of messages that wait to be read; more are not taken from the member. */
const HIGH_WATER_BYTES = 256 * 1024;
const NORMAL_CLOSURE = 1000;
const NEWLINE = 0x0a;

export class WebSockets {
  readonly #server: WebSocketServer;

  /** @param maxPayload bytes of a message. */
  constructor(maxPayload: number) {
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload,
      handleProtocols: (protocols) => (protocols.has(BEARER) ? BEARER : false),
    });
  }

  /** Opens the connection that `request` asks for; what is not a proper request for one is refused. */
  open(request: IncomingMessage, socket: Duplex, head: Buffer, onCall: (call: HttpCall) => void): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) =>
      onCall(new WebSocketCall(webSocket, http1Facts(request))),
    );
  }
}

class WebSocketCall implements HttpCall {
  readonly method = 'POST';
  readonly target: string;
  readonly isSecure: boolean;
  readonly commonName: string;
  readonly remoteAddress: string;
  readonly isOfMessages = true;
  readonly #socket: WebSocket;
  readonly #facts: HttpFacts;
  #onWritable: (() => void) | null = null;
  #isFull = false;

  constructor(socket: WebSocket, facts: HttpFacts) {
    this.#socket = socket;
    this.#facts = facts;
    this.target = facts.target;
    this.isSecure = facts.isSecure;
    this.commonName = facts.commonName;
    this.remoteAddress = facts.remoteAddress;
    // The 'close' that follows says all that there is to say.
    socket.on('error', () => {});
  }

  header(name: string): string | null {
    return name === 'authorization' ? authorizationOf(this.#facts) : this.#facts.header(name);
  }

  readBody(onPiece: (bytes: Uint8Array) => void): void {
    this.#socket.on('message', (data: Buffer) => {
      onPiece(data);
      // A number or a word ends with its message; an object may go on in the next one.
      onPiece(Uint8Array.of(NEWLINE));
    });
  }

  pauseBody(): void {
    this.#socket.pause();
  }

  resumeBody(): void {
    this.#socket.resume();
  }

  respond(_status: number, _headers: AnswerHeaders, body: Uint8Array | string): void {
    if (body.length > 0) this.write(body);
    this.end();
  }

  start(): void {}

  write(piece: Uint8Array | string): boolean {
    const text = typeof piece === 'string' ? piece : utf8FromBytes(piece);
    this.#socket.send(text.endsWith('\n') ? text.slice(0, -1) : text, { binary: false }, () =>
      this.#onSent(),
    );
    if (this.#socket.bufferedAmount >= HIGH_WATER_BYTES) this.#isFull = true;
    return !this.#isFull;
  }

  end(): void {
    this.#socket.close(NORMAL_CLOSURE);
  }

  onWritable(then: () => void): void {
    this.#onWritable = then;
  }

  onCancel(then: () => void): void {
    this.#socket.on('close', then);
  }

  #onSent(): void {
    if (!this.#isFull || this.#socket.bufferedAmount >= HIGH_WATER_BYTES) return;
    this.#isFull = false;
    this.#onWritable?.();
  }
}

function authorizationOf(facts: HttpFacts): string | null {
  const protocols = facts.header('sec-websocket-protocol') ?? '';
  const token = protocols.split(`${BEARER},`, 2)[1]?.trim();
  if (token !== undefined) return `${BEARER} ${token}`;
  return facts.header('authorization') ?? cookieOf(facts);
}

function cookieOf(facts: HttpFacts): string | null {
  const origin = facts.header('origin');
  if (origin !== null && !isSameOrigin(origin, facts)) return null;
  for (const cookie of (facts.header('cookie') ?? '').split(';')) {
    const [name, value] = cookie.trim().split('=', 2);
    if (name === TOKEN_COOKIE && value !== undefined) return `${BEARER} ${value}`;
  }
  return null;
}
