/** What was seen, put together by member: the questions that decisions ask. */
import { assert } from '@etcd/base';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { memberName, ordinalOf, peerUrl } from './names.ts';
import type {
  ClusterRecord,
  Observed,
  SeenEtcd,
  SeenMember,
  SeenPod,
  SeenVolume,
  Workload,
} from './observed.ts';

/** A cluster that has been founded, and of which a member answers. */
export class ClusterView {
  readonly seen: Observed;
  readonly spec: EtcdClusterSpec;
  readonly workload: Workload;
  readonly record: ClusterRecord;
  readonly etcd: SeenEtcd;
  readonly voters: readonly SeenMember[];
  readonly learner: SeenMember | null;

  constructor(
    seen: Observed,
    spec: EtcdClusterSpec,
    workload: Workload,
    record: ClusterRecord,
    etcd: SeenEtcd,
  ) {
    this.seen = seen;
    this.spec = spec;
    this.workload = workload;
    this.record = record;
    this.etcd = etcd;
    this.voters = etcd.members.filter(({ isLearner }) => !isLearner);
    this.learner = etcd.members.find(({ isLearner }) => isLearner) ?? null;
    assert(record.isFounded, 'operator: a view of a cluster that is not founded');
  }

  /** Of a member: by its name, or, before it has started, by its address. null: it is none of ours. */
  ordinalOf(member: SeenMember): number | null {
    if (member.name !== '') return ordinalOf(this.seen.name, member.name);
    const most = Math.max(this.workload.replicas, this.spec.size) + 1;
    for (let ordinal = 0; ordinal < most; ordinal++) {
      if (member.peerUrls.includes(this.peerUrl(ordinal))) return ordinal;
    }
    return null;
  }

  member(ordinal: number): SeenMember | null {
    return this.etcd.members.find((member) => this.ordinalOf(member) === ordinal) ?? null;
  }

  name(ordinal: number): string {
    return memberName(this.seen.name, ordinal);
  }

  peerUrl(ordinal: number): string {
    return peerUrl(this.seen.name, this.seen.namespace, ordinal, this.spec.tls !== null);
  }

  pod(ordinal: number): SeenPod | null {
    return this.seen.pods.find((pod) => pod.ordinal === ordinal) ?? null;
  }

  volume(ordinal: number): SeenVolume | null {
    return this.seen.volumes.find((volume) => volume.ordinal === ordinal) ?? null;
  }

  disk(ordinal: number): string | null {
    return diskOf(this.seen, this.spec, ordinal);
  }

  get healthyVoters(): readonly SeenMember[] {
    return this.voters.filter(({ isHealthy }) => isHealthy);
  }

  /** Whether the cluster goes on deciding while `absent` of its healthy voters is away. */
  servesWithout(absent: SeenMember): boolean {
    return this.healthyVoters.filter(({ id }) => id !== absent.id).length >= quorumOf(this.voters.length);
  }

  /** Whether it may be removed for good: those who are left are enough, then as now. */
  canLose(member: SeenMember): boolean {
    const left = this.healthyVoters.filter(({ id }) => id !== member.id).length;
    return (
      this.healthyVoters.length >= quorumOf(this.voters.length) && left >= quorumOf(this.voters.length - 1)
    );
  }

  /** Whom the leadership goes to before its holder is touched: the healthy voter that comes first. */
  successorOf(leader: SeenMember): SeenMember | null {
    const others = this.healthyVoters.filter(({ id }) => id !== leader.id);
    others.sort((a, b) => (this.ordinalOf(a) ?? 0) - (this.ordinalOf(b) ?? 0));
    return others[0] ?? null;
  }
}

export const quorumOf = (voters: number): number => Math.floor(voters / 2) + 1;

/**
 * What tells the disk of an ordinal from one that takes its place: its volume's identity, or, without volumes, its pod's. null: there is none
 * just now.
 */
export function diskOf(seen: Observed, spec: EtcdClusterSpec, ordinal: number): string | null {
  if (spec.storage === null) return seen.pods.find((pod) => pod.ordinal === ordinal)?.uid ?? null;
  return seen.volumes.find((volume) => volume.ordinal === ordinal)?.uid ?? null;
}
