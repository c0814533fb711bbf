/** Releases of etcd as image tags name them, and which of them a running cluster may be taken to. */

export interface Release {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

const TAG = /^v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?$/;

/** `v3.5.21`, `3.5.21`, `v3.6.0-rc.1`; null for a tag that names no release, such as `latest`. */
export function parseRelease(tag: string): Release | null {
  const match = TAG.exec(tag);
  if (match === null) return null;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/**
 * Why members may not go from one image tag to another, one after the other; null: they may. Members of neighbouring minor
 * releases understand each other, and data written by the newer one is not read by the older.
 */
export function upgradeProblem(fromTag: string, toTag: string): string | null {
  const from = parseRelease(fromTag);
  const to = parseRelease(toTag);
  if (to === null) return `${toTag} names no release`;
  if (from === null) return `the members run ${fromTag}, which names no release`;
  if (to.major !== from.major) return `from ${fromTag} to ${toTag} is another major release`;
  if (to.minor < from.minor)
    return `from ${fromTag} to ${toTag} is a step back, which needs a downgrade of the data first`;
  if (to.minor > from.minor + 1) return `from ${fromTag} to ${toTag} skips a minor release`;
  return null;
}
