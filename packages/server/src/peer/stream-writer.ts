/**
 * One stream to another member. The other one asks for it with a GET, and what we have to say is the answer's body. Without
 * an attached connection nothing is kept: the sender takes another way.
 */

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import type { Timer } from '@etcd/base';
import type { Counter } from '@etcd/host/metrics';
import { formatId } from '@etcd/storage/membership';
import { ChunkWriter, WRITE_TIMEOUT_MS } from './chunk-writer.ts';
import type { FrameEncoder } from './frame-target.ts';
import type { Flushable, PeerEnvironment } from './peer-environment.ts';
import type { PeerStatus } from './peer-status.ts';
import { LINK_HEARTBEAT_MS, type StreamKind } from './stream-kind.ts';

/** Messages that may wait for the connection to take them; etcd's number. */
const MAX_PENDING_FRAMES = 4096;
/** No more is taken from here on, so that it may be exceeded by one message. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;

interface Connection {
  readonly response: ServerResponse;
  readonly socket: Socket;
  readonly writer: ChunkWriter;
  readonly encoder: FrameEncoder;
  readonly onClose: () => void;
}

export class StreamWriter implements Flushable {
  readonly #environment: PeerEnvironment;
  readonly #kind: StreamKind;
  readonly #id: MemberId;
  readonly #status: PeerStatus;
  readonly #sentBytes: Counter;
  #connection: Connection | null = null;
  #heartbeat: Timer | null = null;
  #isFlushDue = false;

  constructor(environment: PeerEnvironment, kind: StreamKind, id: MemberId, status: PeerStatus) {
    this.#environment = environment;
    this.#kind = kind;
    this.#id = id;
    this.#status = status;
    this.#sentBytes = environment.metrics.peerSentBytesTotal.labels(formatId(id));
    environment.logger.info('started stream writer with remote peer', this.#fields());
  }

  get isAttached(): boolean {
    return this.#connection !== null;
  }

  /** Writes into `response` from now on, whose head has been written. It takes the place of an earlier one. */
  attach(response: ServerResponse, socket: Socket): void {
    const { logger, pool, clock } = this.#environment;
    const hadOne = this.#close();
    const onClose = (): void => this.#fail('write', 'connection closed by the remote peer');
    this.#connection = {
      response,
      socket,
      writer: new ChunkWriter(socket, pool, clock),
      encoder: this.#kind.createEncoder(),
      onClose,
    };
    response.once('close', onClose);
    this.#status.activate();
    if (hadOne) logger.warn('closed TCP streaming connection with remote peer', this.#fields());
    logger.info('established TCP streaming connection with remote peer', this.#fields());
    this.#scheduleHeartbeat();
  }

  /** Encodes `message`, to leave after this turn. False: it does not fit, or nobody listens. */
  send(message: Message): boolean {
    const connection = this.#connection;
    if (connection === null) return false;
    const { writer, encoder } = connection;
    if (writer.pendingFrames >= MAX_PENDING_FRAMES || writer.pendingBytes >= MAX_PENDING_BYTES) return false;
    this.#sentBytes.add(encoder.encode(message, writer));
    this.#flushLater();
    return true;
  }

  flush(): void {
    this.#isFlushDue = false;
    this.#connection?.writer.flush();
  }

  /** The member is no peer any more: what is on its way may still arrive. */
  stop(): void {
    const wasOpen = this.#close();
    const { logger } = this.#environment;
    if (wasOpen) logger.warn('closed TCP streaming connection with remote peer', this.#fields());
    logger.info('stopped TCP streaming connection with remote peer', this.#fields());
  }

  #flushLater(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#environment.flushLater(this);
  }

  #scheduleHeartbeat(): void {
    this.#heartbeat = this.#environment.clock.setTimer(LINK_HEARTBEAT_MS, () => this.#keepAlive());
  }

  #keepAlive(): void {
    const connection = this.#connection;
    if (connection === null) return;
    const { writer, encoder } = connection;
    if (writer.isStalled()) return this.#fail('heartbeat', 'i/o timeout');
    // Behind others it would say nothing, and who does not read must not make us pile up heartbeats.
    if (writer.pendingFrames === 0) {
      this.#sentBytes.add(encoder.encodeHeartbeat(writer));
      this.#flushLater();
    }
    this.#scheduleHeartbeat();
  }

  #fail(action: string, reason: string): void {
    const { logger, metrics } = this.#environment;
    this.#status.deactivate(this.#kind.name, action, reason);
    metrics.peerSentFailuresTotal.labels(formatId(this.#id)).inc();
    this.#connection?.socket.destroy();
    this.#close();
    this.#environment.reportUnreachable(this.#id);
    logger.warn('lost TCP streaming connection with remote peer', { ...this.#fields(), error: reason });
  }

  /** Ends the connection in good order; false when there was none. */
  #close(): boolean {
    const connection = this.#connection;
    if (connection === null) return false;
    this.#connection = null;
    this.#heartbeat?.cancel();
    const { response, socket, writer, onClose } = connection;
    response.off('close', onClose);
    writer.flush();
    if (writer.pendingFrames > 0) this.#environment.reportUnreachable(this.#id);
    writer.abandon();
    response.end();
    // Whoever does not read does not get to keep the connection.
    this.#environment.clock.setTimer(WRITE_TIMEOUT_MS, () => {
      if (!response.writableFinished) socket.destroy();
    });
    return true;
  }

  #fields(): Record<string, string> {
    return {
      'stream-writer-type': this.#kind.name,
      'local-member-id': formatId(this.#environment.self.memberId),
      'remote-peer-id': formatId(this.#id),
    };
  }
}
