/**
 * The way for messages while there is no stream: a POST each, a few at a time. Also the only way to a member that is not
 * known as one yet.
 */

import type { MemberId } from '@etcd/api';
import { encodeMessage, type Message, MessageType } from '@etcd/api/raftpb';
import { RingBuffer } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import { MIN_BYTES_PER_MS, WRITE_TIMEOUT_MS } from './chunk-writer.ts';
import type { OpenCall } from './http-caller.ts';
import type { PeerEnvironment } from './peer-environment.ts';
import { identityHeaders } from './peer-headers.ts';
import type { PeerResponse } from './peer-network.ts';
import type { PeerStatus } from './peer-status.ts';
import { logPostProblem, postProblem } from './post-answer.ts';
import type { UrlPicker } from './url-picker.ts';

export const PIPELINE_PATH = '/raft';
/** POSTs at a time. */
const MAX_CONCURRENT = 4;
/** Messages that may wait; etcd's number. */
const MAX_QUEUED = 64;
/** No more is taken from here on, so that it may be exceeded by one message. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;

interface Queued {
  readonly body: Uint8Array;
  readonly isSnapshot: boolean;
}

export class Pipeline {
  readonly #environment: PeerEnvironment;
  readonly #id: MemberId;
  readonly #picker: UrlPicker;
  readonly #status: PeerStatus;
  readonly #queue = new RingBuffer<Queued>(4);
  readonly #calls = new Set<OpenCall>();
  #queuedBytes = 0;
  #isStopped = false;

  constructor(environment: PeerEnvironment, id: MemberId, picker: UrlPicker, status: PeerStatus) {
    this.#environment = environment;
    this.#id = id;
    this.#picker = picker;
    this.#status = status;
  }

  /** False: it does not fit. */
  send(message: Message): boolean {
    if (this.#queue.count >= MAX_QUEUED || this.#queuedBytes >= MAX_QUEUED_BYTES) return false;
    const body = encodeMessage(message);
    this.#queue.push({ body, isSnapshot: message.type === MessageType.MsgSnap });
    this.#queuedBytes += body.length;
    if (this.#calls.size < MAX_CONCURRENT) this.#postNext();
    return true;
  }

  stop(): void {
    this.#isStopped = true;
    this.#queue.clear();
    for (const call of this.#calls) call.cancel('stopped');
    this.#calls.clear();
  }

  #postNext(): void {
    const queued = this.#queue.take();
    if (queued === undefined || this.#isStopped) return;
    const { body } = queued;
    this.#queuedBytes -= body.length;
    const { caller, self } = this.#environment;
    const url = this.#picker.pick();
    const call = caller.call(
      {
        url,
        method: 'POST',
        path: PIPELINE_PATH,
        headers: { ...identityHeaders(self), 'Content-Type': 'application/protobuf' },
        body,
        timeoutMs: WRITE_TIMEOUT_MS + body.length / MIN_BYTES_PER_MS,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        reuse: true,
      },
      (response, reason) => {
        this.#calls.delete(call);
        if (this.#isStopped) return;
        const problem = response === null ? reason : this.#answerProblem(response);
        if (problem !== null) this.#picker.unreachable(url);
        this.#finish(queued, problem);
        this.#postNext();
      },
    );
    this.#calls.add(call);
  }

  #answerProblem(response: PeerResponse): string | null {
    const problem = postProblem(this.#environment, response, PIPELINE_PATH);
    if (problem !== null) logPostProblem(this.#environment, this.#id, response, problem);
    return problem;
  }

  #finish({ body, isSnapshot }: Queued, problem: string | null): void {
    const { metrics, host, reportUnreachable } = this.#environment;
    const label = formatId(this.#id);
    if (problem === null) {
      this.#status.activate();
      metrics.peerSentBytesTotal.labels(label).add(body.length);
    } else {
      this.#status.deactivate('pipeline', 'write', problem);
      metrics.peerSentFailuresTotal.labels(label).inc();
      reportUnreachable(this.#id);
    }
    if (isSnapshot) host.reportSnapshot(this.#id, problem === null);
  }
}
