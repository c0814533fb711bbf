/** Ends the alarm NOSPACE where there is room again. Whatever goes wrong here changes nothing about the job's success. */
import { AlarmType } from '@etcd/api/etcdserverpb';
import type { JobLog } from './job-log.ts';
import { describeStatus, type Members } from './members.ts';

export async function disarm(members: Members, log: JobLog): Promise<void> {
  log.line('Start auto-disalarm');
  try {
    const statuses = await members.statuses();
    for (const status of statuses) log.line(describeStatus(status));
    const raised = await noSpaceAlarms(members);
    if (raised.length === 0) return log.line('No NOSPACE alarms found, skipping auto-disalarm');
    log.line('Found NOSPACE alarms');
    const { quotaBytes, disarmThreshold } = members.options;
    const full = statuses.filter(({ status }) => status.dbSize > quotaBytes * disarmThreshold);
    if (full.length > 0) {
      const names = full.map(({ endpoint }) => endpoint).join(' ');
      const threshold = disarmThreshold.toFixed(2);
      log.line(`Members [${names}] DB size is still above threshold (${threshold}), skipping auto-disalarm`);
      return;
    }
    log.line('Performing auto-disalarm operation...');
    await endAlarms(members, raised);
    log.line('Auto-disalarm operation completed successfully');
  } catch (error) {
    log.line(`Auto-disalarm failed: ${(error as Error).message}`);
  }
}

async function noSpaceAlarms(members: Members): Promise<readonly bigint[]> {
  const endpoints = await members.targets();
  const { alarms } = await members.use((client) => client.maintenance.alarmList(), endpoints);
  return alarms.filter(({ alarm }) => alarm === AlarmType.NOSPACE).map(({ memberId }) => memberId);
}

async function endAlarms(members: Members, raised: readonly bigint[]): Promise<void> {
  const failed: bigint[] = [];
  await members.use(
    async (client) => {
      for (const id of raised) {
        await client.maintenance.alarmDisarm(id, AlarmType.NOSPACE).catch(() => failed.push(id));
      }
    },
    await members.targets(),
  );
  if (failed.length > 0) {
    throw new Error(`failed to disalarm NOSPACE alarms for members [${failed.join(' ')}]`);
  }
}
