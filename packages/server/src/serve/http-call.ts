/**
 * A plain HTTP request with its body, and its answer, whatever version of HTTP they travel by. There is one answer: what is answered too
 * late, or twice, goes nowhere.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type HttpExchange, socketInfo } from '@etcd/transport';

export interface HttpCall {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** Whether it came over TLS. */
  readonly isSecure: boolean;
  /** Common name of the client's verified certificate; empty without one. */
  readonly commonName: string;
  /** `host:port`, or empty where there is none. */
  readonly remoteAddress: string;
  /** The first value of a header (its name in lower case), or null. */
  header(name: string): string | null;
  /** Hands over the body piece by piece, then says that there is no more; not called by an answer that needs none. */
  readBody(onPiece: (bytes: Uint8Array) => void, onEnd: () => void): void;
  /** A whole answer. */
  respond(status: number, headers: AnswerHeaders, body: Uint8Array): void;
  /** An answer in pieces: its head, the pieces, its end. */
  start(status: number, headers: AnswerHeaders): void;
  /** False: there is more waiting than the client takes; {@link onWritable} tells when there is room. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  onWritable(then: () => void): void;
  /** The client is gone before its answer was complete. */
  onCancel(then: () => void): void;
}

export type AnswerHeaders = readonly (readonly [name: string, value: string])[];

export function http1Call(request: IncomingMessage, response: ServerResponse): HttpCall {
  const { method = 'GET', url: target = '/', headers } = request;
  const { isSecure, commonName, remoteAddress } = socketInfo(request.socket);
  return {
    method,
    target,
    isSecure,
    commonName,
    remoteAddress,
    header: (name) => {
      const value = headers[name];
      return value === undefined ? null : String(value);
    },
    readBody: (onPiece, onEnd) => {
      request.on('data', onPiece);
      request.on('end', onEnd);
    },
    respond: (status, answerHeaders, body) => {
      if (response.headersSent) return;
      // What nobody has read is read away, so that the connection can be used again.
      request.resume();
      response.writeHead(status, [...answerHeaders.flat(), 'content-length', String(body.length)]);
      response.end(body);
    },
    start: (status, answerHeaders) => {
      if (response.headersSent) return;
      response.writeHead(status, answerHeaders.flat());
      response.flushHeaders();
    },
    write: (bytes) => !response.writableEnded && response.write(bytes),
    end: () => {
      request.resume();
      response.end();
    },
    onWritable: (then) => response.on('drain', then),
    onCancel: (then) => {
      const gone = (): void => (response.writableFinished ? undefined : then());
      // Whoever was found to be gone before this is asked is not told of again.
      if (response.closed) gone();
      else response.on('close', gone);
    },
  };
}

export function http2Call(exchange: HttpExchange): HttpCall {
  return {
    method: exchange.method,
    target: exchange.path,
    isSecure: exchange.info.isSecure,
    commonName: exchange.info.commonName,
    remoteAddress: exchange.info.remoteAddress,
    header: (name) => (name === 'host' ? exchange.authority : exchange.header(name)),
    readBody: (onPiece, onEnd) => {
      onPiece(exchange.body);
      onEnd();
    },
    respond: (status, headers, body) => exchange.respond(status, headers, body),
    start: (status, headers) => exchange.start(status, headers),
    write: (bytes) => exchange.write(bytes),
    end: () => exchange.end(),
    onWritable: (then) => {
      exchange.onWritable = then;
    },
    onCancel: (then) => {
      exchange.onCancel = then;
    },
  };
}
