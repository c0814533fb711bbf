/**
 * The cluster's own backups, loaded only where `--backup-store` is set. {@link Backups.open} looks at settings and files before a member is
 * started; from `start` on the leader backs up when it is due. It owes the member that it never holds a request up for long, and ends when told.
 */
export { Backups } from './backups.ts';
