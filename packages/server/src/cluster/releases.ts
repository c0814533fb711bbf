/**
 * Which releases the other members run, as far as they have said: what may be proposed depends on it. A member that never answered
 * is unknown; one that has stopped answering counts as what it last was, since its log will be read by the same program or a later
 * one of its own accord.
 */

import type { MemberId } from '@etcd/api';
import { compareVersions, type Member, parseVersion, type SemanticVersion } from '@etcd/storage/membership';
import type { MemberEnvironment } from '../consensus/index.ts';
import { canRead, type EntryKind } from '../request/index.ts';

interface Release {
  readonly version: SemanticVersion;
  /** This program, which reads every kind of entry. */
  readonly isOurs: boolean;
}

/** What a member answers; null where it says nothing that can be read. */
interface ReleaseAnswer {
  readonly server: string | null;
  readonly isOurs: boolean;
}

export interface ReleasesOptions extends Pick<MemberEnvironment, 'memberId' | 'membership'> {
  /** Asks members which release they run. */
  readonly ask: (members: readonly Member[], done: (versions: readonly ReleaseAnswer[]) => void) => void;
}

/** What the other members have said: one entry each, null for those that gave no answer this time. */
type Answers = readonly (string | null)[];

export class Releases {
  readonly #options: ReleasesOptions;
  readonly #known = new Map<MemberId, Release>();
  /** Whoever waits for the answers to the questions that are out. */
  #waiting: ((answers: Answers) => void)[] | null = null;

  constructor(options: ReleasesOptions) {
    this.#options = options;
  }

  /** Asks all other members; `done` gets what they say now. */
  askThen(done: (answers: Answers) => void): void {
    if (this.#waiting !== null) {
      this.#waiting.push(done);
      return;
    }
    const waiting = [done];
    this.#waiting = waiting;
    const others = this.#others;
    this.#options.ask(others, (versions) => {
      this.#waiting = null;
      for (const id of this.#known.keys()) if (!this.#isOther(id)) this.#known.delete(id);
      for (const [i, { id }] of others.entries()) this.#note(id, versions[i]);
      const answers = versions.map(({ server }) => server);
      for (const each of waiting) each(answers);
    });
  }

  /** The oldest release that is known among the others; null when none is. */
  get lowest(): SemanticVersion | null {
    let lowest: SemanticVersion | null = null;
    for (const { version } of this.#ofOthers()) {
      if (lowest === null || compareVersions(version, lowest) < 0) lowest = version;
    }
    return lowest;
  }

  /** Members that have never said what they run. */
  get unknown(): Member[] {
    return this.#others.filter(({ id }) => !this.#known.has(id));
  }

  /** The release of a member that is known not to read entries of this kind; null when there is none. */
  whoCanNotRead(kind: EntryKind): SemanticVersion | null {
    for (const { version, isOurs } of this.#ofOthers()) {
      if (!isOurs && !canRead(version, kind)) return version;
    }
    return null;
  }

  get #others(): Member[] {
    const { membership, memberId } = this.#options;
    return membership.members().filter(({ id }) => id !== memberId);
  }

  #isOther(id: MemberId): boolean {
    return this.#others.some((other) => other.id === id);
  }

  *#ofOthers(): Generator<Release> {
    for (const { id } of this.#others) {
      const release = this.#known.get(id);
      if (release !== undefined) yield release;
    }
  }

  #note(id: MemberId, answer: ReleaseAnswer | undefined): void {
    const version = parseVersion(answer?.server ?? '');
    if (answer === undefined || version === null) return;
    this.#known.set(id, { version, isOurs: answer.isOurs });
  }
}
