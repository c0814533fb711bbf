/**
 * What must hold in every run of a group, whatever is lost, delayed or crashes (Raft paper, figure 3). The checker sees
 * every member after each step and remembers all that any of them ever knew to be committed; a contradiction is a
 * {@link SafetyViolation}.
 *
 *  - Election safety: a term has at most one leader.
 *  - Log matching: entries of the same term and index are the same everywhere, and so is what precedes them.
 *  - Leader completeness: a new leader has every entry that was committed before.
 *  - State machine safety: no two members take different entries for committed at an index, and applying them leads
 *    to the same state.
 *  - Linearizable reads: a read's index is at least what was committed anywhere when it was asked for.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { Entry } from '@etcd/api/raftpb';
import type { Raft } from '../raft.ts';
import { RaftState } from '../raft-state.ts';

/** The algorithm, or the harness, is broken. */
export class SafetyViolation extends Error {
  override readonly name = 'SafetyViolation';
  readonly property: string;

  constructor(property: string, what: string) {
    super(`${property}: ${what}`);
    this.property = property;
  }
}

interface KnownEntry {
  readonly fingerprint: number;
  readonly previousTerm: number;
}

export class SimChecker {
  readonly #leaders = new Map<number, bigint>();
  readonly #entries = new Map<string, KnownEntry>();
  /** The term of each entry that was ever known to be committed. */
  readonly #committedTerms = new Map<number, number>();
  readonly #statesAfter = new Map<number, number>();
  #firstCommitted = 0;
  #maxCommitted = 0;

  /** The group begins with a snapshot at `index`. */
  constructor(index: LogIndex, term: Term, state: number) {
    this.#committedTerms.set(index, term);
    this.#statesAfter.set(index, state);
    this.#firstCommitted = this.#maxCommitted = index;
  }

  /** The highest index that any member ever took for committed. */
  get maxCommitted(): number {
    return this.#maxCommitted;
  }

  /** Looks at a member after it changed. `seen` is what the member was when it was looked at last. */
  observe(raft: Raft, seen: { term: Term; state: RaftState; committed: LogIndex }): void {
    if (raft.state === RaftState.Leader && (seen.state !== RaftState.Leader || seen.term !== raft.term)) {
      this.#observeLeader(raft);
    }
    for (let index = seen.committed + 1; index <= raft.log.committed; index++)
      this.#observeCommit(raft, index);
    seen.term = raft.term;
    seen.state = raft.state;
    seen.committed = raft.log.committed;
  }

  /** A member wrote entries to its log. */
  observeEntries(raft: Raft, entries: readonly Entry[]): void {
    let previousTerm = entries.length === 0 ? 0 : raft.log.term(entries[0]!.index - 1);
    for (const entry of entries) {
      const key = `${entry.term}/${entry.index}`;
      const known = this.#entries.get(key);
      const fingerprint = fingerprintOf(entry);
      if (known === undefined) {
        this.#entries.set(key, { fingerprint, previousTerm });
      } else if (known.fingerprint !== fingerprint) {
        throw new SafetyViolation('log matching', `two different entries ${key}; one on ${raft.name}`);
      } else if (previousTerm >= 0 && known.previousTerm >= 0 && known.previousTerm !== previousTerm) {
        throw new SafetyViolation('log matching', `different logs before entry ${key}; one on ${raft.name}`);
      }
      previousTerm = entry.term;
    }
  }

  /** A member's state machine is in `state` after entry `index`. */
  observeApplied(name: string, index: LogIndex, state: number): void {
    const known = this.#statesAfter.get(index);
    if (known === undefined) this.#statesAfter.set(index, state);
    else if (known !== state) {
      throw new SafetyViolation('state machine safety', `${name} is in another state after entry ${index}`);
    }
  }

  /** A read that was asked for when `minIndex` was committed is answered. */
  observeRead(name: string, index: LogIndex, minIndex: number): void {
    if (index < minIndex) {
      throw new SafetyViolation(
        'linearizable reads',
        `${name} got index ${index} for a read asked for when ${minIndex} was committed`,
      );
    }
  }

  #observeLeader(raft: Raft): void {
    const leader = this.#leaders.get(raft.term);
    if (leader !== undefined && leader !== raft.id) {
      throw new SafetyViolation('election safety', `${leader} and ${raft.id} both lead term ${raft.term}`);
    }
    this.#leaders.set(raft.term, raft.id);
    const first = Math.max(raft.log.firstIndex() - 1, this.#firstCommitted);
    for (let index = first; index <= this.#maxCommitted; index++) {
      const committedTerm = this.#committedTerms.get(index);
      if (committedTerm !== undefined && raft.log.term(index) !== committedTerm) {
        throw new SafetyViolation(
          'leader completeness',
          `${raft.name}, leader of term ${raft.term}, lacks committed entry ${committedTerm}/${index}`,
        );
      }
    }
  }

  #observeCommit(raft: Raft, index: LogIndex): void {
    const term = raft.log.term(index);
    const known = this.#committedTerms.get(index);
    // Below a snapshot that came from another member the terms are not known here.
    if (term >= 0) {
      if (known !== undefined && known !== term) {
        throw new SafetyViolation(
          'state machine safety',
          `${raft.name} takes ${term}/${index} for committed, where ${known}/${index} was`,
        );
      }
      this.#committedTerms.set(index, term);
    }
    this.#maxCommitted = Math.max(this.#maxCommitted, index);
  }
}

/** A state machine's next state: depends on the former and on all of the entry. */
export function nextState(state: number, entry: Entry): number {
  return mix(mix(state, entry.index), fingerprintOf(entry));
}

function fingerprintOf(entry: Entry): number {
  let hash = mix(mix(17, entry.term), entry.type);
  for (const byte of entry.data) hash = mix(hash, byte);
  return hash;
}

function mix(hash: number, value: number): number {
  const h = Math.imul(hash ^ value, 0x9e37_79b1);
  return (h ^ (h >>> 15)) >>> 0;
}
