/** What a member serves to clients over plain HTTP: health, version, metrics. The same over HTTP/1 and HTTP/2. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzip } from 'node:zlib';
import type { DebugPages } from '@etcd/host/debug';
import {
  type Answering,
  type HttpAnswer,
  type HttpQuestion,
  httpError,
  httpJson,
  methodNotAllowed,
  NOT_FOUND,
  readTarget,
  redirectTo,
} from '@etcd/host/net';
import type { HttpExchange } from '@etcd/transport';
import { versionJson } from '../member/index.ts';
import { debugVars } from './debug-vars.ts';
import { answerChecks, answerHealth } from './health-checks.ts';
import type { HealthFacts } from './health-facts.ts';

/** The fastest: nine tenths of what there is to be saved, in a third of the time. */
const GZIP_LEVEL = 1;

const BAD_TARGET = httpError(400, 'Bad Request');

interface ClientQuestion extends HttpQuestion {
  readonly acceptsGzip: boolean;
  readonly remoteAddress: string;
  readonly hasOrigin: boolean;
}

/** Which listener the pages are on: those for metrics have fewer, as in etcd. */
export type PagesListener = 'client' | 'metrics';

type ClientAnswering = (answer: Omit<HttpAnswer, 'body'> & { readonly body: string | Uint8Array }) => void;

export class ClientHttp {
  readonly #member: HealthFacts;
  readonly #listener: PagesListener;
  /** Refreshes what is only counted when somebody looks. */
  readonly #beforeScrape: () => void;
  readonly #debug: DebugPages | null;

  constructor(
    member: HealthFacts,
    listener: PagesListener,
    beforeScrape: () => void,
    debug: DebugPages | null = null,
  ) {
    this.#member = member;
    this.#listener = listener;
    this.#beforeScrape = beforeScrape;
    this.#debug = debug;
  }

  answer(question: ClientQuestion, done: ClientAnswering): void {
    const { method, target, acceptsGzip } = question;
    const place = readTarget(method, target);
    if (place === null) return done(BAD_TARGET);
    if (place.location !== null) return done(redirectTo(method, place.location));
    const { route: path } = place;
    const query = new URLSearchParams(place.query);
    if (path === '/health') return answerHealth(this.#member, method, query, done);
    if (path === '/metrics') return this.#metrics(acceptsGzip, done);
    if (answerChecks(this.#member, method, path, query, done)) return;
    if (this.#listener === 'client' && this.#answerFacts(path, method, done)) return;
    if (this.#debug?.isFor(path)) return void this.#debug.answer({ ...question, path, query }).then(done);
    done(NOT_FOUND);
  }

  /** For `node:http`. */
  onHttp1(request: IncomingMessage, response: ServerResponse): void {
    // None of the paths takes a body; what comes is read away, so that the connection can be used again.
    request.resume();
    const { method = 'GET', url: target = '/', headers } = request;
    const question = {
      method,
      target,
      acceptsGzip: allowsGzip(headers['accept-encoding']),
      remoteAddress: request.socket.remoteAddress ?? '',
      hasOrigin: headers.origin !== undefined,
    };
    this.answer(question, (answer) => {
      response.writeHead(answer.status, [
        ...answer.headers.flat(),
        'content-length',
        String(Buffer.byteLength(answer.body)),
      ]);
      response.end(answer.body);
    });
  }

  /** For our own HTTP/2. */
  onHttp2(exchange: HttpExchange, headers: HttpAnswer['headers'] = []): void {
    const { method, path: target } = exchange;
    const question = {
      method,
      target,
      acceptsGzip: allowsGzip(exchange.header('accept-encoding')),
      remoteAddress: exchange.info.remoteAddress,
      hasOrigin: exchange.header('origin') !== null,
    };
    this.answer(question, (answer) => {
      exchange.respond(answer.status, [...answer.headers, ...headers], Buffer.from(answer.body));
    });
  }

  /** What only clients are told; false for any other path. */
  #answerFacts(path: string, method: string, done: Answering): boolean {
    const read = path === '/version' ? versionJson : path === '/debug/vars' ? debugVars : null;
    if (read === null) return false;
    done(method === 'GET' ? httpJson(read(this.#member)) : methodNotAllowed('GET'));
    return true;
  }

  /** Whatever the method is, as in etcd. */
  #metrics(acceptsGzip: boolean, done: ClientAnswering): void {
    this.#beforeScrape();
    this.#member.metrics.render().then(
      ({ contentType, text }) => {
        const headers: HttpAnswer['headers'] = [['content-type', contentType]];
        if (!acceptsGzip) return done({ status: 200, headers, body: text });
        gzip(text, { level: GZIP_LEVEL }, (error, body) => {
          if (error !== null) return done({ status: 200, headers, body: text });
          done({ status: 200, headers: [...headers, ['content-encoding', 'gzip']], body });
        });
      },
      (error: unknown) => {
        this.#member.logger.error('failed to render metrics', { error });
        done(httpError(500, 'failed to render metrics'));
      },
    );
  }
}

/** Whether the client takes gzip, by the header `accept-encoding`. */
function allowsGzip(accepted: string | readonly string[] | null | undefined): boolean {
  return /(?:^|,)\s*gzip\s*(?:$|,|;\s*q\s*=\s*(?:1|0?\.\d*[1-9]))/.test(String(accepted ?? ''));
}
