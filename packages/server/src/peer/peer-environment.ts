/** What the parts of the network share. */
import type { MemberId } from '@etcd/api';
import type { Clock, Logger } from '@etcd/base';
import type { Dialer } from '@etcd/host/net';
import type { MetricHandles } from '../metrics/index.ts';
import type { BlockPool } from './chunk-writer.ts';
import type { HttpCaller } from './http-caller.ts';
import type { LineLimiter } from './line-limiter.ts';
import type { PeerIdentity } from './peer-headers.ts';
import type { PeerHost } from './peer-network.ts';

export interface PeerEnvironment {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PeerMetrics;
  readonly self: PeerIdentity;
  readonly host: PeerHost;
  /** For lines that a fault repeats. */
  readonly lines: LineLimiter;
  readonly dialer: Dialer;
  readonly dialTimeoutMs: number;
  readonly caller: HttpCaller;
  readonly pool: BlockPool;
  /** Calls `writer.flush` once after this turn. */
  flushLater(writer: Flushable): void;
  /** Tells the host in a turn of its own, once however many messages were lost. */
  reportUnreachable(id: MemberId): void;
  /** Another member says that this one is no member any more. */
  onRemoved(): void;
}

export interface Flushable {
  flush(): void;
}

export type PeerMetrics = Pick<
  MetricHandles,
  | 'activePeers'
  | 'disconnectedPeersTotal'
  | 'peerSentBytesTotal'
  | 'peerReceivedBytesTotal'
  | 'peerSentFailuresTotal'
  | 'peerReceivedFailuresTotal'
  | 'peerRoundTripTimeSeconds'
  | 'snapshotSendSuccess'
  | 'snapshotSendFailures'
  | 'snapshotSendInflights'
  | 'snapshotSendDurationSeconds'
  | 'snapshotReceiveSuccess'
  | 'snapshotReceiveFailures'
  | 'snapshotReceiveInflights'
  | 'snapshotReceiveDurationSeconds'
>;
