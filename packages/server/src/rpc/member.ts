/** What the services know of their member, and what they ask of it: all of it that they see. */
import type { ClusterId, LogIndex, MemberId, Term } from '@etcd/api';
import type { DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import type { Clock, Logger, Random } from '@etcd/base';
import type { AuthStore, Identity } from '@etcd/storage/auth';
import type { Backend } from '@etcd/storage/backend';
import type { Lessor } from '@etcd/storage/lease';
import type { Membership } from '@etcd/storage/membership';
import type { Store, WatchHub } from '@etcd/storage/mvcc';
import type { Access, Alarms, Quota } from '../apply/index.ts';
import type { LeaseRequests, Proposals, Reconfiguration } from '../cluster/index.ts';
import type { Config } from '../config/index.ts';
import type { EntryPhases, Leadership } from '../consensus/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { Reader, Waiter } from '../request/index.ts';

export interface MemberFacts {
  readonly config: Pick<
    Config,
    | 'electionTimeoutMs'
    | 'featureGates'
    | 'maxRequestBytes'
    | 'maxTxnOps'
    | 'minPasswordLength'
    | 'quotaBackendBytes'
    | 'strictReconfigCheck'
    | 'tls'
    | 'warningApplyDurationMs'
    | 'warningUnaryRequestDurationMs'
    | 'watchProgressNotifyIntervalMs'
  >;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: { readonly handles: MetricHandles };
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  readonly term: Term;
  /** 0n while there is none. */
  readonly leader: MemberId;
  readonly isLearner: boolean;
  /** Its data are known to be wrong. */
  readonly isFenced: boolean;
  readonly committedIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** When entries came how far. */
  readonly phases: Pick<EntryPhases, 'of'>;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly backend: Backend;
  readonly membership: Membership;
  readonly alarms: Pick<Alarms, 'list'>;
  readonly quota: Pick<Quota, 'hasRoomFor' | 'limitBytes'>;
  readonly watches: WatchHub;
  /** Users and roles. */
  readonly auth: AuthStore;
  /** Who may do what: the same object as long as the member lives. */
  readonly access: Access;
}

export interface Requests {
  readonly proposals: Pick<Proposals, 'propose' | 'proposeBytes'>;
  /** Tells the reader when it may read what is committed by now. */
  read(reader: Reader): void;
  /** Tells the reader when it may read what is applied: mostly at once. */
  readLocally(reader: Reader): void;
  /** Begins or ends a downgrade of the cluster. */
  setDowngrade(
    request: DowngradeInfoSetRequest,
    identity: Identity,
    waiter: Waiter<'downgradeInfoSet'>,
  ): void;
  /** Raises the alarm that the database is full, then calls `then`. */
  onNoSpace(then: () => void): void;
  readonly leases: Pick<LeaseRequests, 'lookup' | 'newId' | 'renew'>;
  readonly reconfiguration: Pick<Reconfiguration, 'change' | 'facts' | 'promote'>;
  readonly leadership: Pick<Leadership, 'moveTo'>;
}
