/**
 * What a member's parts have in common: the world around it, its configuration, and who it is. Made once when a member is
 * assembled. A part's options say which of it the part takes, and have the part's own few callbacks besides.
 */
import type { MemberId } from '@etcd/api';
import type { Clock, Disk, Logger, Random } from '@etcd/base';
import type { MemoryStorage, RawNode } from '@etcd/raft';
import type { Membership } from '@etcd/storage/membership';
import type { Snapshotter } from '@etcd/storage/snap';
import type { Config } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { PeerNetwork } from '../peer/index.ts';
import type { RequestIds } from '../request/index.ts';

export interface MemberEnvironment {
  readonly config: Config;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly network: PeerNetwork;
  readonly memberId: MemberId;
  readonly membership: Membership;
  readonly ids: RequestIds;
  readonly node: RawNode;
  readonly raftStorage: MemoryStorage;
  readonly snapshotter: Snapshotter;
  /** How long a request may wait. */
  readonly requestTimeoutMs: number;
}
