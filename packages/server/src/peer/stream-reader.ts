/**
 * One stream from another member: asks for it, reads it, and asks again when it has ended. What the other one writes into the
 * body of its answer are messages to us.
 */

import type { Socket } from 'node:net';
import type { MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import type { EtcdUrl } from '@etcd/base';
import { latin1FromBytes, type Timer } from '@etcd/base';
import type { Counter } from '@etcd/host/metrics';
import { connectionErrorText } from '@etcd/host/net';
import { formatId } from '@etcd/storage/membership';
import { ETCD_VERSION } from '../config/index.ts';
import { PeerCodecError } from './codec-error.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { type HttpResponseHead, HttpResponseReader } from './http-response-reader.ts';
import type { LineLimiter } from './line-limiter.ts';
import type { PeerEnvironment } from './peer-environment.ts';
import {
  CLUSTER_ID_MISMATCH,
  INCOMPATIBLE_VERSION,
  identityHeaders,
  supportsStreams,
} from './peer-headers.ts';
import type { PeerStatus } from './peer-status.ts';
import { READ_TIMEOUT_MS, type StreamKind } from './stream-kind.ts';
import type { UrlPicker } from './url-picker.ts';

/** At most one attempt in so many milliseconds. */
const REDIAL_INTERVAL_MS = 100;
const READ_CHECK_MS = READ_TIMEOUT_MS / 5;
/** Of a refusal. */
const MAX_REFUSAL_BYTES = 4096;

export interface StreamReaderOptions {
  readonly environment: PeerEnvironment;
  readonly kind: StreamKind;
  /** Of the member that writes. */
  readonly id: MemberId;
  readonly picker: UrlPicker;
  readonly status: PeerStatus;
  readonly lines: LineLimiter;
  readonly onMessage: (message: Message) => void;
}

/** One connection, from the dial to its end. */
interface Attempt {
  readonly url: EtcdUrl;
  readonly socket: Socket;
  readonly response: HttpResponseReader;
  decoder: FrameDecoder | null;
  head: HttpResponseHead | null;
  refusal: string;
  lastReadMs: number;
}

export class StreamReader {
  readonly #options: StreamReaderOptions;
  readonly #receivedBytes: Counter;
  #attempt: Attempt | null = null;
  #lastDialMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;
  #isStopped = false;
  /** There has been a stream since a connection was last refused. */
  #wasEstablished = false;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    const { environment, id } = options;
    this.#receivedBytes = environment.metrics.peerReceivedBytesTotal.labels(formatId(id));
    environment.logger.info('started stream reader with remote peer', this.#fields());
    this.#dialSoon();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#discard();
    this.#options.environment.logger.info('stopped stream reader with remote peer', this.#fields());
  }

  #dialSoon(): void {
    if (this.#isStopped) return;
    const { clock } = this.#options.environment;
    const delayMs = Math.max(0, this.#lastDialMs + REDIAL_INTERVAL_MS - clock.now());
    this.#timer = clock.setTimer(delayMs, () => this.#dial());
  }

  #dial(): void {
    const { environment, picker, kind } = this.#options;
    const { clock, dialer, self, dialTimeoutMs, logger } = environment;
    const url = picker.pick();
    this.#lastDialMs = clock.now();
    if (logger.enabled('debug')) {
      logger.debug('dial stream reader', { ...this.#fields(), address: url.text });
    }
    const socket = dialer.connectStream(url, (buffer, length) => this.#read(attempt, buffer, length));
    const attempt: Attempt = {
      url,
      socket,
      response: new HttpResponseReader({
        onHead: (head) => this.#onHead(attempt, head),
        onBody: (bytes, start, end) => this.#onBody(attempt, bytes, start, end),
        onEnd: () => this.#onEnd(attempt),
      }),
      decoder: null,
      head: null,
      refusal: '',
      lastReadMs: clock.now(),
    };
    this.#attempt = attempt;
    socket.on('connect', () => {
      this.#timer?.cancel();
      attempt.lastReadMs = clock.now();
      this.#watch(attempt);
    });
    socket.on('error', (error) => {
      this.#lost(attempt, connectionErrorText(url, error));
      if ('code' in error && error.code === 'ECONNREFUSED') this.#noticeEnd();
    });
    socket.on('close', () => {
      attempt.response.end();
      this.#lost(attempt, 'EOF');
    });
    socket.write(requestHead(url, `${kind.path}/${formatId(self.memberId)}`, this.#headers()));
    this.#timer = clock.setTimer(dialTimeoutMs, () =>
      this.#lost(attempt, `dial tcp ${url.host}: i/o timeout`),
    );
  }

  /** Until its end, looks now and then whether anything still comes. */
  #watch(attempt: Attempt): void {
    const { clock } = this.#options.environment;
    this.#timer = clock.setTimer(READ_CHECK_MS, () => {
      if (clock.now() - attempt.lastReadMs >= READ_TIMEOUT_MS) this.#lost(attempt, 'i/o timeout');
      else this.#watch(attempt);
    });
  }

  #read(attempt: Attempt, buffer: Uint8Array, length: number): void {
    if (this.#attempt !== attempt) return;
    attempt.lastReadMs = this.#options.environment.clock.now();
    try {
      attempt.response.push(buffer, length);
    } catch (error) {
      if (!(error instanceof PeerCodecError)) throw error;
      this.#options.environment.metrics.peerReceivedFailuresTotal.labels(formatId(this.#options.id)).inc();
      this.#lost(attempt, error.message);
    }
  }

  #onHead(attempt: Attempt, head: HttpResponseHead): void {
    const { environment, kind, id, status } = this.#options;
    attempt.head = head;
    if (!supportsStreams(head.headers.get('x-server-version') ?? '')) {
      return this.#refused(attempt, 'unsupported stream type');
    }
    if (head.status !== 200) return;
    const format = kind.createFormat(environment.self.memberId, id);
    attempt.decoder = new FrameDecoder(format, this.#options.onMessage);
    this.#wasEstablished = true;
    status.activate();
    environment.logger.info('established TCP streaming connection with remote peer', this.#fields());
  }

  #onBody(attempt: Attempt, bytes: Uint8Array, start: number, end: number): void {
    if (this.#attempt !== attempt) return;
    if (attempt.decoder !== null) {
      this.#receivedBytes.add(end - start);
      attempt.decoder.push(bytes, start, end);
    } else if (attempt.refusal.length < MAX_REFUSAL_BYTES) {
      attempt.refusal += latin1FromBytes(bytes, start, Math.min(end, start + MAX_REFUSAL_BYTES));
    }
  }

  #onEnd(attempt: Attempt): void {
    if (this.#attempt !== attempt || attempt.head === null) return;
    if (attempt.decoder !== null) this.#lost(attempt, 'EOF');
    else this.#refused(attempt, this.#refusalReason(attempt.head, attempt.refusal.replace(/\n$/, '')));
  }

  /** The member answers, but not with a stream. */
  #refusalReason(head: HttpResponseHead, text: string): string {
    const { environment, id } = this.#options;
    switch (head.status) {
      case 410:
        environment.onRemoved();
        return 'the member has been permanently removed from the cluster';
      case 404:
        return `peer ${formatId(id)} failed to find local node ${formatId(environment.self.memberId)}`;
      case 412:
        this.#logIncompatibility(head, text);
        return text;
      default:
        return `unhandled http status ${head.status}`;
    }
  }

  #logIncompatibility(head: HttpResponseHead, text: string): void {
    const { lines, environment } = this.#options;
    if (text === INCOMPATIBLE_VERSION) {
      const message = 'request sent was ignored by remote peer due to server version incompatibility';
      lines.warn(message, () => ({ ...this.#fields(), error: text }));
    } else if (text === CLUSTER_ID_MISMATCH) {
      const message = 'request sent was ignored by remote peer due to cluster ID mismatch';
      lines.warn(message, () => ({
        ...this.#fields(),
        'remote-peer-cluster-id': head.headers.get('x-etcd-cluster-id') ?? '',
        'local-member-cluster-id': formatId(environment.self.clusterId),
        error: text,
      }));
    }
  }

  /** Where the member was, nobody is. */
  #noticeEnd(): void {
    if (!this.#wasEstablished) return;
    this.#wasEstablished = false;
    const { environment, id } = this.#options;
    environment.host.onPeerGone(id);
  }

  #refused(attempt: Attempt, reason: string): void {
    if (!this.#drop(attempt)) return;
    this.#options.picker.unreachable(attempt.url);
    this.#options.status.deactivate(this.#options.kind.name, 'dial', reason);
    this.#dialSoon();
  }

  /** The connection has ended or could not be had. */
  #lost(attempt: Attempt, reason: string): void {
    if (!this.#drop(attempt)) return;
    const { picker, status, kind, environment } = this.#options;
    if (attempt.decoder === null) {
      picker.unreachable(attempt.url);
      status.deactivate(kind.name, 'dial', reason);
    } else {
      environment.logger.warn('lost TCP streaming connection with remote peer', {
        ...this.#fields(),
        error: reason,
      });
      // An end in good order does not make the member unreachable: whether it is, the next dial shows.
      if (reason !== 'EOF') status.deactivate(kind.name, 'read', reason);
    }
    this.#dialSoon();
  }

  /** False when the attempt is over already. */
  #drop(attempt: Attempt): boolean {
    if (this.#attempt !== attempt) return false;
    this.#timer?.cancel();
    this.#discard();
    return true;
  }

  #discard(): void {
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt?.response.stop();
    attempt?.socket.destroy();
  }

  #headers(): Record<string, string> {
    const { environment, id } = this.#options;
    return { ...identityHeaders(environment.self), 'X-Raft-To': formatId(id) };
  }

  #fields(): Record<string, string> {
    const { environment, kind, id } = this.#options;
    return {
      'stream-reader-type': kind.name,
      'local-member-id': formatId(environment.self.memberId),
      'remote-peer-id': formatId(id),
    };
  }
}

function requestHead(url: EtcdUrl, path: string, headers: Record<string, string>): string {
  const fields = Object.entries({
    Host: url.host,
    'User-Agent': `etcd/${ETCD_VERSION}`,
    ...headers,
  });
  return `GET ${path} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}
