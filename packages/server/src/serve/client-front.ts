/**
 * What the client listeners serve besides gRPC: access is checked first, then a path is the gateway's, or one of {@link ClientHttp}. Metrics
 * listeners show the latter alone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { loadOnce } from '@etcd/base';
import { type HttpAnswer, readTarget, redirectTo, type WholeRequest } from '@etcd/host/net';
import type { HttpExchange } from '@etcd/transport';
import type { AccessControl } from './access-control.ts';
import type { ClientHttp } from './client-http.ts';
import type { Gateway } from './gateway.ts';
import { GATEWAY_PREFIX, GATEWAY_ROOT, OPEN_API_PATH, UNARY_PATHS } from './gateway-paths.ts';
import {
  type AnswerHeaders,
  type HttpCall,
  http1Call,
  http2Call,
  upgradeCall,
  WholeCall,
} from './http-call.ts';

/** What is asked about the member. */
export interface FrontFacts {
  /** Whether users have names, and clients certificates: then the gateway, which can't pass a certificate on, refuses those that have one. */
  readonly refusesCertificates: () => boolean;
}

const OLD_PREFIX = '/v3beta/';
const EMPTY = new Uint8Array(0);
const CLOSING: AnswerHeaders = [['connection', 'close']];
const TEXT: AnswerHeaders = [['content-type', 'text/plain; charset=utf-8']];
const REFUSED_CERTIFICATE =
  'CommonName of client sending a request against gateway will be ignored and not used as expected';

export class ClientFront {
  readonly #access: AccessControl;
  readonly #loadGateway: (() => Promise<Gateway>) | null;
  #gateway: Gateway | null = null;
  readonly #pages: Pick<ClientHttp, 'onHttp1' | 'onHttp2'>;
  readonly #facts: FrontFacts;

  /** @param loadGateway called at the first request for it, and again after a failure: a member that serves gRPC alone never loads it; null: there is none. */
  constructor(
    access: AccessControl,
    loadGateway: (() => Promise<Gateway>) | null,
    pages: Pick<ClientHttp, 'onHttp1' | 'onHttp2'>,
    facts: FrontFacts,
  ) {
    this.#access = access;
    this.#loadGateway = loadGateway === null ? null : loadOnce(loadGateway);
    this.#pages = pages;
    this.#facts = facts;
  }

  onHttp1(request: IncomingMessage, response: ServerResponse): void {
    this.#onCall(http1Call(request, response), (headers) => {
      for (const [name, value] of headers) response.setHeader(name, value);
      this.#pages.onHttp1(request, response);
    });
  }

  onHttp2(exchange: HttpExchange): void {
    this.#onCall(http2Call(exchange), (headers) => this.#pages.onHttp2(exchange, headers));
  }

  /** Whether it is the call of a method by its usual path, with one request and one answer. */
  takesWhole(target: string): boolean {
    return this.#loadGateway !== null && UNARY_PATHS.has(target);
  }

  onWhole(request: WholeRequest): void {
    const call = new WholeCall(request);
    this.#access.admit(call, (headers) => {
      call.carried = headers;
      this.#withGateway(call, (gateway) => gateway.answer(call.target, call));
    });
  }

  /** Whether a request for another protocol is answered with it: WebSockets of the gateway. Others are ordinary requests. */
  takesUpgrade({ method, url = '', headers }: IncomingMessage): boolean {
    const isWebSocket = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
    if (!isWebSocket || this.#loadGateway === null) return false;
    const { route, location } = placeOf('GET', url);
    return location === null && route.startsWith(GATEWAY_PREFIX);
  }

  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // The 'close' that follows is all that matters; a WebSocket listens for itself.
    socket.on('error', () => {});
    const call = upgradeCall(request, socket);
    this.#access.admit(call, () => {
      if (!this.#access.admitsWebSocket(call))
        return call.respond(403, TEXT, Buffer.from('origin not allowed\n'));
      this.#withGateway(call, (gateway) =>
        gateway.openSocket(placeOf('GET', call.target).path, request, socket, head),
      );
    });
  }

  #onCall(call: HttpCall, passOn: (headers: AnswerHeaders) => void): void {
    // The server as a whole is asked, not anything in it.
    if (call.method === 'OPTIONS' && call.target === '*') return call.respond(200, [], EMPTY);
    this.#access.admit(call, (headers) => {
      if (call.target === '*') return call.respond(400, [...CLOSING, ...headers], EMPTY);
      const { path, route, location } = placeOf(call.method, call.target);
      const hasGateway = this.#loadGateway !== null;
      if (hasGateway && route === GATEWAY_ROOT) return send(call, redirectToRoot(call), headers);
      if (location !== null) return send(call, redirectTo(call.method, location), headers);
      if (!hasGateway) return passOn(headers);
      if (!route.startsWith(GATEWAY_PREFIX) && path !== OPEN_API_PATH) return passOn(headers);
      const answering = withHeaders(call, headers);
      this.#withGateway(answering, (gateway) => gateway.answer(path, answering));
    });
  }

  #withGateway(call: HttpCall, then: (gateway: Gateway) => void): void {
    if (call.commonName !== '' && this.#facts.refusesCertificates()) {
      return call.respond(400, TEXT, Buffer.from(`${REFUSED_CERTIFICATE}\n`));
    }
    if (this.#gateway !== null) return then(this.#gateway);
    this.#loadGateway?.().then(
      (gateway) => {
        this.#gateway = gateway;
        then(gateway);
      },
      () => call.respond(503, TEXT, Buffer.from('the gateway can not be loaded\n')),
    );
  }
}

function send(call: HttpCall, { status, headers, body }: HttpAnswer, more: AnswerHeaders): void {
  call.respond(status, [...headers, ...more], body);
}

/** As Go sends whoever leaves out the slash of a folder. */
function redirectToRoot({ method, target }: HttpCall): HttpAnswer {
  const mark = target.indexOf('?');
  return redirectTo(method, `${GATEWAY_PREFIX}${mark < 0 ? '' : target.slice(mark)}`);
}

interface Place {
  readonly path: string;
  readonly route: string;
  readonly location: string | null;
}

const NOWHERE: Place = { path: '', route: '', location: null };

/** Where a request goes; paths of before 3.4 are those of today. What is no target is refused before it comes here, or leads nowhere. */
function placeOf(method: string, target: string): Place {
  const place = readTarget(method, target) ?? NOWHERE;
  if (!place.path.startsWith(OLD_PREFIX)) return place;
  return {
    path: renewed(place.path),
    route: renewed(place.route),
    location: place.location === null ? null : renewed(place.location),
  };
}

function renewed(path: string): string {
  return path.startsWith(OLD_PREFIX) ? `${GATEWAY_PREFIX}${path.slice(OLD_PREFIX.length)}` : path;
}

function withHeaders(call: HttpCall, more: AnswerHeaders): HttpCall {
  if (more.length === 0) return call;
  return {
    ...call,
    respond: (status, headers, body) => call.respond(status, [...headers, ...more], body),
    start: (status, headers) => call.start(status, [...headers, ...more]),
  };
}
