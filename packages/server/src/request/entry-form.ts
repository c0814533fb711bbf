/**
 * Attributes of members and the version of the cluster can be said in the log in two forms, and no release of Go etcd between 3.4
 * and 3.7 reads both: bare requests of the v2 API end etcd 3.7, their successors end etcd 3.4.
 */
import { compareVersions, type SemanticVersion } from '@etcd/storage/membership';

export type EntryForm = 'v2' | 'v3';

export interface EntryFormFacts {
  /** null until one was decided. */
  readonly clusterVersion: SemanticVersion | null;
  /** The oldest release that is known among the other members; null when none is. */
  readonly lowest: SemanticVersion | null;
  /** A member is known that does not read requests of the v2 API. */
  readonly hasNoV2: boolean;
  /** All other members have said what they run. */
  readonly isComplete: boolean;
  /** Those that have not may still come up. */
  readonly isPatient: boolean;
}

/** In a cluster of this version or a later one no member is older. */
export const FIRST_WITHOUT_V2: SemanticVersion = { major: 3, minor: 5, patch: 0, preRelease: '' };
/** Below it, nothing has been decided: some members had not said what they are. */
const LOWEST_DECIDED: SemanticVersion = { major: 3, minor: 4, patch: 0, preRelease: '' };

/** null: there is none, or none that is known to be right. */
export function entryForm(facts: EntryFormFacts): EntryForm | null {
  const { clusterVersion, lowest, hasNoV2, isComplete, isPatient } = facts;
  if (clusterVersion !== null && compareVersions(clusterVersion, FIRST_WITHOUT_V2) >= 0) return 'v3';
  const hasOld = lowest !== null && compareVersions(lowest, FIRST_WITHOUT_V2) < 0;
  // A cluster of 3.4 stays one that etcd 3.4 can be given back.
  const isOld = clusterVersion !== null && compareVersions(clusterVersion, LOWEST_DECIDED) >= 0;
  if (hasOld || isOld) {
    if (!hasNoV2) return 'v2';
    return hasOld || !isComplete ? null : 'v3';
  }
  return isComplete || !isPatient ? 'v3' : null;
}
