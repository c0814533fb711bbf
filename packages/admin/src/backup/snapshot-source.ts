/** Where a backup comes from: the member that can best spare the time, what is to be known of it, and its database. */
import type { StatusResponse } from '@etcd/api/etcdserverpb';
import { BackupError, type SnapshotSource, type SourceFacts, type SourceHash } from '@etcd/backup';
import type { EtcdClient } from '@etcd/client';
import { type ConnectOptions, connect } from '@etcd/client/node';

const PIECE_BYTES = 256 * 1024;
/** So much of a snapshot is under way at once, and in memory. */
const WINDOW_BYTES = 1 << 20;

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

/** A member at the other end of a connection. */
export class RemoteSource implements SnapshotSource {
  readonly #client: EtcdClient;
  readonly #endpoint: string;

  private constructor(client: EtcdClient, endpoint: string) {
    this.#client = client;
    this.#endpoint = endpoint;
  }

  static async connect(endpoint: string, connection: ConnectOptions): Promise<RemoteSource> {
    const client = connect({ ...connection, endpoints: [endpoint], maxReceiveWindowBytes: WINDOW_BYTES });
    try {
      await client.authenticate();
    } catch (error) {
      client.close();
      throw error;
    }
    return new RemoteSource(client, endpoint);
  }

  async facts(): Promise<SourceFacts> {
    const { header, version } = await this.#client.maintenance.status();
    return {
      endpoint: this.#endpoint,
      clusterId: (header?.clusterId ?? 0n).toString(16),
      memberId: (header?.memberId ?? 0n).toString(16),
      version,
      revision: header?.revision ?? 0,
    };
  }

  async hash(revision: number, signal: AbortSignal): Promise<SourceHash> {
    const { hash, compactRevision } = await this.#client.maintenance.hashKv(revision, {
      signal,
      timeoutMs: 0,
    });
    const everything = { prefix: true, countOnly: true, serializable: true, revision };
    const { count } = await this.#client.kv.get('', { ...everything, signal, timeoutMs: 0 });
    return { hash, hashCompactRevision: compactRevision, keys: count };
  }

  /** In pieces larger than those in which it comes: each has its price at each step that follows. All are in one buffer. */
  async *snapshot(signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    let filled = 0;
    for await (const { blob } of this.#client.maintenance.snapshot({ timeoutMs: 0, signal })) {
      for (let at = 0; at < blob.length; ) {
        const part = blob.subarray(at, at + PIECE_BYTES - filled);
        piece.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < PIECE_BYTES) continue;
        yield piece;
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
  }

  close(): void {
    this.#client.close();
  }
}
