/**
 * A member that serves: its ports, its services and its plain HTTP around an `EtcdServer`. {@link startMember} takes the ports
 * first, so that a start which can't serve touches no data; they are served when the member is ready.
 */
export { backupProblem } from './open-backups.ts';
export { type Member, type MemberOptions, startMember } from './start.ts';
export { isStorageFailure } from './storage-failure.ts';
