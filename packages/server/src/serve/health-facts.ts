/** What plain HTTP tells of a member, and what it asks it: all of it that it sees. */
import type { Logger } from '@etcd/base';
import type { VersionFacts } from '../member/index.ts';
import type { MetricHandles, Metrics } from '../metrics/index.ts';
import type { MemberFacts, Requests } from '../rpc/index.ts';

export interface HealthFacts
  extends VersionFacts,
    Pick<MemberFacts, 'alarms' | 'clock' | 'isFenced' | 'isLearner' | 'leader' | 'store'>,
    Pick<Requests, 'read' | 'readLocally'> {
  readonly isStopped: boolean;
  /** Raft's view of the cluster, as JSON. */
  raftStatus(): string;
  readonly logger: Pick<Logger, 'error' | 'warn'>;
  readonly metrics: Pick<Metrics, 'render'> & { readonly handles: MetricHandles };
}
