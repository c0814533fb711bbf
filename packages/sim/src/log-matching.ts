/**
 * Two of raft's properties, watched at every append: logs that have an entry of the same index and term are equal up to it (log matching), and a
 * leader never replaces or removes an entry of its own term (leader append-only).
 *
 * Whoever has (index, term) must have the same entry there, and one of the same term before it: then, entry by entry, the logs before are equal, too.
 */
import { crc32 } from 'node:zlib';
import type { Entry } from '@etcd/api/raftpb';
import { type MemoryStorage, RaftState, type RawNode } from '@etcd/raft';

interface KnownEntry {
  readonly digest: number;
  /** Of the entry before; negative: not known. */
  beforeTerm: number;
}

export interface ObservedLog {
  readonly name: string;
  readonly node: Pick<RawNode, 'raftState' | 'term'>;
  readonly raftStorage: MemoryStorage;
}

export class LogMatching {
  readonly #violate: (property: string, details: string) => void;
  /** By index, then by term. */
  readonly #known: (Map<number, KnownEntry> | undefined)[] = [];

  constructor(violate: (property: string, details: string) => void) {
    this.#violate = violate;
  }

  /** What nobody has committed may be written anew: those who had it are lost. */
  clear(): void {
    this.#known.length = 0;
  }

  /** To be called before entries are put into a log. */
  beforeAppend({ name, node, raftStorage }: ObservedLog, entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined || node.raftState !== RaftState.Leader) return;
    if (first.index > raftStorage.lastIndex() || first.index < raftStorage.firstIndex()) return;
    if (raftStorage.term(first.index) !== node.term) return;
    const details = `${name}, which leads in term ${node.term}, replaces its entry ${first.index}`;
    this.#violate('leader append-only', details);
  }

  /** To be called when entries have been put into a log, or found there by a start. */
  onAppended({ name, raftStorage }: Omit<ObservedLog, 'node'>, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { index, term } = entry;
      const before = raftStorage.term(index - 1);
      const problem = this.#problem(entry, before);
      if (problem !== null)
        this.#violate('log matching', `${name} has at ${index} of term ${term} ${problem}`);
    }
  }

  #problem(entry: Entry, beforeTerm: number): string | null {
    const digest = crc32(entry.data, entry.type);
    const terms = (this.#known[entry.index] ??= new Map<number, KnownEntry>());
    const known = terms.get(entry.term);
    if (known === undefined) {
      terms.set(entry.term, { digest, beforeTerm });
      return null;
    }
    if (known.digest !== digest) return 'another entry than others have there';
    if (known.beforeTerm < 0) known.beforeTerm = beforeTerm;
    if (beforeTerm < 0 || known.beforeTerm === beforeTerm) return null;
    return `the entry that others have there, behind one of term ${beforeTerm}; theirs is behind one of term ${known.beforeTerm}`;
  }
}
