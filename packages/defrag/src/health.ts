/** Whether a member may be disturbed: it answers, and nothing is wrong with it but a lack of room. */
import { AlarmType } from '@etcd/api/etcdserverpb';
import { type EtcdClient, EtcdError, GrpcCode } from '@etcd/client';
import { formatGoDuration } from '@etcd/host/args';
import type { Members } from './members.ts';

export interface MemberHealth {
  readonly endpoint: string;
  readonly isHealthy: boolean;
  readonly tookMs: number;
  /** Why not; of a healthy one what is to be known. */
  readonly remark: string;
}

/** Any key will do, since a denial is an answer too. */
const PROBED_KEY = 'health';

export async function healthOf(members: Members, endpoint: string): Promise<MemberHealth> {
  const start = performance.now();
  let isHealthy = true;
  let remark = '';
  try {
    await members.use(
      async (client) => {
        await probe(client);
        ({ isHealthy, remark } = await alarmsOf(client));
      },
      [endpoint],
    );
  } catch (error) {
    isHealthy = false;
    remark = (error as Error).message;
  }
  return { endpoint, isHealthy, tookMs: performance.now() - start, remark };
}

async function probe(client: EtcdClient): Promise<void> {
  try {
    await client.kv.get(PROBED_KEY);
  } catch (error) {
    if (!(error instanceof EtcdError) || error.code !== GrpcCode.PermissionDenied) throw error;
  }
}

async function alarmsOf(client: EtcdClient): Promise<Pick<MemberHealth, 'isHealthy' | 'remark'>> {
  let alarms: readonly { readonly alarm: number }[];
  try {
    ({ alarms } = await client.maintenance.alarmList());
  } catch {
    return { isHealthy: false, remark: 'Unable to fetch the alarm list' };
  }
  if (alarms.length === 0) return { isHealthy: true, remark: '' };
  const names = alarms.map(({ alarm }) => NAMES.get(alarm) ?? 'UNKNOWN');
  return {
    isHealthy: names.every((name) => name === 'NOSPACE'),
    remark: `Active Alarm(s): ${names.map((name) => `${name} `).join('')}`,
  };
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [AlarmType.NOSPACE, 'NOSPACE'],
  [AlarmType.CORRUPT, 'CORRUPT'],
]);

export function describeHealth({ endpoint, isHealthy, tookMs, remark }: MemberHealth): string {
  return `endpoint: ${endpoint}, health: ${isHealthy}, took: ${formatGoDuration(tookMs)}, error: ${remark}`;
}
