/** What is known of a cluster at one moment, before anything is made of it. */
import type { AlarmMember } from '@etcd/api/etcdserverpb';
import type { KnownMember } from '../cluster/quorum.ts';

export interface MemberHash {
  readonly hash: number;
  readonly revision: number;
  readonly compactRevision: number;
}

/** What the HTTP side of a member says; each part null where it does not. */
export interface HttpFacts {
  /** By name, of those without labels, and the buckets of histograms as `name{le}`. */
  readonly metrics: ReadonlyMap<string, number> | null;
  /** Program and arguments. */
  readonly commandLine: readonly string[] | null;
  /** How far the member's clock is ahead of ours at least; negative: behind. 0 where the two may agree. */
  readonly clockAheadMs: number | null;
  /** Until when the certificate that it shows is good. */
  readonly certificateEndMs: number | null;
}

export interface MemberFacts extends KnownMember {
  readonly hash: MemberHash | null;
  readonly http: HttpFacts;
}

export interface ClusterFacts {
  /** Whether a quorum answered; without one members are those that some member knows of. */
  readonly hasQuorum: boolean;
  readonly clusterId: bigint;
  readonly members: readonly MemberFacts[];
  readonly alarms: readonly AlarmMember[];
}

export const NO_HTTP: HttpFacts = {
  metrics: null,
  commandLine: null,
  clockAheadMs: null,
  certificateEndMs: null,
};
