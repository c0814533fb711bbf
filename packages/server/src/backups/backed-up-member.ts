/** What backups need of the member. */
import type { EtcdServer } from '../member/index.ts';

export type BackedUpMember = Pick<
  EtcdServer,
  | 'clock'
  | 'memberId'
  | 'clusterId'
  | 'isLeader'
  | 'isFenced'
  | 'store'
  | 'backend'
  | 'watches'
  | 'lessor'
  | 'confirmLeadership'
>;
