/** Watchers, each on a stream of its own, that count the events they get. */
import {
  encodeWatchRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import type { ClientCall, ClientReceiver, GrpcChannel } from '@etcd/transport';
import { countEvents } from './answers.ts';
import { openChannels } from './connect.ts';
import type { WatchSpec } from './job.ts';

const WATCH = '/etcdserverpb.Watch/Watch';
/** As an API server says that answers without a leader are no use to it. */
const KUBERNETES_METADATA = [
  ['hasleader', 'true'],
  ['client-api-version', '3.6'],
] as const;

export class Watchers implements ClientReceiver {
  /** Received by all. */
  events = 0;
  answerBytes = 0;
  readonly #spec: WatchSpec;
  readonly #channels: readonly GrpcChannel[];
  readonly #calls: ClientCall[] = [];
  readonly #created = new Set<ClientCall>();
  #progressTimer: NodeJS.Timeout | undefined;
  #onChange: () => void = () => {};
  #onFailed: (error: Error) => void = () => {};
  #isClosing = false;

  private constructor(spec: WatchSpec, channels: readonly GrpcChannel[]) {
    this.#spec = spec;
    this.#channels = channels;
  }

  /** Resolves when the server has created every watcher. */
  static async open(spec: WatchSpec, targets: readonly string[]): Promise<Watchers> {
    const watchers = new Watchers(spec, await openChannels(targets, spec.connections));
    const count = spec.connections * spec.watchersPerConnection;
    for (let i = 0; i < count; i++) watchers.#create(watchers.#channels[i % spec.connections]!);
    await watchers.#until(() => watchers.#created.size === count);
    if (spec.progressEveryMs > 0) {
      watchers.#progressTimer = setInterval(() => watchers.#askProgress(), spec.progressEveryMs);
    }
    return watchers;
  }

  /** Resolves when all have seen all events that the job is about. */
  finished(): Promise<void> {
    const { connections, watchersPerConnection, eventsEach } = this.#spec;
    const expected = connections * watchersPerConnection * eventsEach;
    return this.#until(() => this.events >= expected);
  }

  close(): void {
    this.#isClosing = true;
    clearInterval(this.#progressTimer);
    for (const channel of this.#channels) channel.close();
  }

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.answerBytes += end - start;
    if (!this.#created.has(call)) this.#created.add(call);
    else this.events += countEvents(bytes, start, end);
    this.#onChange();
  }

  onEnd(_call: ClientCall, code: number, message: string): void {
    if (!this.#isClosing) this.#onFailed(new Error(`a watch ended: code ${code}: ${message}`));
  }

  #create(channel: GrpcChannel): void {
    const { key, rangeEnd, isKubernetes } = this.#spec;
    const call = channel.call(WATCH, this, isKubernetes ? { metadata: KUBERNETES_METADATA } : {});
    const createRequest = new WatchCreateRequest({
      key: Buffer.from(key),
      rangeEnd: Buffer.from(rangeEnd),
      prevKv: isKubernetes,
      progressNotify: isKubernetes,
    });
    call.write(encodeWatchRequest(new WatchRequest({ createRequest })));
    this.#calls.push(call);
  }

  #askProgress(): void {
    const request = encodeWatchRequest(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
    for (const call of this.#calls) call.write(request);
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onFailed = reject;
      this.#onChange = () => {
        if (condition()) resolve();
      };
      this.#onChange();
    });
  }
}
