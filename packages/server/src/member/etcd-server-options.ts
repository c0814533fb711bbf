/** What a member is made of, and what it tells whoever runs it. */
import type { Clock, Disk, Logger, Random } from '@etcd/base';
import type { SliceSizes } from '@etcd/storage/mvcc';
import type { Authentication } from '../auth/index.ts';
import type { MemberParts } from '../boot/index.ts';
import type { Config } from '../config/index.ts';
import type { Metrics } from '../metrics/index.ts';
import type { PeerNetwork } from '../peer/index.ts';

export interface EtcdServerOptions {
  readonly config: Config;
  readonly parts: MemberParts;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  /** Where the ids of requests begin: drawn anew at every start. */
  readonly requestIdStart: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Who calls; made for this member. */
  readonly authentication: Authentication;
  /** The way to the other members; not started yet. */
  readonly network: PeerNetwork;
  /** The answers of a turn are all given: they may leave. */
  readonly onTurnEnd: () => void;
  /** The member is known to its cluster and may serve clients. */
  readonly onReady: () => void;
  /** The member can't go on: its process ends. */
  readonly onFatal: (error: Error) => void;
  /** The member does not belong to its cluster any more: its process ends, in order. */
  readonly onRemoved: () => void;
  readonly slices?: SliceSizes | undefined;
}
