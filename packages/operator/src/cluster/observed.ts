/** What was seen of one cluster at one moment: all that a decision may rest on. */
import type { MemberId } from '@etcd/api';
import type { BackupSummary } from '../backup/decide-schedule.ts';
import type { SeenWorker } from '../backup/worker.ts';
import type { ParsedSpec } from '../resources/etcd-cluster.ts';
import type { RestoreSource } from '../resources/restore-spec.ts';
import type { SeenCertificates } from './certificates.ts';

export interface Observed {
  readonly nowMs: number;
  /** Of the resource: also the name of its workload, and of its members up to the ordinal. */
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly isDeleted: boolean;
  readonly hasFinalizer: boolean;
  readonly spec: ParsedSpec;
  /** Whether the services are as they should be. */
  readonly hasServices: boolean;
  readonly workload: Workload | null;
  readonly record: ClusterRecord | null;
  readonly pods: readonly SeenPod[];
  /** null: members speak in the clear. */
  readonly certificates: SeenCertificates | null;
  /** Empty where members have no volumes. */
  readonly volumes: readonly SeenVolume[];
  /** null: no member answered. */
  readonly etcd: SeenEtcd | null;
  /** Since when no member has answered, as far as this operator has seen; null: one does. */
  readonly silentSinceMs: number | null;
  /** Of this cluster, whoever has asked for them. */
  readonly backups: readonly BackupSummary[];
  readonly schedule: SeenClusterSchedule;
  /** How old the newest good backup may be; null: nobody has asked for backups. */
  readonly maxBackupAgeMs: number | null;
  /** Of those that have not come to an end, the first that was asked for. */
  readonly restore: SeenRestore | null;
  readonly restoreWorkers: readonly SeenRestoreWorker[];
}

/** The schedule that the operator makes for a cluster, under its name. */
export interface SeenClusterSchedule {
  /** null: there is none. */
  readonly uid: string | null;
  readonly isForeign: boolean;
  readonly isAsDeclared: boolean;
}

export interface SeenRestore {
  readonly uid: string;
  readonly name: string;
  /** null: there is a {@link problem}. */
  readonly source: RestoreSource | null;
  readonly problem: string;
  readonly replacesData: boolean;
}

export interface SeenRestoreWorker extends SeenWorker {
  readonly restoreUid: string;
  /** The volume that it works on. */
  readonly volumeUid: string;
}

/** A restore that was begun. */
export interface RecordedRestore {
  readonly uid: string;
  readonly name: string;
  readonly source: RestoreSource;
  /** Whether it was given up, and there is nothing that could come back. */
  readonly isFailed: boolean;
}

export interface SettledRestore {
  readonly uid: string;
  readonly isOk: boolean;
  /** The volume with what was restored; empty where nothing was. */
  readonly volumeUid: string;
  readonly message: string;
}

/** The stateful set that runs the members. */
export interface Workload {
  readonly uid: string;
  readonly ownerUid: string | null;
  readonly replicas: number;
  /** Of its members, with the tag. */
  readonly image: string;
  /** Tells its pod template from others. */
  readonly template: string;
  /** The image's tag in that template. */
  readonly version: string;
  /** Refuses changes of an older state. */
  readonly resourceVersion: string;
}

/**
 * What the operator wrote down for the members, in a config map that their pods read, too. A member with an empty disk starts only while
 * the record names it: that is, the first one of a new cluster, and learners. So no voter ever comes back without what
 * it had promised to the others.
 */
export interface ClusterRecord {
  /** null: not written yet. */
  readonly resourceVersion: string | null;
  /** `name=url,…`, for the member that starts on an empty disk. */
  readonly initialCluster: string;
  readonly initialClusterState: 'new' | 'existing';
  readonly mayStartEmpty: string | null;
  /** By member name: the disk that it was first seen with. */
  readonly disks: Readonly<Record<string, string>>;
  /** Whether the first member has been seen at work. */
  readonly isFounded: boolean;
  /** Whether history was given up since the alarm for space was raised. */
  readonly isCompacted: boolean;
  /** null: none is under way. */
  readonly restore: RecordedRestore | null;
  /** The last that came to an end: it is not done once more. */
  readonly lastRestore: SettledRestore | null;
  readonly changedMs: number;
}

export interface SeenPod {
  readonly ordinal: number;
  readonly uid: string;
  readonly template: string;
  /** The authorities that it was started with. */
  readonly trustedIds: readonly string[];
  readonly createdMs: number;
  readonly isTerminating: boolean;
  /** Whether its containers run, ready or not. */
  readonly isRunning: boolean;
}

export interface SeenVolume {
  readonly ordinal: number;
  readonly name: string;
  readonly uid: string;
  readonly isTerminating: boolean;
  /** Whether the storage behind it is gone. */
  readonly isLost: boolean;
}

export type Alarm = 'NOSPACE' | 'CORRUPT';

export interface SeenMember {
  readonly id: MemberId;
  /** Empty: it has not started yet. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
  /** Whether it answers by itself, with a leader it knows. */
  readonly isHealthy: boolean;
  /** Since when that is so, as far as this operator has seen. */
  readonly sinceMs: number;
  readonly alarms: readonly Alarm[];
  readonly databaseBytes: number;
  readonly usedBytes: number;
  /** What the database may grow to. */
  readonly quotaBytes: number;
}

export interface SeenEtcd {
  readonly members: readonly SeenMember[];
  readonly leaderId: MemberId | null;
  readonly revision: bigint;
}
