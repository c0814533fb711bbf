/**
 * Takes in a snapshot: the MsgSnap behind its length, then the database, which goes to disk as fast as that takes it. The
 * member hears of the message when the database is durable.
 */

import type { IncomingMessage } from 'node:http';
import { type Message, MessageType } from '@etcd/api/raftpb';
import { DiskError, type Timer } from '@etcd/base';
import { type HttpAnswer, httpError } from '@etcd/host/net';
import { hasWholeSnapshot } from '@etcd/raft';
import { formatId } from '@etcd/storage/membership';
import type { DbReceiver } from '@etcd/storage/snap';
import { readU64, U64_BYTES } from './big-endian.ts';
import { PeerCodecError } from './codec-error.ts';
import { decodeOwnMessage } from './frame-decoder.ts';
import type { PeerEnvironment } from './peer-environment.ts';

/** Of the MsgSnap without the database: where it stands, and the list of members. */
const MAX_SNAPSHOT_MESSAGE_BYTES = 64 * 1024 * 1024;
/** As long as the sender may send nothing. */
const STALL_TIMEOUT_MS = 30_000;

export interface IntakeHandlers {
  /** Called with the MsgSnap before its database is taken in; null: go on. */
  check(message: Message): HttpAnswer | null;
  /**
   * Called once. `refusal` null: the database is there, and durable. `message` null: it has not come, or is none.
   * @param isBegun {@link check} has let it pass.
   */
  done(refusal: HttpAnswer | null, message: Message | null, isBegun: boolean): void;
}

export class SnapshotIntake {
  readonly #environment: PeerEnvironment;
  readonly #request: IncomingMessage;
  readonly #handlers: IntakeHandlers;
  #head: Buffer[] = [];
  #headBytes = 0;
  #message: Message | null = null;
  #receiver: DbReceiver | null = null;
  #timer: Timer | null = null;
  #isBegun = false;
  #isWriting = false;
  #hasEnded = false;
  #isOver = false;

  constructor(environment: PeerEnvironment, request: IncomingMessage, handlers: IntakeHandlers) {
    this.#environment = environment;
    this.#request = request;
    this.#handlers = handlers;
    request.on('data', (chunk: Buffer) => this.#onData(chunk));
    request.on('end', () => this.#onEnd());
    request.on('error', () => this.#onGone());
    request.on('close', () => this.#onGone());
    this.#expectMore();
  }

  #expectMore(): void {
    this.#timer?.cancel();
    this.#timer = this.#environment.clock.setTimer(STALL_TIMEOUT_MS, () => this.#onGone());
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#expectMore();
    if (this.#receiver !== null) return this.#write(this.#receiver, chunk);
    this.#head.push(chunk);
    this.#headBytes += chunk.length;
    if (this.#headBytes >= U64_BYTES) this.#readHead();
  }

  #readHead(): void {
    // What the length is in came with the first bytes, as a rule; joining for it costs nothing then.
    if (this.#head[0]!.length < U64_BYTES) this.#head = [Buffer.concat(this.#head)];
    const size = readU64(this.#head[0]!, 0);
    if (size > MAX_SNAPSHOT_MESSAGE_BYTES) return this.#refuse(400, decodeFailure(`${size} bytes`));
    const end = U64_BYTES + size;
    if (this.#headBytes < end) return;
    const head = Buffer.concat(this.#head);
    this.#head = [];
    let message: Message;
    try {
      message = decodeOwnMessage(head, U64_BYTES, end, false);
    } catch (error) {
      if (!(error instanceof PeerCodecError)) throw error;
      return this.#refuse(400, decodeFailure(error.message));
    }
    if (message.type !== MessageType.MsgSnap) return this.#refuse(400, 'wrong raft message type');
    if (!hasWholeSnapshot(message)) return this.#refuse(400, decodeFailure('no snapshot of a log'));
    this.#message = message;
    const refusal = this.#handlers.check(message);
    if (refusal !== null) return this.#finish(refusal);
    this.#begin(message, head.subarray(end));
  }

  #begin(message: Message, rest: Buffer): void {
    const { host, logger } = this.#environment;
    logger.info('receiving database snapshot', {
      'remote-snapshot-sender-id': formatId(message.from),
      'incoming-snapshot-index': message.snapshot?.metadata.index ?? 0,
    });
    this.#isBegun = true;
    const receiver = host.receiveSnapshot(message);
    if (receiver instanceof DiskError) return this.#refuse(500, saveFailure(receiver.message));
    this.#receiver = receiver;
    if (rest.length > 0) this.#write(receiver, rest);
  }

  #write(receiver: DbReceiver, chunk: Buffer): void {
    this.#isWriting = true;
    this.#request.pause();
    // While the disk is busy the sender can't send: only the time that it lets pass counts.
    this.#timer?.cancel();
    receiver.write(chunk, (error) => {
      this.#isWriting = false;
      if (error !== null) return this.#refuse(500, saveFailure(error.message));
      if (this.#hasEnded) return this.#publish(receiver);
      this.#expectMore();
      this.#request.resume();
    });
  }

  #onEnd(): void {
    if (this.#isOver) return;
    this.#hasEnded = true;
    if (this.#receiver === null) return this.#refuse(400, decodeFailure('unexpected EOF'));
    if (!this.#isWriting) this.#publish(this.#receiver);
  }

  #publish(receiver: DbReceiver): void {
    this.#timer?.cancel();
    receiver.finish((error) => {
      if (this.#isOver) return;
      if (error !== null) return this.#refuse(500, saveFailure(error.message));
      this.#finish(null);
    });
  }

  /** The sender has gone away, or might as well have. What has come completely is kept all the same. */
  #onGone(): void {
    if (this.#isOver || this.#hasEnded) return;
    this.#receiver?.abort();
    this.#receiver = null;
    this.#refuse(500, saveFailure('unexpected EOF'));
  }

  #refuse(status: 400 | 500, text: string): void {
    this.#finish(httpError(status, text));
  }

  #finish(refusal: HttpAnswer | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#head = [];
    this.#handlers.done(refusal, this.#message, this.#isBegun);
  }
}

function decodeFailure(problem: string): string {
  return `failed to decode raft message (${problem})`;
}

function saveFailure(problem: string): string {
  return `failed to save KV snapshot (${problem})`;
}
