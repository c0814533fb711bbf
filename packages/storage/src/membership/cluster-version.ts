/**
 * How the version of a cluster goes up with the releases of its members, and down by a downgrade. Pure functions of what
 * the leader knows; it asks them every few seconds.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { assert } from '@etcd/base';
import {
  clusterVersionOf,
  compareVersions,
  equalVersions,
  parseVersion,
  type SemanticVersion,
} from './semantic-version.ts';

/** Under way, or not: then the target is the empty text. */
export interface DowngradeInfo {
  readonly targetVersion: string;
  readonly enabled: boolean;
}

export const NO_DOWNGRADE: DowngradeInfo = { targetVersion: '', enabled: false };

/** What a cluster starts at while not all of its members have said what they are. */
export const MIN_CLUSTER_VERSION: SemanticVersion = { major: 3, minor: 0, patch: 0, preRelease: '' };

export interface ClusterVersionFacts {
  /** null until one was decided. */
  readonly clusterVersion: SemanticVersion | null;
  /** What each member's server says it is; null for a member that did not answer. */
  readonly memberVersions: readonly (string | null)[];
  readonly downgrade: DowngradeInfo;
}

export type ClusterVersionDecision =
  | { readonly kind: 'keep' }
  | { readonly kind: 'set'; readonly version: SemanticVersion }
  | { readonly kind: 'invalid-downgrade' };

/** The oldest member's version; null if one is not known. */
export function lowestMemberVersion(memberVersions: readonly (string | null)[]): SemanticVersion | null {
  let lowest: SemanticVersion | null = null;
  for (const text of memberVersions) {
    const version = text === null ? null : parseVersion(text);
    if (version === null) return null;
    if (lowest === null || compareVersions(version, lowest) < 0) lowest = version;
  }
  return lowest;
}

/** What the leader should propose as the cluster's version. */
export function decideClusterVersion(facts: ClusterVersionFacts): ClusterVersionDecision {
  const { clusterVersion, downgrade } = facts;
  const lowest = lowestMemberVersion(facts.memberVersions);
  if (clusterVersion === null) return setVersion(lowest ?? MIN_CLUSTER_VERSION);
  if (lowest === null) return KEEP;
  if (downgrade.enabled) {
    const target = parseVersion(downgrade.targetVersion);
    if (target === null) return INVALID_DOWNGRADE;
    if (equalVersions(target, clusterVersion)) return KEEP;
    // etcd's members are never more than one version ahead of their cluster; a cluster of ours may stay behind them as long as it likes.
    const isNewerEverywhere = compareVersions(clusterVersionOf(lowest), target) > 0;
    const isPossible = isOneBelow(target, clusterVersion) && isNewerEverywhere;
    if (!isPossible) return INVALID_DOWNGRADE;
    assert(isValidClusterVersionChange(clusterVersion, target), 'cluster version: a step that none may take');
    return setVersion(target);
  }
  const isHigher = compareVersions(clusterVersion, lowest) < 0;
  return isHigher && isValidClusterVersionChange(clusterVersion, lowest) ? setVersion(lowest) : KEEP;
}

/** Up within a major version by any number of minors, down by one. */
export function isValidClusterVersionChange(from: SemanticVersion, to: SemanticVersion): boolean {
  const [a, b] = [clusterVersionOf(from), clusterVersionOf(to)];
  return isOneBelow(b, a) || (a.major === b.major && a.minor < b.minor);
}

/** Whether a server of this version must not run in a cluster of that one. A downgrade has lowered it before. */
export function isServerTooOld(server: SemanticVersion, cluster: SemanticVersion | null): boolean {
  return cluster !== null && compareVersions(clusterVersionOf(server), cluster) < 0;
}

/** `3.6` or `3.6.0`; null where etcd says `wrong downgrade target version format`. */
export function parseDowngradeTarget(text: string): SemanticVersion | null {
  const version = parseVersion(text) ?? parseVersion(`${text}.0`);
  return version === null ? null : clusterVersionOf(version);
}

/** Why a downgrade to `target` can't be begun; null if it can. */
export function validateDowngrade(
  target: SemanticVersion,
  clusterVersion: SemanticVersion | null,
  downgrade: DowngradeInfo,
): InternalError | null {
  if (clusterVersion === null) return INTERNAL_ERRORS.errors.ErrClusterVersionUnavailable;
  if (!isOneBelow(target, clusterVersion)) return INTERNAL_ERRORS.version.ErrInvalidDowngradeTargetVersion;
  return downgrade.enabled ? INTERNAL_ERRORS.version.ErrDowngradeInProcess : null;
}

/** Whether every member runs the target of the downgrade, which is then over. */
export function isDowngradeComplete(
  memberVersions: readonly (string | null)[],
  target: SemanticVersion,
): boolean {
  return memberVersions.every((text) => {
    const version = text === null ? null : parseVersion(text);
    return version !== null && equalVersions(clusterVersionOf(version), clusterVersionOf(target));
  });
}

/**
 * Whether a server of this version may join: the remote members that tell their cluster's version (and one must) all
 * tell one between 3.0 and this. During a downgrade it must be exactly the next one, which is the cluster's old one.
 */
export function isCompatibleWithCluster(
  server: SemanticVersion,
  remoteClusterVersions: readonly (string | null)[],
  isDowngrading: boolean,
): boolean {
  const own = clusterVersionOf(server);
  const highest = isDowngrading ? { ...own, minor: own.minor + 1 } : own;
  const lowest = isDowngrading ? highest : MIN_CLUSTER_VERSION;
  let isTold = false;
  for (const text of remoteClusterVersions) {
    const version = text === null ? null : parseVersion(text);
    if (version === null) continue;
    if (compareVersions(version, lowest) < 0 || compareVersions(version, highest) > 0) return false;
    isTold = true;
  }
  return isTold;
}

const KEEP: ClusterVersionDecision = { kind: 'keep' };
const INVALID_DOWNGRADE: ClusterVersionDecision = { kind: 'invalid-downgrade' };

function setVersion(version: SemanticVersion): ClusterVersionDecision {
  return { kind: 'set', version: clusterVersionOf(version) };
}

function isOneBelow(target: SemanticVersion, from: SemanticVersion): boolean {
  return equalVersions(target, { ...clusterVersionOf(from), minor: from.minor - 1 });
}
