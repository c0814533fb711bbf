/** Another member: the two streams in each direction, the POSTs while they are missing, and what tells how it is. */

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { MemberId } from '@etcd/api';
import { type Message, MessageType } from '@etcd/api/raftpb';
import type { EtcdUrl } from '@etcd/base';
import { messageTypeName } from '@etcd/raft';
import { formatId } from '@etcd/storage/membership';
import type { PeerEnvironment } from './peer-environment.ts';
import type { SnapshotBody } from './peer-network.ts';
import { PeerStatus } from './peer-status.ts';
import { Pipeline } from './pipeline.ts';
import { Prober } from './prober.ts';
import { type SnapshotSending, sendSnapshot } from './snapshot-upload.ts';
import { APPEND_STREAM, MESSAGE_STREAM, STREAM_KINDS, type StreamKind } from './stream-kind.ts';
import { StreamReader } from './stream-reader.ts';
import { StreamWriter } from './stream-writer.ts';
import { UrlPicker } from './url-picker.ts';

/** Takes what has come from a member. */
export type Receive = (message: Message) => void;

export class Peer {
  readonly #environment: PeerEnvironment;
  readonly #id: MemberId;
  readonly #status: PeerStatus;
  readonly #picker: UrlPicker;
  readonly #appends: StreamWriter;
  readonly #messages: StreamWriter;
  readonly #pipeline: Pipeline;
  readonly #readers: readonly StreamReader[];
  readonly #prober: Prober;
  readonly #sendings = new Set<SnapshotSending>();
  #isStopped = false;

  constructor(environment: PeerEnvironment, id: MemberId, urls: readonly EtcdUrl[], receive: Receive) {
    const { logger, lines } = environment;
    logger.info('starting remote peer', { 'remote-peer-id': formatId(id) });
    this.#environment = environment;
    this.#id = id;
    const status = new PeerStatus(environment, id);
    const picker = new UrlPicker(urls);
    this.#status = status;
    this.#picker = picker;
    this.#appends = new StreamWriter(environment, APPEND_STREAM, id, status);
    this.#messages = new StreamWriter(environment, MESSAGE_STREAM, id, status);
    this.#pipeline = new Pipeline(environment, id, picker, status);
    // The peer may be removed by a message; then those that came with it are for nobody.
    const onMessage = (message: Message): void => {
      if (!this.#isStopped) receive(message);
    };
    this.#readers = STREAM_KINDS.map(
      (kind) => new StreamReader({ environment, kind, id, picker, status, lines, onMessage }),
    );
    this.#prober = new Prober(environment, id, urls);
    logger.info('started remote peer', { 'remote-peer-id': formatId(id) });
  }

  get activeSinceMs(): number | null {
    return this.#status.activeSinceMs;
  }

  update(urls: readonly EtcdUrl[]): void {
    this.#picker.update(urls);
    this.#prober.update(urls);
  }

  /** The member has asked for a stream. */
  attach(kind: StreamKind, response: ServerResponse, socket: Socket): void {
    const writer = kind === APPEND_STREAM ? this.#appends : this.#messages;
    writer.attach(response, socket);
  }

  send(message: Message): void {
    const isSnapshot = message.type === MessageType.MsgSnap;
    const stream = isSnapshot ? null : this.#pick(message);
    if ((stream ?? this.#pipeline).send(message)) return;
    const { lines, host, metrics, clock, reportUnreachable } = this.#environment;
    reportUnreachable(this.#id);
    if (isSnapshot) clock.defer(() => host.reportSnapshot(this.#id, false));
    metrics.peerSentFailuresTotal.labels(formatId(this.#id)).inc();
    lines.warn('dropped internal Raft message since sending buffer is full', () => ({
      'message-type': messageTypeName(message.type),
      'local-member-id': formatId(this.#environment.self.memberId),
      from: formatId(message.from),
      'remote-peer-id': formatId(this.#id),
      'remote-peer-name': stream === null ? 'pipeline' : 'stream',
      'remote-peer-active': this.#status.isActive,
    }));
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    const { host, reportUnreachable } = this.#environment;
    const url = this.#picker.pick();
    const sending = sendSnapshot(this.#environment, url, message, body, (problem) => {
      this.#sendings.delete(sending);
      if (this.#isStopped) return host.reportSnapshot(this.#id, false);
      if (problem === null) {
        this.#status.activate();
      } else {
        this.#picker.unreachable(url);
        this.#status.deactivate('sendMsgSnap', 'post', problem);
        reportUnreachable(this.#id);
      }
      host.reportSnapshot(this.#id, problem === null);
    });
    this.#sendings.add(sending);
  }

  stop(): void {
    if (this.#isStopped) return;
    const { logger } = this.#environment;
    logger.info('stopping remote peer', { 'remote-peer-id': formatId(this.#id) });
    this.#isStopped = true;
    this.#appends.stop();
    this.#messages.stop();
    this.#pipeline.stop();
    for (const reader of this.#readers) reader.stop();
    for (const sending of [...this.#sendings]) sending.cancel('stopped');
    this.#prober.stop();
    this.#status.forget();
    logger.info('stopped remote peer', { 'remote-peer-id': formatId(this.#id) });
  }

  /** null: the pipeline. A snapshot with its database inside would hold up a stream. */
  #pick(message: Message): StreamWriter | null {
    if (message.type === MessageType.MsgApp && this.#appends.isAttached) return this.#appends;
    return this.#messages.isAttached ? this.#messages : null;
  }
}
