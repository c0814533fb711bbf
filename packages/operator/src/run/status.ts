/** What the resource says about its cluster: for people, for `kubectl wait`, and for whoever comes after an operator that ended. */

import { newestGood } from '../backup/newest.ts';
import type { Decision, Phase } from '../cluster/action.ts';
import {
  isExpired,
  isNearExpiry,
  ROLES,
  type Role,
  type SeenCertificate,
  type SeenCertificates,
} from '../cluster/certificates.ts';
import type { Observed } from '../cluster/observed.ts';

interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration: number;
}

export interface ClusterStatus {
  readonly observedGeneration: number;
  readonly phase: Phase;
  readonly currentReplicas: number;
  readonly readyReplicas: number;
  readonly memberCount: number;
  readonly currentVersion: string;
  readonly leaderID: string;
  readonly members: readonly {
    readonly id: string;
    readonly name: string;
    readonly isHealthy: boolean;
    readonly isLearner: boolean;
    readonly isLeader: boolean;
  }[];
  readonly certificates: readonly { readonly role: Role; readonly notAfter: string }[];
  readonly conditions: readonly Condition[];
}

/** @param before the status as it stands, whose times are kept where nothing has changed. */
export function statusOf(
  seen: Observed,
  decision: Decision,
  generation: number,
  before: unknown,
): ClusterStatus {
  const { etcd, workload } = seen;
  const members = etcd?.members ?? [];
  const conditions = new Conditions(decision, generation, before, new Date(seen.nowMs).toISOString());
  const serves = etcd !== null && etcd.leaderId !== null;
  return {
    observedGeneration: generation,
    phase: decision.phase,
    currentReplicas: workload?.replicas ?? 0,
    readyReplicas: members.filter(({ isHealthy }) => isHealthy).length,
    memberCount: members.length,
    currentVersion: workload?.version ?? '',
    leaderID: etcd?.leaderId?.toString(16) ?? '',
    members: members.map(({ id, name, isHealthy, isLearner }) => ({
      id: id.toString(16),
      name,
      isHealthy,
      isLearner,
      isLeader: id === etcd?.leaderId,
    })),
    certificates: (seen.certificates?.certificates ?? []).map(({ role, notAfterMs }) => ({
      role,
      notAfter: new Date(notAfterMs).toISOString(),
    })),
    conditions: [
      conditions.make('Available', etcd === null ? 'Unknown' : serves),
      conditions.make('Progressing', decision.phase === 'Progressing' || decision.phase === 'Creating'),
      conditions.make('Degraded', decision.phase === 'Degraded'),
      ...(seen.maxBackupAgeMs === null ? [] : [conditions.tell(freshnessOf(seen, seen.maxBackupAgeMs))]),
      ...(seen.certificates === null ? [] : [conditions.tell(certificatesOf(seen, seen.certificates))]),
    ],
  };
}

/** What one condition says by itself. */
export interface Told {
  readonly type: string;
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

function certificatesOf(seen: Observed, { certificates }: SeenCertificates): Told {
  const type = 'CertificatesValid';
  const missing = ROLES.filter((role) => !certificates.some((one) => one.role === role));
  const expired = certificates.filter((one) => isExpired(one, seen.nowMs));
  const near = certificates.filter((one) => isNearExpiry(one, seen.nowMs));
  const listed = (some: readonly SeenCertificate[]): string =>
    some.map(({ role, notAfterMs }) => `${role} ${new Date(notAfterMs).toISOString()}`).join(', ');
  const no = (reason: string, message: string): Told => ({ type, status: 'False', reason, message });
  if (missing.length > 0) return no('CertificateMissing', `there is none yet for ${missing.join(', ')}`);
  if (expired.length > 0) return no('CertificateExpired', `expired: ${listed(expired)}`);
  if (near.length > 0) return no('CertificateExpiring', `not renewed, and soon to expire: ${listed(near)}`);
  const first = certificates.reduce((a, b) => (a.notAfterMs < b.notAfterMs ? a : b));
  return { type, status: 'True', reason: 'Valid', message: `the first to expire is ${listed([first])}` };
}

function freshnessOf({ backups, nowMs }: Observed, maxAgeMs: number): Told {
  const type = 'BackupFresh';
  const newest = newestGood(backups);
  const failed = backups
    .filter(({ phase, createdMs }) => phase === 'Failed' && createdMs > (newest?.createdMs ?? 0))
    .at(-1);
  const since = failed === undefined ? '' : `; ${failed.name} failed: ${failed.message}`;
  if (newest === null)
    return { type, status: 'False', reason: 'NoBackup', message: `there is no good backup yet${since}` };
  const madeMs = newest.finishedMs ?? newest.createdMs;
  const isFresh = nowMs - madeMs <= maxAgeMs;
  const message = `${newest.name} is of ${new Date(madeMs).toISOString()}${since}`;
  return isFresh
    ? { type, status: 'True', reason: 'Fresh', message }
    : { type, status: 'False', reason: 'BackupTooOld', message };
}

class Conditions {
  readonly #decision: Decision;
  readonly #generation: number;
  readonly #before: readonly Partial<Condition>[];
  readonly #now: string;

  constructor(decision: Decision, generation: number, before: unknown, now: string) {
    const conditions = (before as { readonly conditions?: unknown } | null | undefined)?.conditions;
    this.#decision = decision;
    this.#generation = generation;
    this.#before = Array.isArray(conditions) ? (conditions as readonly Partial<Condition>[]) : [];
    this.#now = now;
  }

  make(type: string, value: boolean | 'Unknown'): Condition {
    const status = value === 'Unknown' ? value : value ? 'True' : 'False';
    const { reason, message } = this.#decision;
    return this.tell({ type, status, reason, message });
  }

  tell({ type, status, reason, message }: Told): Condition {
    const before = this.#before.find((condition) => condition.type === type);
    const lastTransitionTime =
      before?.status === status ? (before.lastTransitionTime ?? this.#now) : this.#now;
    return { type, status, reason, message, lastTransitionTime, observedGeneration: this.#generation };
  }
}
