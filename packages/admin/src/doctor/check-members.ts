/** Findings about members one by one: space, disk, certificate, clock, flags. Pure. */
import { humanBytes } from '@etcd/host/cli';
import { titleOf } from '../cluster/quorum.ts';
import type { ClusterFacts, MemberFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { quantileOf } from './http-probe.ts';

const DAY_MS = 86_400_000;
const CERTIFICATE_WARNING_DAYS = 30;
const QUOTA_WARNING = 0.8;
const QUOTA_ERROR = 0.95;
/** Until 3.4 nobody tells. */
const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;
const MIN_FREE_BYTES = 100 * 1024 * 1024;
const MAX_FREE_SHARE = 0.5;
/** Leases, tokens and certificates go by the clock. */
const MAX_CLOCK_SKEW_MS = 1_000;
/** What etcd's documentation asks of disks, for 99 of 100. */
export const MAX_SYNC_SECONDS = 0.01;
const MAX_COMMIT_SECONDS = 0.025;
const P99 = 0.99;

export function checkMembers(facts: ClusterFacts, nowMs: number): Finding[] {
  return [
    ...facts.members.flatMap((one) => [
      ...spaceFindings(one),
      ...diskFindings(one),
      ...certificateFindings(one, nowMs),
      ...clockFindings(one),
    ]),
    ...flagFindings(facts.members),
  ];
}

function quotaOf({ status, http }: MemberFacts): number {
  const told = status?.dbSizeQuota ?? 0;
  return told > 0 ? told : (http.metrics?.get('etcd_server_quota_backend_bytes') ?? DEFAULT_QUOTA_BYTES);
}

function spaceFindings(one: MemberFacts): Finding[] {
  const { member, status } = one;
  if (status === null) return [];
  const findings: Finding[] = [];
  const { dbSize, dbSizeInUse } = status;
  const quota = quotaOf(one);
  const [endpoint] = member.clientUrls;
  const usage = dbSize / quota;
  if (usage >= QUOTA_WARNING) {
    findings.push({
      severity: usage >= QUOTA_ERROR ? 'error' : 'warning',
      check: 'quota',
      member: titleOf(member),
      message: `the database of ${humanBytes(dbSize)} has ${Math.floor(usage * 100)} % of its quota of ${humanBytes(quota)}`,
      fix: `etcdctl compact REVISION && etcd-defrag --endpoints ${endpoint}, or a larger --quota-backend-bytes on all members`,
    });
  }
  const free = dbSize - dbSizeInUse;
  // Before 3.4 nobody said how much is in use.
  if (dbSizeInUse > 0 && free > MIN_FREE_BYTES && free > dbSize * MAX_FREE_SHARE) {
    findings.push({
      severity: 'warning',
      check: 'fragmentation',
      member: titleOf(member),
      message: `${humanBytes(free)} of the ${humanBytes(dbSize)} of the database are free`,
      fix: `etcd-defrag --endpoints ${endpoint}`,
    });
  }
  return findings;
}

function diskFindings({ member, http: { metrics } }: MemberFacts): Finding[] {
  if (metrics === null) return [];
  return [
    ['etcd_disk_wal_fsync_duration_seconds', MAX_SYNC_SECONDS, 'syncs of the log'],
    ['etcd_disk_backend_commit_duration_seconds', MAX_COMMIT_SECONDS, 'commits of the database'],
  ].flatMap(([name, limit, what]): Finding[] => {
    const p99 = quantileOf(metrics, name as string, P99);
    // A bucket's bound says at most how long; the next one below is what it was longer than.
    if (p99 === null || p99 / 2 < (limit as number)) return [];
    const message = `1 of 100 ${what} takes longer than ${seconds(p99 / 2)} since its start`;
    const fix =
      'a faster disk, or one that nobody else uses; etcdadm doctor --data-dir on its host measures it';
    return [{ severity: 'warning', check: 'disk', member: titleOf(member), message, fix }];
  });
}

function seconds(value: number): string {
  return Number.isFinite(value) ? `${Math.round(value * 1000)} ms` : 'the longest that is measured';
}

function certificateFindings({ member, http: { certificateEndMs } }: MemberFacts, nowMs: number): Finding[] {
  if (certificateEndMs === null) return [];
  return certificateFinding(
    certificateEndMs,
    nowMs,
    'certificates',
    titleOf(member),
    'the certificate that it shows',
  );
}

/** Of any certificate. */
export function certificateFinding(
  endMs: number,
  nowMs: number,
  check: string,
  member: string | null,
  what: string,
): Finding[] {
  const days = Math.floor((endMs - nowMs) / DAY_MS);
  if (days >= CERTIFICATE_WARNING_DAYS) return [];
  const isOver = endMs < nowMs;
  const message = isOver ? `${what} has expired` : `${what} is good for ${days} days`;
  const fix = 'etcdadm certs renew all, or etcdadm kubeadm certs renew all, on its host';
  return [{ severity: isOver ? 'error' : 'warning', check, member, message, fix }];
}

function clockFindings({ member, http: { clockAheadMs } }: MemberFacts): Finding[] {
  if (clockAheadMs === null || Math.abs(clockAheadMs) <= MAX_CLOCK_SKEW_MS) return [];
  const direction = clockAheadMs > 0 ? 'ahead of' : 'behind';
  const message = `its clock is at least ${Math.round(Math.abs(clockAheadMs) / 100) / 10} s ${direction} this host's`;
  return [
    {
      severity: 'warning',
      check: 'clock',
      member: titleOf(member),
      message,
      fix: 'timedatectl set-ntp true, there or here',
    },
  ];
}

/** A member's own by nature. */
const OWN_FLAGS =
  /^(name|data-dir|wal-dir|config-file|discovery.*|initial-.*|.*-urls|listen-.*|advertise-.*|.*-file|.*-cert.*|.*-key.*|log-outputs|experimental-.*|feature-gates)$/;

function flagFindings(members: readonly MemberFacts[]): Finding[] {
  const values = new Map<string, Map<string, string[]>>();
  const add = (name: string, value: string, title: string): void => {
    const byValue = values.get(name) ?? new Map<string, string[]>();
    byValue.set(value, [...(byValue.get(value) ?? []), title]);
    values.set(name, byValue);
  };
  const telling = members.filter(({ http }) => http.commandLine !== null);
  const given = telling.map(({ member, http }) => ({
    title: titleOf(member),
    flags: flagsOf(http.commandLine!),
  }));
  const names = new Set(
    given.flatMap(({ flags }) => [...flags.keys()]).filter((name) => !OWN_FLAGS.test(name)),
  );
  names.delete('quota-backend-bytes');
  for (const name of names) {
    for (const { title, flags } of given) add(name, flags.get(name) ?? 'not given', title);
  }
  // By whatever way it was set.
  for (const one of members)
    if (one.status !== null) add('quota-backend-bytes', String(quotaOf(one)), titleOf(one.member));
  return [...values].flatMap(([name, byValue]): Finding[] => {
    if (byValue.size < 2) return [];
    const groups = [...byValue].map(([value, titles]) => `${value}: ${titles.join(', ')}`);
    const message = `--${name} differs between members (${groups.join('; ')})`;
    return [
      {
        severity: 'warning',
        check: 'flags',
        member: null,
        message,
        fix: `give --${name} the same value on every member, and restart one after the other`,
      },
    ];
  });
}

/** As `--name=value`, `--name value` or `-name value`; without a value `true`. */
export function flagsOf(commandLine: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let at = 1; at < commandLine.length; at++) {
    const match = /^--?([a-z0-9-]+)(?:=(.*))?$/s.exec(commandLine[at] ?? '');
    if (match === null) continue;
    const next = commandLine[at + 1];
    const takesNext = match[2] === undefined && next !== undefined && !next.startsWith('-');
    flags.set(match[1]!, match[2] ?? (takesNext ? next : 'true'));
  }
  return flags;
}
