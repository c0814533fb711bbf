/**
 * Versions as etcd compares them: of releases (`3.5.21`) and of clusters, which have major and minor only.
 */

export interface SemanticVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `rc.1` of `3.6.0-rc.1`; empty for a release. */
  readonly preRelease: string;
}

const FORMAT = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

/** null unless `text` is `major.minor.patch`, maybe with what follows `-` and `+`. */
export function parseVersion(text: string): SemanticVersion | null {
  const match = FORMAT.exec(text);
  if (match === null) return null;
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (![major, minor, patch].every(Number.isSafeInteger)) return null;
  return { major, minor, patch, preRelease: match[4] ?? '' };
}

/** Of a pre-release it is the text; a pre-release comes before its release. */
export function compareVersions(a: SemanticVersion, b: SemanticVersion): number {
  const difference = a.major - b.major || a.minor - b.minor || a.patch - b.patch;
  if (difference !== 0 || a.preRelease === b.preRelease) return difference;
  if (a.preRelease === '') return 1;
  if (b.preRelease === '') return -1;
  return comparePreReleases(a.preRelease.split('.'), b.preRelease.split('.'));
}

export function equalVersions(a: SemanticVersion, b: SemanticVersion): boolean {
  return compareVersions(a, b) === 0;
}

/** What a cluster keeps of a release's version. */
export function clusterVersionOf({ major, minor }: SemanticVersion): SemanticVersion {
  return { major, minor, patch: 0, preRelease: '' };
}

/** `major.minor.patch`, the form in which versions are stored. */
export function formatVersion({ major, minor, patch, preRelease }: SemanticVersion): string {
  return `${major}.${minor}.${patch}${preRelease === '' ? '' : `-${preRelease}`}`;
}

/** `major.minor`, the form in which cluster versions are shown. */
export function formatClusterVersion({ major, minor }: SemanticVersion): string {
  return `${major}.${minor}`;
}

function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const difference = compareIdentifiers(a[i]!, b[i]!);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Numbers count as numbers, and come before texts. */
function compareIdentifiers(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (aIsNumber && bIsNumber) return Number(a) - Number(b);
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
