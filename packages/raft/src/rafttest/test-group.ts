/**
 * Members for tests that go step by step: what a driver has to do is done at once, messages are delivered when the test
 * says so.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import {
  ConfState,
  decodeMessage,
  Entry,
  encodeMessage,
  HardState,
  type Message,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { type Random, SeededRandom } from '@etcd/base';
import { decodeConfChangeEntry } from '../confchange/conf-change.ts';
import type { RaftConfig } from '../config.ts';
import { MemoryStorage } from '../memory-storage.ts';
import type { Raft } from '../raft.ts';
import { RawNode, raftOf } from '../raw-node.ts';
import type { ReadState } from '../ready.ts';

export type TestOptions = Partial<Omit<RaftConfig, 'id' | 'storage'>>;

/** Storage as a member finds it at its start. */
export interface TestState {
  readonly voters: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  /** The terms of entries 1, 2, … */
  readonly logTerms?: readonly number[];
  readonly term?: Term;
  readonly vote?: MemberId;
  readonly commit?: LogIndex;
}

/** No jitter: election timeouts are as configured. */
export const NO_JITTER: Random = { uint32: () => 0, below: () => 0 };

export class TestMember {
  readonly storage = new MemoryStorage();
  readonly node: RawNode;
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];

  constructor(id: MemberId, state: TestState, options: TestOptions = {}) {
    const { storage } = this;
    const confState = new ConfState({ voters: [...state.voters], learners: [...(state.learners ?? [])] });
    storage.applySnapshot(new Snapshot({ metadata: new SnapshotMetadata({ confState }) }));
    storage.append(entriesOf(1, ...(state.logTerms ?? [])));
    const { term = state.logTerms?.at(-1) ?? 0, vote = 0n, commit = 0 } = state;
    storage.setHardState(new HardState({ term, vote, commit }));
    this.node = new RawNode({
      id,
      storage,
      electionTicks: 10,
      heartbeatTicks: 1,
      maxInflightMsgs: 256,
      random: NO_JITTER,
      ...options,
    });
  }

  get raft(): Raft {
    return raftOf(this.node);
  }

  /** The log from the first entry that is not compacted away, as `term/index …`. */
  get log(): string {
    const { log } = this.raft;
    return idsOf(log.entriesFrom(log.firstIndex(), Infinity)!);
  }

  /** Does everything that is to do; returns the messages to others. */
  handle(): Message[] {
    const sent: Message[] = [];
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      if (ready.snapshot !== null) this.storage.applySnapshot(ready.snapshot);
      this.storage.append(ready.entries);
      if (ready.hardState !== null) this.storage.setHardState(ready.hardState);
      this.reads.push(...ready.readStates);
      for (const entry of ready.committedEntries) {
        this.applied.push(entry);
        const change = decodeConfChangeEntry(entry);
        if (change !== null) this.node.applyConfChange(change);
      }
      sent.push(...ready.messages);
      this.node.advance();
    }
    return sent;
  }

  /** Steps a message and does everything that follows; returns the messages to others. */
  receive(message: Message): Message[] {
    this.node.step(message);
    return this.handle();
  }

  tick(count = 1): Message[] {
    for (let i = 0; i < count; i++) this.node.tick();
    return this.handle();
  }

  propose(...texts: string[]): Message[] {
    this.node.propose(texts.map((text) => Uint8Array.from(text, (char) => char.charCodeAt(0))));
    return this.handle();
  }
}

/** Members on a network that loses what it is told to lose. */
export class TestGroup {
  readonly members = new Map<bigint, TestMember>();
  readonly #cut = new Set<string>();
  lost: (message: Message) => boolean = () => false;

  constructor(
    count: number,
    options: TestOptions = {},
    stateOf: (id: MemberId) => Partial<TestState> = () => ({}),
  ) {
    const voters = Array.from({ length: count }, (_, i) => BigInt(i + 1));
    for (const id of voters) {
      const random = options.random ?? new SeededRandom(Number(id));
      this.members.set(id, new TestMember(id, { voters, ...stateOf(id) }, { ...options, random }));
    }
  }

  get(id: number): TestMember {
    return this.members.get(BigInt(id))!;
  }

  /** Who leads the highest term. */
  get leader(): TestMember | undefined {
    return [...this.members.values()]
      .filter(({ node }) => node.lead === node.id)
      .sort((a, b) => b.node.term - a.node.term)[0];
  }

  /** Separates these from the others. */
  isolate(...ids: number[]): void {
    const inside = new Set(ids.map(BigInt));
    for (const a of this.members.keys()) {
      for (const b of this.members.keys()) {
        if (inside.has(a) !== inside.has(b)) this.#cut.add(`${a}>${b}`);
      }
    }
  }

  heal(): void {
    this.#cut.clear();
    this.lost = () => false;
  }

  /** Delivers messages, each decoded anew, and those that follow, until there are none. */
  deliver(messages: readonly Message[] = []): void {
    let queue = [...messages, ...this.#handleAll()];
    while (queue.length > 0) {
      const next: Message[] = [];
      for (const message of queue) {
        if (this.#cut.has(`${message.from}>${message.to}`) || this.lost(message)) continue;
        next.push(...(this.members.get(message.to)?.receive(decodeMessage(encodeMessage(message))) ?? []));
      }
      queue = next;
    }
  }

  campaign(id: number): void {
    this.get(id).node.campaign();
    this.deliver();
  }

  #handleAll(): Message[] {
    return [...this.members.values()].flatMap((member) => member.handle());
  }
}

/** Entries from `first` on with these terms. */
export function entriesOf(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => new Entry({ term, index: first + i }));
}

export function idsOf(entries: readonly Entry[]): string {
  return entries.map(({ term, index }) => `${term}/${index}`).join(' ');
}
