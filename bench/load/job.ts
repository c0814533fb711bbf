/** What a load generator is asked to do, and what it answers: plain data, sent between processes. */

/** The requests of a job. Keys are `prefix` and a decimal number padded with zeros: see {@link KeySpace}. */
export type Work =
  /** Puts that walk through all keys, scattered; more puts than keys overwrite. */
  | { readonly kind: 'put'; readonly space: KeySpace; readonly valueBytes: number }
  /** Writes every key once, in order, many in one transaction: the cheapest way to have many keys. */
  | { readonly kind: 'fill'; readonly space: KeySpace; readonly valueBytes: number; readonly perTxn: number }
  /** One key again and again. */
  | { readonly kind: 'get'; readonly space: KeySpace; readonly isSerializable: boolean }
  /** The whole key space in one answer, or in a stream of answers. */
  | { readonly kind: 'range-all'; readonly space: KeySpace; readonly isStreamed: boolean }
  | { readonly kind: 'compare-and-put'; readonly space: KeySpace; readonly valueBytes: number }
  /** Creates and deletes by turns, each on the condition that nobody else did. */
  | { readonly kind: 'create-and-delete'; readonly space: KeySpace; readonly valueBytes: number }
  /** Compares with a revision that has passed: every transaction fails and answers with the key. */
  | { readonly kind: 'conflict'; readonly space: KeySpace; readonly valueBytes: number }
  /** Lists page by page, later pages at the revision of the first; with `isStreamed` each by a RangeStream. */
  | {
      readonly kind: 'list';
      readonly space: KeySpace;
      readonly pageKeys: number;
      readonly isStreamed?: boolean;
    }
  | { readonly kind: 'count'; readonly space: KeySpace }
  | { readonly kind: 'grant'; readonly ttlSeconds: number }
  /** Logs in, again and again. */
  | { readonly kind: 'login'; readonly user: string; readonly password: string }
  /** What an API server does all day, in the proportions of one. */
  | { readonly kind: 'kubernetes'; readonly space: KeySpace; readonly valueBytes: number };

export interface KeySpace {
  readonly prefix: string;
  /** How many keys there are. */
  readonly count: number;
  /** Length of a key; at least that of the prefix and {@link KEY_DIGITS}. */
  readonly keyBytes?: number;
}

/** As many digits as numbers of keys have. */
export const KEY_DIGITS = 8;

/** How fast requests follow each other. */
export type Pace =
  /** Each connection keeps so many requests in flight, until `requests` in all are answered. */
  | { readonly inFlight: number; readonly requests: number }
  /** Requests leave at a fixed rate whether or not earlier ones are answered; lateness counts as latency. */
  | { readonly perSecond: number; readonly seconds: number }
  /** The same, and each connection's at that: so many a second on each, in turn. */
  | { readonly eachPerSecond: number; readonly seconds: number };

/** Watchers that are open, and synchronized, before the first request leaves. */
export interface WatchSpec {
  readonly connections: number;
  /** Each with a stream of its own. */
  readonly watchersPerConnection: number;
  readonly key: string;
  /** Empty for the single key. */
  readonly rangeEnd: string;
  readonly isKubernetes: boolean;
  /** Every so many milliseconds each watcher asks for its progress; 0 for never. */
  readonly progressEveryMs: number;
  /** The job is over when every watcher has seen so many events; 0 to end with the requests. */
  readonly eventsEach: number;
}

export interface Job {
  /** `host:port` of the members; connections are spread over them. */
  readonly targets: readonly string[];
  /** Processes whose CPU time is read when the first request leaves and when the last is answered. */
  readonly serverPids: readonly number[];
  readonly connections: number;
  readonly pace: Pace;
  readonly work: Work;
  readonly watch?: WatchSpec;
  /** As JSON over HTTP/1.1, one in flight on each connection. */
  readonly isOverGateway?: boolean;
  /** In whose name, where authentication is on. */
  readonly token?: string;
}

export interface JobResult {
  readonly operations: number;
  readonly elapsedMs: number;
  /** CPU time of the servers, all threads, user and system. */
  readonly serverCpuUs: number;
  /** CPU time of the generator itself. Near `elapsedMs` in total, it was the bottleneck. */
  readonly generatorCpuUs: number;
  /** Bytes of answers. */
  readonly answerBytes: number;
  readonly events: number;
  readonly latency: LatencyMs;
}

export interface LatencyMs {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}
