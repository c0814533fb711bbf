/** Who differs, and from whom: the voters of a cluster decide by majority, each with the hash that it has. */

export interface Verdict {
  /** What more than half of all voters have, whether the others answered or not; null: there is no such hash. */
  readonly majority: string | null;
  readonly agreeing: readonly bigint[];
  /** Voters and learners that have something else than the majority; without one, all that answered. */
  readonly differing: readonly bigint[];
}

/**
 * @param voters of the cluster, all of them.
 * @param hashes of the members whose hash is known; equal texts are equal states.
 */
export function judge(voters: readonly bigint[], hashes: ReadonlyMap<bigint, string>): Verdict {
  const votes = new Map<string, number>();
  for (const voter of voters) {
    const hash = hashes.get(voter);
    if (hash !== undefined) votes.set(hash, (votes.get(hash) ?? 0) + 1);
  }
  const majority = [...votes].find(([, count]) => count > voters.length / 2)?.[0] ?? null;
  const members = [...hashes.keys()];
  return {
    majority,
    agreeing: members.filter((id) => hashes.get(id) === majority),
    differing: members.filter((id) => hashes.get(id) !== majority),
  };
}

/** A hash as it is compared and logged. */
export function hashText(hash: number): string {
  return hash.toString(16).padStart(8, '0');
}
