/** All watches of a proxy: finds the stream and the group that a client's watcher belongs to. */
import { encodeWatchCreateRequest, WatchCreateRequest } from '@etcd/api/etcdserverpb';
import { type Logger, latin1FromBytes } from '@etcd/base';
import { namespaceRange } from '@etcd/client/forward';
import type { ServerCall } from '@etcd/transport';
import type { Caller } from '../upstream/caller.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ClientWatch } from './client-watch.ts';
import { type FrameMap, UpstreamWatch } from './upstream-watch.ts';
import { WatchCounts } from './watch-counts.ts';
import type { WatchGroup } from './watch-group.ts';

export interface WatchHubOptions {
  readonly upstream: Upstream;
  readonly logger: Logger;
  /** Before the keys that are watched; empty for none. */
  readonly namespace: Uint8Array;
  /** Whether messages to clients are written where they can be heard, which costs a copy. */
  readonly isTapped: boolean;
}

const FIRST_KEY = new Uint8Array(1);

export class WatchHub {
  readonly counts = new WatchCounts();
  readonly #options: WatchHubOptions;
  readonly #streams = new Map<string, UpstreamWatch>();
  readonly #mapFrame: FrameMap | null;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    this.#mapFrame = options.namespace.length === 0 ? null : withoutNamespace(options.namespace.length);
  }

  /** Streams to members. */
  get streamCount(): number {
    return this.#streams.size;
  }

  open(call: ServerCall, caller: Caller): void {
    const { upstream } = this.#options;
    call.receiver = new ClientWatch(call, upstream.clock, {
      stream: () => this.#stream(caller),
      group: (request) => this.#group(caller, request),
      isTapped: this.#options.isTapped,
    });
  }

  /** Ends all streams, of clients and to members. */
  close(code: number, message: string): void {
    for (const stream of [...this.#streams.values()]) stream.close(code, message);
  }

  #stream(caller: Caller): UpstreamWatch {
    const known = this.#streams.get(caller.key);
    if (known !== undefined) return known;
    const { upstream, logger } = this.#options;
    const stream = new UpstreamWatch({
      upstream,
      caller,
      counts: this.counts,
      logger,
      mapFrame: this.#mapFrame,
      onIdle: () => {
        if (this.#streams.get(caller.key) === stream) this.#streams.delete(caller.key);
      },
    });
    this.#streams.set(caller.key, stream);
    return stream;
  }

  #group(caller: Caller, request: WatchCreateRequest): WatchGroup {
    const asked = this.#asked(request);
    return this.#stream(caller).group(latin1FromBytes(encodeWatchCreateRequest(asked)), asked);
  }

  /** What watchers who may share have in common. Progress is always reported: it moves the place to go on from after a cut. */
  #asked({ key, rangeEnd, filters, prevKv, fragment }: WatchCreateRequest): WatchCreateRequest {
    const { namespace } = this.#options;
    const range = { key: Buffer.from(key), rangeEnd: Buffer.from(rangeEnd) };
    const asked =
      namespace.length === 0
        ? range
        : namespaceRange(namespace, key.length === 0 ? { ...range, key: FIRST_KEY } : range);
    return new WatchCreateRequest({
      ...asked,
      filters: [...filters],
      prevKv,
      fragment,
      progressNotify: true,
    });
  }
}

function withoutNamespace(length: number): FrameMap {
  return (frame) => {
    if (frame.eventCount === 0) return;
    const response = frame.decode();
    for (const { kv, prevKv } of response.events) {
      if (kv !== null) kv.key = kv.key.subarray(length);
      if (prevKv !== null) prevKv.key = prevKv.key.subarray(length);
    }
    frame.replace(response);
  };
}
