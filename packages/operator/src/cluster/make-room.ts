/** The alarm for space: history is given up, members are defragmented one by one, and the alarm ended when that has helped. */
import type { MemberId } from '@etcd/api';
import { act, type Decision, wait } from './action.ts';
import type { ClusterView } from './view.ts';

/** A database of which more is free is worth defragmenting. */
const FREE_SHARE = 0.2;
/** The alarm is raised again at once where less than this is left of the quota. */
const ROOM_SHARE = 0.05;

export function makeRoom(view: ClusterView): Decision | null {
  const { record, etcd } = view;
  const alarmed = view.voters.find(({ alarms }) => alarms.includes('NOSPACE'));
  if (alarmed === undefined) {
    if (!record.isCompacted) return null;
    return act(
      { kind: 'write-record', record: { ...record, isCompacted: false } },
      'MakingRoom',
      'there is room again',
    );
  }
  if (!record.isCompacted) {
    const next = { ...record, isCompacted: true };
    return act(
      { kind: 'compact', revision: etcd.revision, record: next },
      'MakingRoom',
      `${alarmed.name} is out of space`,
    );
  }
  const isLeader = (id: MemberId): number => Number(id === etcd.leaderId);
  const followersFirst = [...view.voters].sort((a, b) => isLeader(a.id) - isLeader(b.id));
  const loose = followersFirst.find(
    ({ databaseBytes, usedBytes }) => databaseBytes - usedBytes > databaseBytes * FREE_SHARE,
  );
  if (loose !== undefined) {
    return act({ kind: 'defragment', id: loose.id }, 'MakingRoom', `${loose.name} is defragmented`);
  }
  const full = view.voters.find(
    ({ databaseBytes, quotaBytes }) => databaseBytes > quotaBytes * (1 - ROOM_SHARE),
  );
  if (full !== undefined) {
    return wait(
      'Degraded',
      'NoSpace',
      `${full.name} holds more than its quota allows; raise it, or delete something`,
    );
  }
  return act(
    { kind: 'disarm', id: alarmed.id, alarm: 'NOSPACE' },
    'MakingRoom',
    `${alarmed.name} has room again`,
  );
}
