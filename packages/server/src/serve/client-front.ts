/**
 * What the client listeners serve besides gRPC: access is checked first, then a path is the gateway's, or one of {@link ClientHttp}. Metrics
 * listeners show the latter alone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpExchange } from '@etcd/transport';
import type { AccessControl } from './access-control.ts';
import type { ClientHttp } from './client-http.ts';
import type { Gateway } from './gateway.ts';
import { type AnswerHeaders, type HttpCall, http1Call, http2Call } from './http-call.ts';

/** What is asked about the member. */
export interface FrontFacts {
  /** Whether users have names, and clients certificates: then the gateway, which can't pass a certificate on, refuses those that have one. */
  readonly refusesCertificates: () => boolean;
}

const GATEWAY_PREFIX = '/v3/';
const OLD_PREFIX = '/v3beta/';
const REFUSED_CERTIFICATE =
  'CommonName of client sending a request against gateway will be ignored and not used as expected';

export class ClientFront {
  readonly #access: AccessControl;
  readonly #loadGateway: (() => Promise<Gateway>) | null;
  #gateway: Promise<Gateway> | null = null;
  readonly #pages: Pick<ClientHttp, 'onHttp1' | 'onHttp2'>;
  readonly #facts: FrontFacts;

  /** @param loadGateway called at the first request for it: a member that serves gRPC alone never loads it; null: there is none. */
  constructor(
    access: AccessControl,
    loadGateway: (() => Promise<Gateway>) | null,
    pages: Pick<ClientHttp, 'onHttp1' | 'onHttp2'>,
    facts: FrontFacts,
  ) {
    this.#access = access;
    this.#loadGateway = loadGateway;
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

  #onCall(call: HttpCall, passOn: (headers: AnswerHeaders) => void): void {
    this.#access.admit(call, (headers) => {
      const path = pathOf(call.target);
      if (this.#loadGateway === null || !path.startsWith(GATEWAY_PREFIX)) return passOn(headers);
      const answering = withHeaders(call, headers);
      if (call.commonName !== '' && this.#facts.refusesCertificates()) {
        const text = [['content-type', 'text/plain; charset=utf-8'] as const];
        return answering.respond(400, text, Buffer.from(`${REFUSED_CERTIFICATE}\n`));
      }
      this.#gateway ??= this.#loadGateway();
      void this.#gateway.then((gateway) => gateway.answer(path, answering));
    });
  }
}

/** Without the query; paths of before 3.4 are those of today. */
function pathOf(target: string): string {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
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
