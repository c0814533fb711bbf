/**
 * What is to be proposed to raft, until a turn of the loop gives it: requests of this member in batches, what only a leader may propose,
 * changes of the configuration, and what others have passed on and raft would not take yet. Hot: a request is two entries in two lists.
 *
 * Invariants: each proposal has the id of its request beside it; proposals leave in the order in which they came, each once; the bytes that
 * are counted are those that wait.
 */
import type { Message } from '@etcd/api/raftpb';
import { assert, type Clock, type Logger } from '@etcd/base';
import { type AnyConfChange, type RawNode, StepError } from '@etcd/raft';
import { HeldProposals } from './held-proposals.ts';

export interface ProposalQueueOptions {
  readonly node: RawNode;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long somebody may wait for what was proposed. */
  readonly requestTimeoutMs: number;
  /** Raft would not take a proposal: it has to be made again, or given up. */
  readonly onDropped: (idSuffix: number) => void;
}

/** Proposals that go into one Ready: bounds how long a turn applies entries, and the memory of a batch. */
const MAX_BATCH_COUNT = 2048;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Half of what may be held back by a proposer; beyond it requests are refused. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;
const MAX_QUEUED_COUNT = 200_000;
/** Far more than anybody has a use for. */
const MAX_QUEUED_CONF_CHANGES = 1000;

export class ProposalQueue {
  readonly #options: ProposalQueueOptions;
  readonly #node: RawNode;
  /** Proposals and the ids of their requests, not yet given to raft. */
  #queue: Uint8Array[] = [];
  #queueIds: number[] = [];
  #queuedBytes = 0;
  /** What only this member may propose, as the leader. */
  #ownQueue: Uint8Array[] = [];
  #ownQueueIds: number[] = [];
  #confChanges: { readonly change: AnyConfChange; readonly idSuffix: number }[] = [];
  readonly #held: HeldProposals;

  constructor(options: ProposalQueueOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#held = new HeldProposals(options.clock, options.requestTimeoutMs);
  }

  /** Whether more may be queued. */
  get hasRoom(): boolean {
    const isShort =
      this.#queue.length < MAX_QUEUED_COUNT && this.#confChanges.length < MAX_QUEUED_CONF_CHANGES;
    return isShort && this.#queuedBytes < MAX_QUEUED_BYTES;
  }

  /** Requests that raft has not seen yet. */
  get count(): number {
    return this.#queue.length;
  }

  /** @param data is kept. */
  add(data: Uint8Array, idSuffix: number): void {
    this.#queue.push(data);
    this.#queueIds.push(idSuffix);
    this.#queuedBytes += data.length;
  }

  /** As {@link add}, but never passed on: what this member decides as the leader is void once another one leads. */
  addAsLeader(data: Uint8Array, idSuffix: number): void {
    this.#ownQueue.push(data);
    this.#ownQueueIds.push(idSuffix);
  }

  addConfChange(change: AnyConfChange, idSuffix: number): void {
    this.#confChanges.push({ change, idSuffix });
  }

  /** What another member has passed on, and raft has not taken. */
  hold(message: Message): void {
    this.#held.add(message);
  }

  /** Forgets what waits and is not `isAwaited`: whoever was told that it timed out would not expect it later. */
  forget(isAwaited: (idSuffix: number) => boolean): void {
    const keep = this.#queueIds.map(isAwaited);
    this.#queue = this.#queue.filter((_, i) => keep[i]);
    this.#queueIds = this.#queueIds.filter((_, i) => keep[i]);
    this.#queuedBytes = this.#queue.reduce((sum, data) => sum + data.length, 0);
    this.#confChanges = this.#confChanges.filter(({ idSuffix }) => isAwaited(idSuffix));
  }

  /**
   * Gives raft what was proposed, as long as there is a leader who can take it, a batch at most; whether more waits. A leader that hands over
   * takes nothing until its successor leads, or has not come to: that is waited for.
   */
  submit(): boolean {
    if (this.#node.transferee !== 0n) return false;
    this.#submitOwn();
    if (this.#node.lead === 0n) return false;
    this.#held.submit(this.#takesHeld);
    if (this.#confChanges.length > 0) this.#submitConfChanges();
    if (this.#queue.length > 0) this.#submitBatch();
    return this.#queue.length > 0;
  }

  #submitOwn(): void {
    if (this.#ownQueue.length === 0) return;
    const batch = this.#ownQueue;
    const ids = this.#ownQueueIds;
    this.#ownQueue = [];
    this.#ownQueueIds = [];
    if (this.#node.lead === this.#node.id && this.#node.propose(batch) === null) return;
    for (const id of ids) this.#options.onDropped(id);
  }

  readonly #takesHeld = (message: Message): boolean => this.#node.step(message) !== StepError.ProposalDropped;

  #submitConfChanges(): void {
    const changes = this.#confChanges;
    this.#confChanges = [];
    for (const { change, idSuffix } of changes) {
      const error = this.#node.proposeConfChange(change);
      if (error === null) continue;
      this.#options.logger.warn('a configuration change was not taken by raft', { error });
      this.#options.onDropped(idSuffix);
    }
  }

  #submitBatch(): void {
    const [batch, ids] = this.#takeBatch();
    if (this.#node.propose(batch) === null) return;
    for (const id of ids) this.#options.onDropped(id);
  }

  #takeBatch(): [Uint8Array[], number[]] {
    const queue = this.#queue;
    const ids = this.#queueIds;
    assert(queue.length === ids.length, 'proposals: one without the id of its request');
    let count = 0;
    let bytes = 0;
    while (count < queue.length && count < MAX_BATCH_COUNT && bytes < MAX_BATCH_BYTES) {
      bytes += queue[count++]!.length;
    }
    this.#queue = queue.slice(count);
    this.#queueIds = ids.slice(count);
    this.#queuedBytes -= bytes;
    assert(this.#queuedBytes >= 0, 'proposals: more was taken than was queued');
    queue.length = count;
    ids.length = count;
    return [queue, ids];
  }
}
