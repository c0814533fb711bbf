/**
 * Sends a snapshot: a POST whose body is the MsgSnap behind its length (8 bytes, big-endian), then the database. It is read
 * only as fast as the other end takes it.
 */

import type { ClientRequest } from 'node:http';
import { type Message, sizeMessage, writeMessage } from '@etcd/api/raftpb';
import type { EtcdUrl, Timer } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import { U64_BYTES, writeU64 } from './big-endian.ts';
import type { OpenCall } from './http-caller.ts';
import type { PeerEnvironment } from './peer-environment.ts';
import { identityHeaders } from './peer-headers.ts';
import type { SnapshotBody } from './peer-network.ts';
import { logPostProblem, postProblem } from './post-answer.ts';

export const SNAPSHOT_PATH = '/raft/snapshot';
const PART_BYTES = 256 * 1024;
/** As long as the other end may take nothing. */
const STALL_TIMEOUT_MS = 30_000;
/** It syncs the whole database before it answers. */
const ANSWER_TIMEOUT_MS = 10 * 60_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** Why it failed, null: it is there. */
export type SnapshotDone = (problem: string | null) => void;

export class SnapshotSending {
  readonly #environment: PeerEnvironment;
  readonly #body: SnapshotBody;
  readonly #done: SnapshotDone;
  readonly #part = Buffer.allocUnsafeSlow(PART_BYTES);
  readonly #call: OpenCall;
  #leftBytes: number;
  #timer: Timer | null = null;
  #isReading = false;
  #isOver = false;

  /** `done` is called once, in a later turn; the body is closed by then. */
  constructor(
    environment: PeerEnvironment,
    url: EtcdUrl,
    message: Message,
    body: SnapshotBody,
    done: SnapshotDone,
  ) {
    this.#environment = environment;
    this.#body = body;
    this.#done = done;
    this.#leftBytes = body.sizeBytes;
    const head = encodeHead(message);
    this.#call = environment.caller.call(
      {
        url,
        method: 'POST',
        path: SNAPSHOT_PATH,
        headers: {
          ...identityHeaders(environment.self),
          'Content-Type': 'application/octet-stream',
          'Content-Length': String(head.length + body.sizeBytes),
        },
        body: null,
        timeoutMs: null,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        reuse: false,
      },
      (response, reason) => {
        if (response === null) return this.#finish(reason);
        const problem = postProblem(environment, response, SNAPSHOT_PATH);
        if (problem !== null) logPostProblem(environment, message.to, response, problem);
        this.#finish(problem);
      },
    );
    this.#limit(STALL_TIMEOUT_MS);
    this.#request.write(head, this.#onWritten);
  }

  get #request(): ClientRequest {
    return this.#call.request;
  }

  cancel(reason: string): void {
    this.#call.cancel(reason);
  }

  readonly #onWritten = (error?: Error | null): void => {
    // A failed write is told by the call as well.
    if (this.#isOver || error) return;
    if (this.#leftBytes > 0) return this.#readPart();
    this.#limit(ANSWER_TIMEOUT_MS);
    this.#request.end();
  };

  #readPart(): void {
    const part = this.#part.subarray(0, Math.min(PART_BYTES, this.#leftBytes));
    this.#isReading = true;
    // The other end has taken what it was given: what the disk needs now is not its time.
    this.#limit(STALL_TIMEOUT_MS);
    this.#body.readThen(part, (error, bytesRead) => {
      this.#isReading = false;
      if (this.#isOver) return this.#body.close();
      if (error !== null) return this.cancel(error.message);
      if (bytesRead === 0) return this.cancel('the database ended early');
      this.#leftBytes -= bytesRead;
      this.#limit(STALL_TIMEOUT_MS);
      this.#request.write(part.subarray(0, bytesRead), this.#onWritten);
    });
  }

  #limit(timeoutMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#environment.clock.setTimer(timeoutMs, () => this.cancel('i/o timeout'));
  }

  #finish(problem: string | null): void {
    this.#isOver = true;
    this.#timer?.cancel();
    if (!this.#isReading) this.#body.close();
    // An answer may come before all was sent: what is left need not be.
    if (!this.#request.writableEnded) this.#request.destroy();
    this.#done(problem);
  }
}

/** Sends it, logs and counts how it goes. Returns the sending, to be cancelled when the member is no peer any more. */
export function sendSnapshot(
  environment: PeerEnvironment,
  url: EtcdUrl,
  message: Message,
  body: SnapshotBody,
  done: SnapshotDone,
): SnapshotSending {
  const { metrics, logger, clock } = environment;
  const to = formatId(message.to);
  const bytes = body.sizeBytes;
  const fields = {
    'snapshot-index': message.snapshot?.metadata.index ?? 0,
    'remote-peer-id': to,
    bytes,
  };
  const startMs = clock.now();
  logger.info('sending database snapshot', fields);
  metrics.snapshotSendInflights.labels(to).add(1);
  return new SnapshotSending(environment, url, message, body, (problem) => {
    metrics.snapshotSendInflights.labels(to).add(-1);
    if (problem === null) {
      logger.info('sent database snapshot', fields);
      metrics.peerSentBytesTotal.labels(to).add(bytes);
      metrics.snapshotSendSuccess.labels(to).inc();
      metrics.snapshotSendDurationSeconds.labels(to).observe((clock.now() - startMs) / 1000);
    } else {
      logger.warn('failed to send database snapshot', { ...fields, error: problem });
      metrics.peerSentFailuresTotal.labels(to).inc();
      metrics.snapshotSendFailures.labels(to).inc();
    }
    done(problem);
  });
}

function encodeHead(message: Message): Uint8Array {
  const size = sizeMessage(message);
  const head = new Uint8Array(U64_BYTES + size);
  writeMessage(message, head, writeU64(head, 0, size));
  return head;
}
