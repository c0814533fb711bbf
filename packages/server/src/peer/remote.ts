/**
 * A member that this one does not know yet, because its own log is behind: it has spoken to us and said where it is. What we
 * answer goes by POST.
 */

import type { MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import type { EtcdUrl } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import type { PeerEnvironment } from './peer-environment.ts';
import { PeerStatus } from './peer-status.ts';
import { Pipeline } from './pipeline.ts';
import { UrlPicker } from './url-picker.ts';

export class Remote {
  readonly #environment: PeerEnvironment;
  readonly #id: MemberId;
  readonly #status: PeerStatus;
  readonly #pipeline: Pipeline;

  constructor(environment: PeerEnvironment, id: MemberId, urls: readonly EtcdUrl[]) {
    this.#environment = environment;
    this.#id = id;
    this.#status = new PeerStatus(environment, id);
    this.#pipeline = new Pipeline(environment, id, new UrlPicker(urls), this.#status);
  }

  send(message: Message): void {
    if (this.#pipeline.send(message)) return;
    this.#environment.metrics.peerSentFailuresTotal.labels(formatId(this.#id)).inc();
    this.#environment.reportUnreachable(this.#id);
  }

  stop(): void {
    this.#pipeline.stop();
    this.#status.forget();
  }
}
