/** The members of a cluster, asked one by one, and what is done through them. */
import type { MemberId } from '@etcd/api';
import { type AlarmMember, AlarmType, type Member, type StatusResponse } from '@etcd/api/etcdserverpb';
import type { EtcdClient } from '@etcd/client';
import { connect, type TlsOptions } from '@etcd/client/node';
import type { Action } from '../cluster/action.ts';
import type { Alarm, SeenEtcd, SeenMember } from '../cluster/observed.ts';
import { optionName } from '../resources/etcd-cluster.ts';

const ANSWER_TIMEOUT_MS = 3_000;
const CHANGE_TIMEOUT_MS = 10_000;
/** Of a large database on a slow disk. */
const DEFRAGMENT_TIMEOUT_MS = 10 * 60_000;
/** What etcd takes for its quota unless told. */
const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;

const ALARMS: ReadonlyMap<number, Alarm> = new Map([
  [AlarmType.NOSPACE, 'NOSPACE'],
  [AlarmType.CORRUPT, 'CORRUPT'],
]);

/** How the members of a cluster are reached. */
export interface Access {
  /** Empty: they can't be. */
  readonly endpoints: readonly string[];
  /** null: in the clear. */
  readonly tls: TlsOptions | null;
  readonly isSecure: boolean;
}

interface Answer {
  readonly status: StatusResponse;
  readonly isHealthy: boolean;
}

/** Of one cluster. Remembers since when each member has been as it is. */
export class Members {
  readonly #since = new Map<MemberId, { readonly isHealthy: boolean; readonly sinceMs: number }>();

  /**
   * What the cluster says of itself, confirmed by a quorum; null: no member answers with that.
   * @param options the members' flags, for their quota where they don't tell it.
   * @param endpointOf where a member that has started is reached; null: it is none of this cluster.
   */
  async observe(
    access: Access,
    options: readonly string[],
    nowMs: number,
    endpointOf: (name: string) => string | null,
  ): Promise<SeenEtcd | null> {
    if (access.endpoints.length === 0) return null;
    const listed = await ask(access, async (client) => {
      const { members, header } = await client.cluster.memberList({ timeoutMs: ANSWER_TIMEOUT_MS });
      const { alarms } = await client.maintenance.alarmList({ timeoutMs: ANSWER_TIMEOUT_MS });
      return { members, alarms, revision: header?.revision ?? 0 };
    });
    if (listed === null) return null;
    const answers = await Promise.all(
      listed.members.map(({ name }) => askMember(access, name === '' ? null : endpointOf(name))),
    );
    const quota = quotaOf(options);
    const members = listed.members.map((member, i) =>
      this.#seen(member, answers[i]!, listed.alarms, quota, nowMs),
    );
    for (const id of this.#since.keys())
      if (!members.some((member) => member.id === id)) this.#since.delete(id);
    // A leader that answers is believed; the others may not have heard of it.
    const leads = answers.find((answer) => answer?.status.header?.memberId === answer?.status.leader);
    const leaderId = leads?.status.leader ?? answers.find((answer) => answer?.isHealthy)?.status.leader ?? 0n;
    return { members, leaderId: leaderId === 0n ? null : leaderId, revision: BigInt(listed.revision) };
  }

  #seen(
    member: Member,
    answer: Answer | null,
    alarms: readonly AlarmMember[],
    quota: number,
    nowMs: number,
  ): SeenMember {
    const isHealthy = answer?.isHealthy ?? false;
    const before = this.#since.get(member.id);
    const sinceMs = before?.isHealthy === isHealthy ? before.sinceMs : nowMs;
    this.#since.set(member.id, { isHealthy, sinceMs });
    return {
      id: member.id,
      name: member.name,
      peerUrls: member.peerUrls,
      isLearner: member.isLearner,
      isHealthy,
      sinceMs,
      alarms: alarms
        .filter(({ memberId }) => memberId === member.id)
        .flatMap(({ alarm }) => ALARMS.get(alarm) ?? []),
      databaseBytes: answer?.status.dbSize ?? 0,
      usedBytes: answer?.status.dbSizeInUse ?? 0,
      quotaBytes: answer?.status.dbSizeQuota || quota,
    };
  }
}

/** Does what an action asks of members. Rejects with the client's error, also where it is not known whether it was done. */
export async function changeMembers(
  action: Action,
  access: Access,
  endpointOf: (id: MemberId) => string,
): Promise<void> {
  const timeoutMs = CHANGE_TIMEOUT_MS;
  const { endpoints } = access;
  const through = <T>(at: readonly string[], work: (client: EtcdClient) => Promise<T>): Promise<T> =>
    use({ ...access, endpoints: at }, work);
  switch (action.kind) {
    case 'add-learner':
      await through(endpoints, (client) =>
        client.cluster.memberAdd([action.peerUrl], { isLearner: true, timeoutMs }),
      );
      return;
    case 'promote':
      await through(endpoints, (client) => client.cluster.memberPromote(action.id, { timeoutMs }));
      return;
    case 'remove-member':
      await through(endpoints, (client) => client.cluster.memberRemove(action.id, { timeoutMs }));
      return;
    case 'move-leader':
      await through([endpointOf(action.from)], (client) =>
        client.maintenance.moveLeader(action.to, { timeoutMs }),
      );
      return;
    case 'compact':
      await through(endpoints, (client) => client.kv.compact(Number(action.revision), { timeoutMs }));
      return;
    case 'defragment':
      await through([endpointOf(action.id)], (client) =>
        client.maintenance.defragment({ timeoutMs: DEFRAGMENT_TIMEOUT_MS }),
      );
      return;
    case 'disarm':
      await through(endpoints, (client) =>
        client.maintenance.alarmDisarm(
          action.id,
          action.alarm === 'NOSPACE' ? AlarmType.NOSPACE : AlarmType.CORRUPT,
          { timeoutMs },
        ),
      );
  }
}

async function askMember(access: Access, endpoint: string | null): Promise<Answer | null> {
  if (endpoint === null) return null;
  return await ask({ ...access, endpoints: [endpoint] }, async (client) => {
    const status = await client.maintenance.status({ timeoutMs: ANSWER_TIMEOUT_MS });
    // A learner serves no linearizable reads; of a voter one shows that it has a leader and a quorum.
    if (!status.isLearner) await client.kv.get('health', { timeoutMs: ANSWER_TIMEOUT_MS });
    return { status, isHealthy: status.leader !== 0n };
  });
}

/** null: it failed. */
async function ask<T>(access: Access, work: (client: EtcdClient) => Promise<T>): Promise<T | null> {
  try {
    return await use(access, work);
  } catch {
    // That nobody answers is an observation, too.
    return null;
  }
}

async function use<T>({ endpoints, tls }: Access, work: (client: EtcdClient) => Promise<T>): Promise<T> {
  await using client = connect({ endpoints, ...(tls === null ? {} : { tls }) });
  return await work(client);
}

function quotaOf(options: readonly string[]): number {
  const given = options.find((option) => optionName(option) === 'quota-backend-bytes')?.split('=')[1];
  const bytes = Number(given ?? 0);
  return Number.isFinite(bytes) && bytes > 0 ? bytes : DEFAULT_QUOTA_BYTES;
}
