/** What a client is made of and with. {@link EtcdClient} takes them; `@etcd/client/node` fills in what Node has. */
import type { Clock, Random } from '@etcd/base';
import type { Duplex, Metadata } from '@etcd/transport';
import type { Endpoint } from './endpoint.ts';

/** How a client gets a byte stream to a server. */
export interface Connector {
  /** Whether connections to an endpoint without a scheme are encrypted. */
  readonly isSecure: boolean;
  /** Begins to connect. The stream may be used at once; a failure is its end. */
  connect(endpoint: Endpoint): Duplex;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface ClientOptions {
  /** At least one; see {@link Endpoint}. */
  readonly endpoints: readonly string[];
  readonly connector: Connector;
  /** What waits here keeps its process alive, if a clock can. */
  readonly clock: Clock;
  /** The clock of the connections, where an idle timer is no reason to live; {@link clock} unless told. */
  readonly connectionClock?: Clock | undefined;
  readonly random: Random;
  readonly credentials?: Credentials | undefined;
  /** A token that was got elsewhere; it is never refreshed. Excludes {@link credentials}. */
  readonly token?: string | undefined;
  /** Deadline of a unary call that brings none of its own; 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** How long a connection may take until the server answers. */
  readonly dialTimeoutMs?: number | undefined;
  /** Idle time after which the server is asked for a sign of life, while calls are open; 0 for never. */
  readonly keepaliveIntervalMs?: number | undefined;
  readonly keepaliveTimeoutMs?: number | undefined;
  /** Ask for signs of life also while no call is open; servers may take that for a flood. */
  readonly keepaliveWithoutStream?: boolean | undefined;
  readonly maxSendMessageBytes?: number | undefined;
  readonly maxReceiveMessageBytes?: number | undefined;
  /**
   * So much of an answer may be under way on a connection, and wait for its reader: memory for bandwidth over long distances. At least 64 KiB; 16 MiB
   * unless told, of which 4 wait.
   */
  readonly maxReceiveWindowBytes?: number | undefined;
  /** Whether members that call themselves not serving (`grpc.health.v1`) are passed over. */
  readonly healthChecks?: boolean | undefined;
  /** Hears of what is worth a line in a log: connections lost and made, calls that are tried again. */
  readonly onEvent?: ((event: ClientEvent) => void) | undefined;
}

export type ClientEvent =
  | { readonly kind: 'connected'; readonly endpoint: string }
  | { readonly kind: 'disconnected'; readonly endpoint: string; readonly reason: string }
  | { readonly kind: 'unhealthy'; readonly endpoint: string }
  | {
      readonly kind: 'retry';
      readonly method: string;
      readonly attempt: number;
      readonly error: Error;
    }
  | { readonly kind: 'watch-resumed'; readonly revision: number };

/** What every call takes. */
export interface CallOptions {
  /** Gives up: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline of this call; 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** Fail at once with "no leader" where the member has lost its cluster, instead of waiting. */
  readonly requireLeader?: boolean | undefined;
  /** Further metadata. Calls are cheapest when they share one array. */
  readonly metadata?: Metadata | undefined;
}

export const NO_OPTIONS: CallOptions = {};

export const DEFAULT_TIMEOUT_MS = 30_000;
export const DEFAULT_DIAL_TIMEOUT_MS = 5_000;
/** As often as servers put up with it: without, a watch would wait forever for a member that has vanished. */
export const DEFAULT_KEEPALIVE_INTERVAL_MS = 10_000;
export const DEFAULT_KEEPALIVE_TIMEOUT_MS = 10_000;
/** As Go etcd's client: a little more than what a server takes. */
export const DEFAULT_MAX_SEND_BYTES = 2 * 1024 * 1024;
export const DEFAULT_RECEIVE_WINDOW_BYTES = 16 * 1024 * 1024;
export const DEFAULT_MAX_RECEIVE_BYTES = 2 ** 31 - 1;
