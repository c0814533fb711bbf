/**
 * What comes in on a peer URL: requests for streams, POSTs of messages and snapshots, probes; everything else goes to the
 * member.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { DecodeError, type MemberId } from '@etcd/api';
import { decodeMessage, type Message } from '@etcd/api/raftpb';
import type { Clock } from '@etcd/base';
import {
  type HttpAnswer,
  httpError,
  methodNotAllowed,
  NOT_FOUND,
  readTarget,
  redirectTo,
} from '@etcd/host/net';
import { formatId, parseId } from '@etcd/storage/membership';
import { ETCD_VERSION } from '../config/index.ts';
import type { Peer } from './peer.ts';
import type { PeerEnvironment } from './peer-environment.ts';
import { headerText, incompatibility, senderOf } from './peer-headers.ts';
import { PIPELINE_PATH } from './pipeline.ts';
import { PROBING_PATH } from './prober.ts';
import { readBody } from './request-body.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { SNAPSHOT_PATH } from './snapshot-upload.ts';
import { STREAM_KINDS, STREAM_PREFIX, type StreamKind } from './stream-kind.ts';

export interface PeerHttpOptions {
  readonly clock: Clock;
  /** null: the member does not take part yet, or not any more. */
  readonly environment: () => PeerEnvironment | null;
  readonly findPeer: (id: MemberId) => Peer | undefined;
  /** A member that speaks to us and says where it is, maybe before our log has told us. */
  readonly addRemote: (id: MemberId, urls: readonly string[]) => void;
  /** False: the message was not for the member. */
  readonly receive: (message: Message) => boolean;
}

/** Of a POSTed message: what a stream would carry may be larger. */
const MAX_POST_BYTES = 64 * 1024 * 1024;
/** Of all POSTed messages that are being read, together. */
const MAX_POSTS_BYTES = 256 * 1024 * 1024;
const POST_TIMEOUT_MS = 60_000;
/** Of a request to the member; etcd's limit for leases. */
export const MAX_REQUEST_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_SNAPSHOTS = 4;
const UNKNOWN_SENDER = 'UNKNOWN_SNAPSHOT_SENDER';

export class PeerHttp {
  readonly #options: PeerHttpOptions;
  #postBytes = 0;
  #snapshots = 0;

  constructor(options: PeerHttpOptions) {
    this.#options = options;
  }

  /** For `node:http`. */
  onHttp1(request: IncomingMessage, response: ServerResponse): void {
    // Somebody has to hear of it; what matters is told by 'close'.
    response.on('error', () => {});
    request.on('error', () => {});
    const environment = this.#options.environment();
    if (environment === null) return answer(request, response, httpError(503, 'member is not ready'));
    const { method = 'GET', url = '/' } = request;
    const place = readTarget(method, url);
    if (place === null) return answer(request, response, httpError(400, 'Bad Request'));
    const { route: path, query, location } = place;
    if (location !== null) return answer(request, response, redirectTo(method, location));
    switch (path) {
      case PIPELINE_PATH:
        return this.#onMessage(environment, request, response);
      case SNAPSHOT_PATH:
        return this.#onSnapshot(environment, request, response);
      case PROBING_PATH:
        return onProbe(environment.clock, request, response);
      case STREAM_PREFIX:
        return answer(
          request,
          response,
          redirectTo(method, `${STREAM_PREFIX}/${query === '' ? '' : `?${query}`}`),
        );
    }
    if (path.startsWith(`${STREAM_PREFIX}/`)) return this.#onStream(environment, path, request, response);
    if (path.startsWith(`${PIPELINE_PATH}/`)) return answer(request, response, NOT_FOUND);
    onHostRequest(environment, query === '' ? path : `${path}?${query}`, request, response);
  }

  #onStream(
    environment: PeerEnvironment,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    if (request.method !== 'GET') return answer(request, response, methodNotAllowed('GET'));
    response.setHeader('X-Server-Version', ETCD_VERSION);
    if (!isCompatible(environment, request, response)) return;
    const slash = path.lastIndexOf('/');
    const kind = STREAM_KINDS.find((known) => known.path === path.slice(0, slash));
    if (kind === undefined) return answer(request, response, httpError(404, 'invalid path'));
    const from = parseId(path.slice(slash + 1));
    if (from === null) return answer(request, response, httpError(404, 'invalid from'));
    const refusal = this.#streamRefusal(environment, from, request);
    if (refusal !== null) return answer(request, response, refusal);
    this.#attach(kind, from, request, response);
  }

  #streamRefusal(environment: PeerEnvironment, from: MemberId, request: IncomingMessage): HttpAnswer | null {
    const { host, self, lines } = environment;
    const fields = () => ({
      'local-member-id': formatId(self.memberId),
      'remote-peer-id-from': formatId(from),
    });
    if (host.isRemoved(from)) {
      lines.warn('rejected stream from remote peer because it was removed', fields);
      return httpError(410, 'removed member');
    }
    if (this.#options.findPeer(from) === undefined) {
      const sender = senderOf(request.headers);
      if (sender !== null) this.#options.addRemote(from, sender.urls);
      lines.warn('failed to find remote peer in cluster', fields);
      return httpError(404, 'error sender not found');
    }
    if (headerText(request.headers, 'x-raft-to') === formatId(self.memberId)) return null;
    lines.warn('ignored streaming request; ID mismatch', fields);
    return httpError(412, 'to field mismatch');
  }

  #attach(kind: StreamKind, from: MemberId, request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    request.resume();
    // Chunks are written by the stream itself: who speaks a version of HTTP without them is none of ours.
    if (request.httpVersion !== '1.1') return answer(request, response, httpError(505, 'HTTP/1.1 only'));
    response.writeHead(200);
    response.flushHeaders();
    socket.setNoDelay(true);
    this.#options.findPeer(from)?.attach(kind, response, socket);
  }

  #onMessage(environment: PeerEnvironment, request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'POST') return answer(request, response, methodNotAllowed('POST'));
    if (!isCompatible(environment, request, response)) return;
    this.#learnSender(request);
    const room = Math.min(MAX_POST_BYTES, MAX_POSTS_BYTES - this.#postBytes);
    const maxBytes = Math.min(room, announcedBytes(request));
    this.#postBytes += maxBytes;
    const limits = { clock: environment.clock, maxBytes, timeoutMs: POST_TIMEOUT_MS };
    readBody(request, limits, (body) => {
      this.#postBytes -= maxBytes;
      answer(request, response, this.#takeMessage(environment, request, body));
    });
  }

  #takeMessage(environment: PeerEnvironment, request: IncomingMessage, body: Buffer | null): HttpAnswer {
    const { metrics } = environment;
    const failures = metrics.peerReceivedFailuresTotal;
    if (body === null) {
      failures.labels(request.socket.remoteAddress ?? '').inc();
      return httpError(400, 'error reading raft message');
    }
    let message: Message;
    try {
      // The body was put together for this message alone.
      message = decodeMessage(body);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      failures.labels(request.socket.remoteAddress ?? '').inc();
      return httpError(400, 'error unmarshalling raft message');
    }
    metrics.peerReceivedBytesTotal.labels(formatId(message.from)).add(body.length);
    return this.#options.receive(message) ? NO_CONTENT : refusalOf(environment, message);
  }

  #onSnapshot(environment: PeerEnvironment, request: IncomingMessage, response: ServerResponse): void {
    const { metrics, clock, logger } = environment;
    const failures = metrics.snapshotReceiveFailures;
    if (request.method !== 'POST') {
      failures.labels(UNKNOWN_SENDER).inc();
      return answer(request, response, methodNotAllowed('POST'));
    }
    if (!isCompatible(environment, request, response)) return failures.labels(UNKNOWN_SENDER).inc();
    this.#learnSender(request);
    if (this.#snapshots >= MAX_SNAPSHOTS) {
      failures.labels(UNKNOWN_SENDER).inc();
      return answer(request, response, httpError(500, 'failed to save KV snapshot (too many at a time)'));
    }
    const startMs = clock.now();
    this.#snapshots++;
    const inflight = (from: MemberId, change: number): void =>
      metrics.snapshotReceiveInflights.labels(formatId(from)).add(change);
    new SnapshotIntake(environment, request, {
      check: (message) => {
        if (message.to !== environment.self.memberId || environment.host.isRemoved(message.from)) {
          return refusalOf(environment, message);
        }
        inflight(message.from, 1);
        return null;
      },
      done: (refusal, message, isBegun) => {
        this.#snapshots--;
        const from = message === null ? UNKNOWN_SENDER : formatId(message.from);
        if (message !== null && isBegun) inflight(message.from, -1);
        if (refusal !== null || message === null || !this.#options.receive(message)) {
          const text = refusal?.body.trimEnd() ?? '';
          logger.warn('failed to save incoming database snapshot', { from, error: text });
          failures.labels(from).inc();
          return answer(request, response, refusal ?? refusalOf(environment, message!));
        }
        metrics.snapshotReceiveSuccess.labels(from).inc();
        metrics.snapshotReceiveDurationSeconds.labels(from).observe((clock.now() - startMs) / 1000);
        answer(request, response, NO_CONTENT);
      },
    });
  }

  #learnSender(request: IncomingMessage): void {
    const sender = senderOf(request.headers);
    if (sender !== null) this.#options.addRemote(sender.id, sender.urls);
  }
}

const NO_CONTENT: HttpAnswer = { status: 204, headers: [], body: '' };

/** False: it has been refused. */
function isCompatible(
  environment: PeerEnvironment,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const { self, lines } = environment;
  response.setHeader('X-Etcd-Cluster-ID', formatId(self.clusterId));
  const problem = incompatibility(request.headers, self.clusterId);
  if (problem === null) return true;
  const isVersion = problem === 'incompatible version';
  lines.warn(isVersion ? 'failed version compatibility check' : 'request cluster ID mismatch', () => ({
    'local-member-id': formatId(self.memberId),
    'local-member-cluster-id': formatId(self.clusterId),
    'local-member-server-version': ETCD_VERSION,
    'remote-peer-server-name': headerText(request.headers, 'x-server-from'),
    'remote-peer-server-version': headerText(request.headers, 'x-server-version'),
    'remote-peer-cluster-id': headerText(request.headers, 'x-etcd-cluster-id'),
  }));
  answer(request, response, httpError(412, problem));
  return false;
}

/** For a message that is not for this member, or comes from one that was removed. */
function refusalOf({ self }: PeerEnvironment, { to }: Message): HttpAnswer {
  const who = to === self.memberId ? 'from removed member' : 'to mismatch member';
  return {
    status: 403,
    headers: [['content-type', 'application/json']],
    body: JSON.stringify({ message: `cannot process message ${who}` }),
  };
}

/** Of errors in words. */
const NO_SNIFFING = { 'x-content-type-options': 'nosniff' } as const;

function onHostRequest(
  { host, clock }: PeerEnvironment,
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const limits = { clock, maxBytes: MAX_REQUEST_BYTES, timeoutMs: REQUEST_TIMEOUT_MS };
  readBody(request, limits, (body, problem) => {
    if (body === null) {
      const status = problem === 'too-large' ? 413 : 408;
      const text = status === 413 ? 'request body too large' : 'request timed out';
      return answer(request, response, httpError(status, text));
    }
    const { 'content-type': contentType } = request.headers;
    const asked = {
      method: request.method ?? 'GET',
      path: target,
      ...(contentType === undefined ? {} : { contentType }),
      body,
      headers: singleHeaders(request),
    };
    host.onRequest(asked, ({ status, contentType: type, body: answered, headers }) => {
      const typed = type === undefined ? {} : { 'content-type': type };
      const plain = status >= 400 && type?.startsWith('text/plain') ? NO_SNIFFING : {};
      response.writeHead(status, { ...headers, ...typed, ...plain, 'content-length': answered.length });
      response.end(answered);
    });
  });
}

function onProbe(clock: Clock, request: IncomingMessage, response: ServerResponse): void {
  const body = `${JSON.stringify({ OK: true, Now: new Date(clock.wallNow()).toISOString() })}\n`;
  answer(request, response, { status: 200, headers: [], body });
}

/** A body that was not read to its end closes the connection: it is not worth its bytes. */
function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: HttpAnswer,
): void {
  if (response.headersSent || response.destroyed) return;
  for (const [name, value] of headers) response.setHeader(name, value);
  if (status !== 204) response.setHeader('content-length', Buffer.byteLength(body));
  if (hasBody(request) && !request.readableEnded) response.setHeader('connection', 'close');
  response.writeHead(status);
  response.end(body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** What a request says that it sends; as much as can be if it does not. */
function announcedBytes({ headers }: IncomingMessage): number {
  return headers['content-length'] === undefined
    ? Number.POSITIVE_INFINITY
    : Number(headers['content-length']);
}

function singleHeaders({ headers }: IncomingMessage): Record<string, string> {
  const single: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (typeof value === 'string') single[name] = value;
  return single;
}
