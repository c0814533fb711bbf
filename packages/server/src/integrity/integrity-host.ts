/** What comparing data needs of the member whose data they are. */
import type { InternalError, MemberId } from '@etcd/api';
import type { Clock, Disk, Logger, Random } from '@etcd/base';
import type { Member } from '@etcd/storage/membership';
import type { Store } from '@etcd/storage/mvcc';
import type { Config } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { PeerNetwork } from '../peer/index.ts';

export type IntegrityConfig = Pick<
  Config,
  'corruptCheckTimeMs' | 'compactHashCheckTimeMs' | 'featureGates' | 'dataDir'
>;

export interface IntegrityHost {
  readonly memberId: MemberId;
  readonly config: IntegrityConfig;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly network: PeerNetwork;
  readonly requestTimeoutMs: number;
  /** Restored from the moment when comparing starts; it may be replaced by a snapshot, and is not ready meanwhile. */
  readonly store: () => Store;
  readonly members: () => readonly Member[];
  /** Whether a member is connected: others are not asked. */
  readonly isActive: (id: MemberId) => boolean;
  readonly isLeader: () => boolean;
  /** Calls back when everything that is committed now is applied here. */
  readonly whenCurrent: (done: (error: InternalError | null) => void) => void;
  /** Raises the alarm CORRUPT for a member (0n: it is not known which), through the log. */
  readonly raiseAlarm: (memberId: MemberId) => void;
  /** Leads no more, from now on: hands the leadership over, and does not campaign. Is called again and again: the first successor may not take it. */
  readonly stepAside: () => void;
}

/** All members but the one itself. */
export function otherMembers({ members, memberId }: IntegrityHost): Member[] {
  return members().filter(({ id }) => id !== memberId);
}

export function voterIds({ members }: IntegrityHost): bigint[] {
  return members()
    .filter(({ isLearner }) => !isLearner)
    .map(({ id }) => id);
}
