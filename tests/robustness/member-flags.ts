/**
 * Flags of the members of a round: quick elections; snapshots, and databases sent to members that were away, all the time; and logs that are
 * kept, since the judge reads them from the first entry on.
 */
import type { Kind } from '../support/cluster.ts';

const SNAPSHOT_COUNT = 200;
const CATCH_UP_ENTRIES = 100;

export function flagsOf(kind: Kind): string[] {
  const isExperimental = kind === '3.4' || kind === '3.5';
  const prefix = isExperimental ? '--experimental-' : '--';
  const flags = [
    '--heartbeat-interval=50',
    '--election-timeout=500',
    `--snapshot-count=${SNAPSHOT_COUNT}`,
    '--max-wals=0',
    `${prefix}watch-progress-notify-interval=1s`,
  ];
  if (kind !== '3.4') flags.push(`${prefix}snapshot-catchup-entries=${CATCH_UP_ENTRIES}`);
  return flags;
}
