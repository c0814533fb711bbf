/**
 * Raft's safety properties, watched from outside: one leader per term (election safety), one entry per committed index (state
 * machine safety), and every leader has what was committed before its term (leader completeness). What is committed is also
 * handed on to the {@link Model}.
 */
import { Entry } from '@etcd/api/raftpb';
import { copyBytes, equalBytes } from '@etcd/base';
import { type MemoryStorage, RaftState, type RawNode } from '@etcd/raft';

/** What is looked at of a member that runs. */
export interface ObservedMember {
  readonly name: string;
  readonly memberId: bigint;
  readonly node: RawNode;
  readonly raftStorage: MemoryStorage;
  /** The state machine's position. */
  readonly appliedIndex: number;
}

/** Up to where a member has been looked at, in one run of its process. */
export interface Observation {
  appliedIndex: number;
  ledTerm: number;
}

interface Committed {
  /** null: it came with what the cluster was founded from. */
  readonly entry: Entry | null;
  /** Term of the member that was seen first to have applied it: not before the term in which it was committed. */
  readonly seenInTerm: number;
}

export interface RaftHistoryOptions {
  readonly violate: (property: string, details: string) => void;
  readonly onCommitted: (entry: Entry) => void;
  /** The members bring a past of their own, which nobody has seen: nothing is judged. */
  readonly isBlind?: boolean;
}

export class RaftHistory {
  readonly #options: RaftHistoryOptions;
  /** By index - 1. */
  readonly #committed: Committed[] = [];
  readonly #leaders = new Map<number, ObservedMember>();
  /** Of clusters that are no more. */
  #formerTerms = 0;

  constructor(options: RaftHistoryOptions) {
    this.#options = options;
  }

  /** Index of the last entry that any member has applied. */
  get lastIndex(): number {
    return this.#committed.length;
  }

  get termCount(): number {
    return this.#formerTerms + this.#leaders.size;
  }

  /** Another cluster begins, whose first `count` entries are in what it is founded from. */
  startOver(count: number): void {
    this.#committed.length = 0;
    this.#formerTerms += this.#leaders.size;
    this.#leaders.clear();
    for (let i = 0; i < count; i++) this.#committed.push({ entry: null, seenInTerm: 0 });
  }

  /** To be called after every turn of a member, before its answers leave. */
  observe(member: ObservedMember, seen: Observation): void {
    if (this.#options.isBlind) return;
    for (let index = seen.appliedIndex + 1; index <= member.appliedIndex; index++) {
      this.#observeEntry(member, index);
    }
    seen.appliedIndex = Math.max(seen.appliedIndex, member.appliedIndex);
    const { node } = member;
    if (node.raftState === RaftState.Leader && seen.ledTerm !== node.term) {
      seen.ledTerm = node.term;
      this.#observeLeader(member);
    }
  }

  #observeEntry(member: ObservedMember, index: number): void {
    const { raftStorage, name, node } = member;
    const known = this.#committed[index - 1];
    if (index < raftStorage.firstIndex()) {
      // It came with a snapshot, or was let go in the turn in which it was applied: then others have applied it before.
      if (known === undefined) this.#violate('state machine safety', `${name} has applied ${index}, unseen`);
      return;
    }
    const found = raftStorage.entries(index, index + 1, Number.MAX_SAFE_INTEGER)?.[0];
    if (found === undefined) {
      this.#violate('state machine safety', `${name} has applied ${index}, which its log does not have`);
      return;
    }
    // Copied: the member uses the memory of its entries again.
    const entry = new Entry({ ...found, data: copyBytes(found.data) });
    if (known === undefined) {
      this.#committed.push({ entry, seenInTerm: node.term });
      this.#options.onCommitted(entry);
    } else if (known.entry !== null && !isSame(known.entry, entry)) {
      const terms = `of term ${entry.term}, others have one of term ${known.entry.term}`;
      this.#violate('state machine safety', `${name} has applied at ${index} an entry ${terms}`);
    }
  }

  #observeLeader(member: ObservedMember): void {
    const { node, name, memberId, raftStorage } = member;
    const other = this.#leaders.get(node.term);
    if (other !== undefined && other.memberId !== memberId) {
      this.#violate('election safety', `${name} and ${other.name} both lead in term ${node.term}`);
    }
    this.#leaders.set(node.term, member);
    const last = this.#committed.findLastIndex(({ seenInTerm }) => seenInTerm < node.term) + 1;
    if (last === 0 || last < raftStorage.firstIndex()) return;
    const term = last > raftStorage.lastIndex() ? null : raftStorage.term(last);
    const expected = this.#committed[last - 1]!.entry;
    if (expected !== null && term !== expected.term) {
      const has = term === null ? 'does not have it' : `has one of term ${term} there`;
      this.#violate(
        'leader completeness',
        `${name} leads in term ${node.term}; entry ${last} is committed, but it ${has}`,
      );
    }
  }

  #violate(property: string, details: string): void {
    this.#options.violate(property, details);
  }
}

function isSame(a: Entry, b: Entry): boolean {
  return a.term === b.term && a.type === b.type && equalBytes(a.data, b.data);
}
