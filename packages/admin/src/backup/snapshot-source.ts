/** Where a backup comes from: the member that can best spare the time, what is to be known of it, and its database. */
import type { StatusResponse } from '@etcd/api/etcdserverpb';
import type { EtcdClient } from '@etcd/client';
import { type ConnectOptions, connect } from '@etcd/client/node';
import { BackupError } from './backup-error.ts';

export interface SourceFacts {
  readonly endpoint: string;
  readonly clusterId: string;
  readonly memberId: string;
  readonly version: string;
  readonly revision: number;
  readonly hash: number;
  readonly hashCompactRevision: number;
}

interface Candidate {
  readonly endpoint: string;
  readonly status: StatusResponse;
}

/** A follower that has applied as much as any, or the leader when there is nobody else. Throws {@link BackupError}. */
export async function chooseSource(
  endpoints: readonly string[],
  connection: ConnectOptions,
): Promise<string> {
  const reasons: string[] = [];
  const candidates: Candidate[] = [];
  for (const endpoint of endpoints) {
    const client = connect({ ...connection, endpoints: [endpoint] });
    try {
      await client.authenticate();
      const status = await client.maintenance.status();
      const reason = reasonAgainst(status);
      if (reason === null) candidates.push({ endpoint, status });
      else reasons.push(`${endpoint}: ${reason}`);
    } catch (error) {
      reasons.push(`${endpoint}: ${(error as Error).message}`);
    } finally {
      client.close();
    }
  }
  const isLeader = ({ status }: Candidate): boolean => status.header?.memberId === status.leader;
  const newest = Math.max(...candidates.map(({ status }) => status.raftAppliedIndex));
  candidates.sort((a, b) => b.status.raftAppliedIndex - a.status.raftAppliedIndex);
  const chosen =
    candidates.find((one) => !isLeader(one) && one.status.raftAppliedIndex === newest) ??
    candidates.find(isLeader) ??
    candidates[0];
  if (chosen !== undefined) return chosen.endpoint;
  throw new BackupError(`no member can be backed up: ${reasons.join('; ')}`);
}

/** Why a member is not the one to be backed up. Each tells the alarms of all: somebody else's damage is nothing against it. */
export function reasonAgainst({ isLearner, errors, header }: StatusResponse): string | null {
  if (isLearner) return 'a learner';
  // Whoever raises an alarm for nobody could not tell who is right.
  const suspects = new Set([String(header?.memberId ?? 0n), '0']);
  const isSuspect = errors.some((error) => suspects.has(memberOfCorruptAlarm(error)));
  return isSuspect ? 'its data differ from the others' : null;
}

/** Of an alarm as members write it, where 0 may be left out; empty for others. */
function memberOfCorruptAlarm(text: string): string {
  if (!text.includes('alarm:CORRUPT')) return '';
  return /memberID:\s*(\d+)/.exec(text)?.[1] ?? '0';
}

export async function factsOf(client: EtcdClient, endpoint: string): Promise<SourceFacts> {
  const status = await client.maintenance.status();
  const { header, hash, compactRevision } = await client.maintenance.hashKv(0);
  return {
    endpoint,
    clusterId: (header?.clusterId ?? 0n).toString(16),
    memberId: (header?.memberId ?? 0n).toString(16),
    version: status.version,
    revision: header?.revision ?? 0,
    hash,
    hashCompactRevision: compactRevision,
  };
}

/** The pieces of the snapshot. */
export async function* snapshotOf(
  client: EtcdClient,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const { blob } of client.maintenance.snapshot({ timeoutMs: 0, signal })) yield blob;
}
