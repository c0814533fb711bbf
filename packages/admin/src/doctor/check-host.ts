/** Findings about what is on this host: a data directory, its disk, certificates, backups. */
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BackupError, type StoredBackup } from '@etcd/backup';
import { type DataIdentity, dataIdentity, dataProblem } from '@etcd/etcdutl/inspect';
import { humanBytes } from '@etcd/host/cli';
import { findLockHolder } from '@etcd/host/process';
import { withStore } from '../backup/command-parts.ts';
import { certificateAges } from '../certs/host-certificates.ts';
import { formatMemberId } from '../cluster/quorum.ts';
import { PairError } from '../pki/pair-files.ts';
import { certificateFinding, MAX_SYNC_SECONDS } from './check-members.ts';
import type { ClusterFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { measureSyncs } from './measure-syncs.ts';

const PRIVATE_MODE = 0o700;
const OTHERS_MODE = 0o077;
/** What compaction, snapshots and the log need beside the database. */
const MIN_FREE_BYTES = 1024 ** 3;
const HOUR_MS = 3_600_000;

type HostFinding = Omit<Finding, 'member'>;

function onHost(findings: readonly HostFinding[]): Finding[] {
  return findings.map((finding) => ({ ...finding, member: null }));
}

/** @param facts of the cluster that the directory should be of; null where none is known. */
export function checkData(dataDir: string, facts: ClusterFacts | null): Finding[] {
  const database = join(dataDir, 'member/snap/db');
  if (!existsSync(database)) {
    const message = `${dataDir} has no member's data`;
    return onHost([{ severity: 'error', check: 'data', message, fix: 'give the --data-dir of the member' }]);
  }
  const findings: HostFinding[] = [];
  const mode = statSync(dataDir).mode & 0o777;
  if ((mode & OTHERS_MODE) !== 0) {
    const message = `${dataDir} is open to others (mode ${mode.toString(8)})`;
    findings.push({
      severity: 'warning',
      check: 'data',
      message,
      fix: `chmod ${PRIVATE_MODE.toString(8)} ${dataDir}`,
    });
  }
  const { bavail, bsize } = statfsSync(dataDir);
  const free = bavail * bsize;
  const needed = statSync(database).size + MIN_FREE_BYTES;
  if (free < needed) {
    const message = `${humanBytes(free)} are free on the disk of ${dataDir}; ${humanBytes(needed)} are wanted`;
    findings.push({
      severity: 'warning',
      check: 'data',
      message,
      fix: 'free space on it, or move the data to a larger disk',
    });
  }
  findings.push(...contentFindings(dataDir, database, facts));
  return onHost(findings);
}

/** Of a member that runs only what can be read beside it. */
function contentFindings(dataDir: string, database: string, facts: ClusterFacts | null): HostFinding[] {
  const holder = findLockHolder(database);
  try {
    const identity = dataIdentity(dataDir);
    const stranger = facts === null || identity === null ? null : strangerFinding(dataDir, identity, facts);
    if (stranger !== null) return [stranger];
    if (holder !== null) return [];
    const problem = dataProblem(dataDir);
    if (problem !== null) throw new Error(problem);
    return [
      { severity: 'note', check: 'data', message: `${dataDir} is whole; no member runs on it`, fix: null },
    ];
  } catch (error) {
    // A log may end in the middle of what a running member writes.
    if (holder !== null) return [];
    const message = `${dataDir} is damaged: ${(error as Error).message.split('\n', 1)[0]}`;
    const fix =
      'keep a copy; in a cluster: etcdadm member replace NAME; alone: etcdadm restore the newest backup';
    return [{ severity: 'error', check: 'data', message, fix }];
  }
}

function strangerFinding(dataDir: string, identity: DataIdentity, facts: ClusterFacts): HostFinding | null {
  const { memberId, clusterId } = identity;
  const isOther = clusterId !== facts.clusterId;
  if (!isOther && facts.members.some(({ member }) => member.id === memberId)) return null;
  const whose = `member ${formatMemberId(memberId)} of cluster ${formatMemberId(clusterId)}`;
  const message = `${dataDir} has the data of ${whose}, ${isOther ? 'which is another cluster' : 'which was removed'}`;
  return { severity: 'error', check: 'data', message, fix: `move ${dataDir} away, then etcdadm join URL` };
}

/** Writes and syncs as a log does, in a file beside the data that goes again. */
export function checkDisk(dataDir: string): Finding[] {
  const { p99Ms, count } = measureSyncs(dataDir);
  const limitMs = MAX_SYNC_SECONDS * 1000;
  const message = `of ${count} syncs on the disk of ${dataDir} 1 in 100 took ${p99Ms.toFixed(1)} ms or longer`;
  if (p99Ms < limitMs) return onHost([{ severity: 'note', check: 'disk', message, fix: null }]);
  const fix =
    'a faster disk, or one that nobody else uses; ionice and the priorities of the unit help against others';
  return onHost([
    { severity: 'warning', check: 'disk', message: `${message}; ${limitMs} ms are wanted`, fix },
  ]);
}

export function checkCertificates(certsDir: string, nowMs: number): Finding[] {
  try {
    return certificateAges(certsDir, nowMs).flatMap(({ path, validToMs }) =>
      certificateFinding(validToMs, nowMs, 'certificates', null, path),
    );
  } catch (error) {
    if (!(error instanceof PairError)) throw error;
    const fix =
      'bring it back from a copy, or move it away and make it again: etcdadm join phase certificates URL';
    return onHost([{ severity: 'error', check: 'certificates', message: error.message, fix }]);
  }
}

/** By what lies beside the backups. */
export async function checkBackups(
  store: string,
  maxAgeMs: number,
  facts: ClusterFacts | null,
  nowMs: number,
): Promise<Finding[]> {
  const about = { check: 'backups', fix: `etcdadm backup --store ${store}` };
  const wanted = facts === null ? null : formatMemberId(facts.clusterId);
  const found = await storedBackups(store);
  if (typeof found === 'string') {
    const fix = `etcdadm backup list --store ${store}`;
    return onHost([{ ...about, severity: 'error', message: found, fix }]);
  }
  const times = found
    .filter(({ isWhole, clusterId }) => isWhole && (wanted === null || clusterId === wanted))
    .map(({ createdAt }) => Date.parse(createdAt));
  if (times.length === 0) {
    return onHost([{ ...about, severity: 'error', message: `${store} has no backup of this cluster` }]);
  }
  const ageMs = nowMs - Math.max(...times);
  if (ageMs <= maxAgeMs) return [];
  const message = `the newest backup in ${store} is ${Math.floor(ageMs / HOUR_MS)} hours old`;
  return onHost([{ ...about, severity: 'warning', message }]);
}

/** Or why nobody knows. */
async function storedBackups(address: string): Promise<readonly StoredBackup[] | string> {
  try {
    return await withStore(address, (store) => store.list());
  } catch (error) {
    if (error instanceof BackupError) return error.message;
    throw error;
  }
}
