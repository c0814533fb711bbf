/**
 * What a proxy serves over plain HTTP: the metrics of a member, its own under `/proxy/metrics`; whether the cluster answers (`/health`),
 * and whether it does through the proxy (`/proxy/health`); profiles, if they are asked for.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '@etcd/base';
import type { DebugAnswer, DebugPages } from '@etcd/host/debug';
import { httpError, methodNotAllowed, NOT_FOUND } from '@etcd/host/net';
import type { HttpExchange } from '@etcd/transport';

export interface ProxyPages {
  /** A member's metrics. Rejects when none can be had. */
  readonly memberMetrics: () => Promise<string>;
  readonly ownMetrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** What is wrong with the cluster; empty for nothing. */
  readonly clusterProblem: () => Promise<string>;
  /** What is wrong with the way through the proxy; empty for nothing. */
  readonly proxyProblem: () => Promise<string>;
  /** Null without `--enable-pprof`. */
  readonly debug: DebugPages | null;
  readonly logger: Logger;
}

interface Question {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly remoteAddress: string;
  readonly hasOrigin: boolean;
}

const MEMBER_METRICS_TYPE = 'text/plain; version=0.0.4';
const PLAIN = [['content-type', 'text/plain; charset=utf-8']] as const;

export class ProxyHttp {
  readonly #pages: ProxyPages;

  constructor(pages: ProxyPages) {
    this.#pages = pages;
  }

  /** For `node:http`. */
  onHttp1(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    const { method = 'GET', url: target = '/' } = request;
    const question = {
      method,
      target,
      remoteAddress: request.socket.remoteAddress ?? '',
      hasOrigin: 'origin' in request.headers,
    };
    void this.#answer(question).then(({ status, headers, body }) => {
      response.writeHead(status, [...headers.flat(), 'content-length', String(Buffer.byteLength(body))]);
      response.end(body);
    });
  }

  onHttp2(exchange: HttpExchange): void {
    const { method, path: target, info } = exchange;
    const hasOrigin = exchange.header('origin') !== null;
    const question = { method, target, remoteAddress: info.remoteAddress, hasOrigin };
    void this.#answer(question).then(({ status, headers, body }) =>
      exchange.respond(status, headers, Buffer.from(body)),
    );
  }

  async #answer({ method, target, remoteAddress, hasOrigin }: Question): Promise<DebugAnswer> {
    const { memberMetrics, ownMetrics, clusterProblem, proxyProblem, debug } = this.#pages;
    const [path = '', query] = target.split('?');
    if (debug?.isFor(path) === true) {
      return debug.answer({ method, path, query: new URLSearchParams(query), remoteAddress, hasOrigin });
    }
    switch (path) {
      case '/metrics':
        try {
          return {
            status: 200,
            headers: [['content-type', MEMBER_METRICS_TYPE]],
            body: await memberMetrics(),
          };
        } catch {
          return httpError(500, 'Internal server error');
        }
      case '/proxy/metrics':
        try {
          const { contentType, text } = await ownMetrics();
          return { status: 200, headers: [['content-type', contentType]], body: text };
        } catch (error) {
          this.#pages.logger.error('failed to render metrics', { error });
          return httpError(500, 'failed to render metrics');
        }
      case '/health':
        return this.#health(method, clusterProblem);
      case '/proxy/health':
        return this.#health(method, proxyProblem);
      default:
        return NOT_FOUND;
    }
  }

  async #health(method: string, find: () => Promise<string>): Promise<DebugAnswer> {
    if (method !== 'GET') return methodNotAllowed('GET');
    const reason = await find();
    const body = JSON.stringify({ health: String(reason === ''), reason });
    if (reason === '') return { status: 200, headers: PLAIN, body };
    this.#pages.logger.warn('/health error', { output: body, 'status-code': 503 });
    return httpError(503, body);
  }
}
