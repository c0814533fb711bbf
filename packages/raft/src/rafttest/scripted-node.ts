/**
 * A member whose storage and state machine are in memory and whose work is done when told, written down as it goes.
 * The state machine appends the data of every applied entry to its state.
 */
import {
  type ConfState,
  type Entry,
  HardState,
  type Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { assert, RingBuffer } from '@etcd/base';
import { decodeConfChangeEntry } from '../confchange/conf-change.ts';
import type { RaftConfig } from '../config.ts';
import { describeMessage, describeReady } from '../describe.ts';
import { MemoryStorage } from '../memory-storage.ts';
import { isLocalTarget } from '../message.ts';
import { RawNode } from '../raw-node.ts';
import type { RedirectLogger } from './redirect-logger.ts';

/** Offers as snapshot the state machine's state of now, instead of one that was taken before. */
export class HistoryStorage extends MemoryStorage {
  readonly history: Snapshot[];

  constructor(initial: Snapshot) {
    super();
    this.history = [initial];
  }

  override snapshot(): Snapshot {
    return this.history.at(-1)!;
  }
}

export class ScriptedNode {
  readonly raw: RawNode;
  readonly config: RaftConfig;
  readonly storage: HistoryStorage;
  readonly appendWork = new RingBuffer<Message>();
  readonly applyWork = new RingBuffer<Message>();
  readonly #output: RedirectLogger;

  constructor(config: RaftConfig, storage: HistoryStorage, output: RedirectLogger) {
    this.config = config;
    this.storage = storage;
    this.#output = output;
    this.raw = new RawNode(config);
  }

  /** Handles one Ready; returns the messages that it sends. */
  processReady(): Message[] {
    const ready = this.raw.ready();
    this.#output.write(describeReady(ready));
    if (this.config.asyncStorageWrites !== true) {
      this.#append(ready.hardState, ready.entries, ready.snapshot);
      this.#apply(ready.committedEntries);
    }
    const sent = ready.messages.filter((message) => {
      if (!isLocalTarget(message.to)) return true;
      (message.type === MessageType.MsgStorageAppend ? this.appendWork : this.applyWork).push(message);
      return false;
    });
    if (this.config.asyncStorageWrites !== true) this.raw.advance();
    return sent;
  }

  /** Carries out one MsgStorageAppend; returns the responses. */
  processAppendThread(): Message[] {
    const message = this.appendWork.take();
    if (message === undefined) {
      this.#output.write('no append work to perform');
      return [];
    }
    return this.#process(message, () => {
      const { term, vote, commit } = message;
      const isEmpty = term === 0 && vote === 0n && commit === 0;
      this.#append(isEmpty ? null : new HardState({ term, vote, commit }), message.entries, message.snapshot);
    });
  }

  /** Carries out one MsgStorageApply; returns the responses. */
  processApplyThread(): Message[] {
    const message = this.applyWork.take();
    if (message === undefined) {
      this.#output.write('no apply work to perform');
      return [];
    }
    return this.#process(message, () => this.#apply(message.entries));
  }

  #process(message: Message, carryOut: () => void): Message[] {
    const { responses } = message;
    message.responses = [];
    this.#output.write(`Processing:\n${describeMessage(message)}\n`);
    carryOut();
    this.#output.write('Responses:\n');
    for (const response of responses) this.#output.write(`${describeMessage(response)}\n`);
    return responses;
  }

  #append(hardState: HardState | null, entries: readonly Entry[], snapshot: Snapshot | null): void {
    if (hardState !== null) this.storage.setHardState(hardState);
    if (snapshot !== null) {
      assert(entries.length === 0, "can't apply snapshot and entries at the same time");
      this.storage.applySnapshot(snapshot);
      this.storage.history.push(snapshot);
      return;
    }
    this.storage.append(entries);
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const change = decodeConfChangeEntry(entry);
      const last = this.storage.snapshot();
      const confState: ConfState =
        change === null ? last.metadata.confState : this.raw.applyConfChange(change);
      const update = change === null ? entry.data : change.context;
      const data = new Uint8Array(last.data.length + update.length);
      data.set(last.data);
      data.set(update, last.data.length);
      const metadata = new SnapshotMetadata({ index: entry.index, term: entry.term, confState });
      this.storage.history.push(new Snapshot({ metadata, data }));
    }
  }
}
