/**
 * A member in a simulated group: a node, the driver that does its duties step by step, a disk that keeps what was made
 * durable, and a state machine whose state is a number that depends on everything applied so far.
 *
 * A crash may come between any two steps. What is left then is the disk: what was synced, and of what was written
 * without sync any part from the beginning on.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import {
  type ConfState,
  type Entry,
  HardState,
  type Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { assert, RingBuffer, type SeededRandom } from '@etcd/base';
import { decodeConfChangeEntry } from '../confchange/conf-change.ts';
import type { RaftConfig } from '../config.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { isLocalTarget, isPromise } from '../message.ts';
import type { Raft } from '../raft.ts';
import { RaftState } from '../raft-state.ts';
import { RawNode, raftOf } from '../raw-node.ts';
import type { Ready } from '../ready.ts';
import { nextState, type SimChecker } from './sim-checker.ts';

/** How a member reaches the world. */
export interface SimWorld {
  readonly checker: SimChecker;
  readonly random: SeededRandom;
  send(message: Message): void;
  answerRead(member: SimMember, index: LogIndex, context: Uint8Array): void;
  /** A configuration is in force on a member. */
  configured(confState: ConfState): void;
}

export type SimMemberConfig = Omit<RaftConfig, 'id' | 'storage' | 'random' | 'applied'>;

interface Write {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | null;
}

/** What survives a crash. */
class Disk {
  snapshot: Snapshot;
  hardState: HardState | null = null;
  entries: Entry[] = [];
  #unsynced: Write[] = [];

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
  }

  write(write: Write, sync: boolean): void {
    this.#unsynced.push(write);
    if (sync) this.sync();
  }

  sync(): void {
    for (const write of this.#unsynced) this.#settle(write);
    this.#unsynced = [];
  }

  crash(random: SeededRandom): void {
    const survivingCount = random.below(this.#unsynced.length + 1);
    for (const write of this.#unsynced.slice(0, survivingCount)) this.#settle(write);
    this.#unsynced = [];
  }

  #settle({ hardState, entries, snapshot }: Write): void {
    if (snapshot !== null) {
      this.snapshot = snapshot;
      this.entries = [];
    }
    if (entries.length > 0) {
      this.entries = this.entries.filter(({ index }) => index < entries[0]!.index).concat(entries);
    }
    if (hardState !== null) this.hardState = hardState;
  }
}

/** A process of a member, from a start to a crash. */
class Process {
  readonly storage = new MemoryStorage();
  readonly node: RawNode;
  /** What the checker saw last. */
  readonly seen: { term: Term; state: RaftState; committed: LogIndex };
  state: number;
  applied: LogIndex;
  confState: ConfState;
  /** Without asynchronous writes: the Ready that is being handled, and how far. */
  ready: Ready | null = null;
  sentEarly = false;
  written = false;
  /** With asynchronous writes: what the two threads have to do, and what they have to say. */
  readonly appendWork = new RingBuffer<Message>();
  readonly applyWork = new RingBuffer<Message>();
  readonly appendResponses = new RingBuffer<Message>();
  readonly applyResponses = new RingBuffer<Message>();

  constructor(id: MemberId, config: SimMemberConfig, disk: Disk, random: SeededRandom) {
    const { storage } = this;
    const { metadata, data } = disk.snapshot;
    if (metadata.index > 0) storage.applySnapshot(disk.snapshot);
    storage.append(disk.entries);
    if (disk.hardState !== null) {
      // With asynchronous writes a snapshot may be taken of entries whose commit index is not written yet.
      const { term, vote, commit } = disk.hardState;
      storage.setHardState(new HardState({ term, vote, commit: Math.max(commit, metadata.index) }));
    }
    this.state = metadata.index > 0 ? stateOf(data) : 0;
    this.applied = metadata.index;
    this.confState = metadata.confState;
    this.seen = { term: 0, state: RaftState.Follower, committed: metadata.index };
    this.node = new RawNode({
      ...config,
      id,
      random: random.fork(),
      applied: metadata.index,
      storage: {
        initialState: () => storage.initialState(),
        entries: (lo, hi, maxSizeBytes) => storage.entries(lo, hi, maxSizeBytes),
        term: (index) => storage.term(index),
        lastIndex: () => storage.lastIndex(),
        firstIndex: () => storage.firstIndex(),
        // Of the state as it is now; preparing it may take a while.
        snapshot: () => (random.chance(0.2) ? null : this.#currentSnapshot()),
      },
    });
  }

  #currentSnapshot(): Snapshot {
    const { applied, state, confState, storage } = this;
    const metadata = new SnapshotMetadata({ index: applied, term: storage.term(applied), confState });
    return new Snapshot({ metadata, data: bytesOf(state) });
  }
}

export class SimMember {
  readonly id: MemberId;
  readonly #world: SimWorld;
  readonly #config: SimMemberConfig;
  readonly #disk: Disk;
  #process: Process | null = null;

  constructor(id: MemberId, config: SimMemberConfig, initial: Snapshot, world: SimWorld) {
    this.id = id;
    this.#world = world;
    this.#config = config;
    this.#disk = new Disk(initial);
    this.start();
  }

  /** The running node, or null. */
  get node(): RawNode | null {
    return this.#process?.node ?? null;
  }

  get raft(): Raft | null {
    return this.#process === null ? null : raftOf(this.#process.node);
  }

  get applied(): LogIndex {
    return this.#process?.applied ?? 0;
  }

  get confState(): ConfState {
    return this.#process?.confState ?? this.#disk.snapshot.metadata.confState;
  }

  start(): void {
    if (this.#process !== null) return;
    this.#process = new Process(this.id, this.#config, this.#disk, this.#world.random);
    this.#observe(this.#process);
  }

  crash(): void {
    if (this.#process === null) return;
    this.#process = null;
    this.#disk.crash(this.#world.random);
  }

  /** Changes the node by any of its inputs. */
  input(change: (node: RawNode) => void): void {
    if (this.#process === null) return;
    change(this.#process.node);
    this.#observe(this.#process);
  }

  /** Does one step of the driver's duties; false if there is nothing to do. */
  work(): boolean {
    const process = this.#process;
    if (process === null) return false;
    const worked =
      this.#config.asyncStorageWrites === true ? this.#workAsync(process) : this.#workSync(process);
    this.#observe(process);
    return worked;
  }

  /** Takes a snapshot of the state machine, and compacts the log behind it up to `keptCount` entries. */
  takeSnapshot(keptCount: number): void {
    const process = this.#process;
    if (process === null) return;
    const { storage, applied, state, confState } = process;
    if (applied > storage.lastIndex()) return;
    const snapshot = storage.createSnapshot(applied, confState, bytesOf(state));
    if (snapshot === null) return;
    storage.compact(Math.max(0, applied - keptCount));
    // Written behind everything before, and synced.
    this.#disk.sync();
    this.#disk.snapshot = snapshot;
  }

  #workSync(process: Process): boolean {
    if (process.ready === null) {
      if (!process.node.hasReady()) return false;
      process.ready = process.node.ready();
      process.written = false;
      this.#world.checker.observeEntries(raftOf(process.node), process.ready.entries);
      process.sentEarly = this.#world.random.chance(0.5);
      if (process.sentEarly) this.#send(process.ready, (message) => !isPromise(message.type));
      return true;
    }
    const { ready } = process;
    if (!process.written) {
      this.#write(process, ready, ready.mustSync || ready.snapshot !== null);
      process.written = true;
      return true;
    }
    this.#send(ready, (message) => !process.sentEarly || isPromise(message.type));
    this.#answerReads(ready);
    if (ready.snapshot !== null) this.#restore(process, ready.snapshot);
    this.#apply(process, ready.committedEntries);
    process.ready = null;
    process.node.advance();
    return true;
  }

  #send(ready: Ready, which: (message: Message) => boolean): void {
    for (const message of ready.messages) if (which(message)) this.#world.send(message);
  }

  /** One of the things that could be done next, whichever: the threads are independent of each other. */
  #workAsync(process: Process): boolean {
    const choices: (() => void)[] = [];
    if (process.node.hasReady()) choices.push(() => this.#dispatch(process));
    // A snapshot replaces the state machine, so what was to be applied before goes first.
    const isHeldUp = process.appendWork.peek()?.snapshot != null && process.applyWork.count > 0;
    if (process.appendWork.count > 0 && !isHeldUp) choices.push(() => this.#appendThread(process));
    if (process.applyWork.count > 0) choices.push(() => this.#applyThread(process));
    for (const queue of [process.appendResponses, process.applyResponses]) {
      if (queue.count > 0) choices.push(() => this.#respond(process, queue.take()!));
    }
    if (choices.length === 0) return false;
    this.#world.random.pick(choices)();
    return true;
  }

  #dispatch(process: Process): void {
    const ready = process.node.ready();
    this.#world.checker.observeEntries(raftOf(process.node), ready.entries);
    for (const message of ready.messages) {
      if (!isLocalTarget(message.to)) this.#world.send(message);
      else if (message.type === MessageType.MsgStorageAppend) process.appendWork.push(message);
      else process.applyWork.push(message);
    }
    this.#answerReads(ready);
  }

  #appendThread(process: Process): void {
    const message = process.appendWork.take()!;
    const { term, vote, commit, entries, snapshot, responses } = message;
    const hasHardState = term !== 0 || vote !== 0n || commit !== 0;
    const hardState = hasHardState ? new HardState({ term, vote, commit }) : null;
    this.#write(process, { hardState, entries, snapshot }, responses.length > 0);
    if (snapshot !== null) this.#restore(process, snapshot);
    for (const response of responses) process.appendResponses.push(response);
  }

  #applyThread(process: Process): void {
    const message = process.applyWork.take()!;
    this.#apply(process, message.entries);
    for (const response of message.responses) process.applyResponses.push(response);
  }

  #respond(process: Process, response: Message): void {
    if (response.to === this.id) process.node.stepLocal(response);
    else this.#world.send(response);
  }

  #write(process: Process, write: Write, sync: boolean): void {
    const { hardState, entries, snapshot } = write;
    this.#disk.write(write, sync);
    if (snapshot !== null) {
      const applied = process.storage.applySnapshot(snapshot);
      assert(applied, 'simulation: raft hands out a snapshot that is not newer');
    }
    process.storage.append(entries);
    if (hardState !== null) process.storage.setHardState(hardState);
  }

  #restore(process: Process, snapshot: Snapshot): void {
    const { index, confState } = snapshot.metadata;
    assert(index > process.applied, 'simulation: a snapshot takes the state machine back');
    process.state = stateOf(snapshot.data);
    process.applied = index;
    process.confState = confState;
    this.#world.checker.observeApplied(String(this.id), index, process.state);
    this.#world.configured(confState);
  }

  #apply(process: Process, entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === process.applied + 1, 'simulation: entries are applied out of order');
      const change = decodeConfChangeEntry(entry);
      // A leader may send snapshots to new members in here: of the state before the entry, whose parts go together.
      const confState = change === null ? null : process.node.applyConfChange(change);
      process.state = nextState(process.state, entry);
      process.applied = entry.index;
      this.#world.checker.observeApplied(String(this.id), entry.index, process.state);
      if (confState === null) continue;
      process.confState = confState;
      this.#world.configured(confState);
    }
  }

  #answerReads(ready: Ready): void {
    for (const { index, requestContext } of ready.readStates) {
      this.#world.answerRead(this, index, requestContext);
    }
  }

  #observe(process: Process): void {
    this.#world.checker.observe(raftOf(process.node), process.seen);
  }
}

/** The snapshot that a group of `voters` begins with. */
export function initialSnapshot(index: LogIndex, confState: ConfState, state: number): Snapshot {
  const metadata = new SnapshotMetadata({ index, term: index === 0 ? 0 : 1, confState });
  return new Snapshot({ metadata, data: bytesOf(state) });
}

function bytesOf(state: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, state);
  return bytes;
}

function stateOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset, data.length).getUint32(0);
}
