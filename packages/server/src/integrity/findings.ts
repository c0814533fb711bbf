/** What was found out about the data of the members: judged, logged, counted; the member itself is fenced if it is the one. */
import type { MemberId, Revision } from '@etcd/api';
import { formatId } from '@etcd/storage/membership';
import type { Fence, FoundIn } from './fence.ts';
import { type IntegrityHost, voterIds } from './integrity-host.ts';
import { judge, type Verdict } from './verdict.ts';

export class Findings {
  readonly #host: IntegrityHost;
  readonly #fence: Fence;
  readonly #differing = new Set<bigint>();

  constructor(host: IntegrityHost, fence: Fence) {
    this.#host = host;
    this.#fence = fence;
  }

  /** Whether the member is known to differ from the majority: there is no use in comparing with it. */
  isDiffering(id: MemberId): boolean {
    return this.#differing.has(id);
  }

  /**
   * Members have different hashes. Without a majority nothing follows but a log line, because nobody knows who is right.
   * @param hashes of the members that have one, this member's among them.
   */
  report(foundIn: FoundIn, revision: Revision, hashes: ReadonlyMap<bigint, string>): Verdict {
    const { memberId, logger, metrics } = this.#host;
    const verdict = judge(voterIds(this.#host), hashes);
    if (verdict.majority === null) {
      logger.error('the data of members differ, and there is no majority that tells whose are right', {
        revision,
        'found-in': foundIn,
        hashes: hashTexts(hashes),
      });
      return verdict;
    }
    for (const id of verdict.differing) {
      if (this.#differing.has(id)) continue;
      this.#differing.add(id);
      logger.error('the data of a member differ from those of the majority', {
        'member-id': formatId(id),
        revision,
        'found-in': foundIn,
        hash: hashes.get(id)!,
        'majority-hash': verdict.majority,
        'majority-ids': verdict.agreeing.map(formatId),
      });
    }
    metrics.integrityDifferingMembers.set(this.#differing.size);
    if (verdict.differing.includes(memberId)) this.#fence.raise({ revision, foundIn });
    return verdict;
  }

  /** Forgets members that are gone. */
  keepOnly(ids: readonly bigint[]): void {
    for (const id of this.#differing) if (!ids.includes(id)) this.#differing.delete(id);
    this.#host.metrics.integrityDifferingMembers.set(this.#differing.size);
  }
}

/** For a log line: what each member has. */
function hashTexts(hashes: ReadonlyMap<bigint, string>): string[] {
  return [...hashes].map(([id, hash]) => `${formatId(id)}=${hash}`);
}
