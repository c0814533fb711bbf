/**
 * A call that waits for its turn in a queue, from its lease to the answer. Whoever gives up waiting (the client has gone, the member
 * stops, a request is refused) leaves the queue, whatever its lease: a place that nobody waits for would keep the others out.
 */
import { contenderKey, queuePrefix, type RpcError } from '@etcd/api';
import { EventType, type KeyValue } from '@etcd/api/mvccpb';
import { EMPTY_BYTES, GrpcCode } from '@etcd/base';
import type { CallReceiver, ServerCall } from '@etcd/transport';
import type { RpcContext } from '../rpc-context.ts';
import { refuse } from '../rpc-context.ts';
import { Errand, type TxnOutcome } from './errand.ts';
import { KeyWatch } from './key-watch.ts';
import { enterRequest, leaveRequest, type Place, predecessorRequest } from './queue-requests.ts';

export interface Entrance extends Place {
  readonly lease: bigint;
  /** The store's revision when it entered. */
  readonly atRevision: number;
  /** What was at its key before; null where there was nothing. */
  readonly before: KeyValue | null;
  /** No other was there before. */
  readonly isFirst: boolean;
}

/** What comes between entering and waiting, and after it: each goes on by a method of the contender, or answers the call. */
export interface Steps {
  onEntered(contender: Contender, entrance: Entrance): void;
  onTurn(contender: Contender, entrance: Entrance): void;
}

export interface ContenderOptions {
  readonly context: RpcContext;
  readonly call: ServerCall;
  /** Of the queue. */
  readonly name: Uint8Array;
  /** 0: one is made for it. */
  readonly lease: bigint;
  /** What stands at its key. */
  readonly value?: Uint8Array;
  readonly steps: Steps;
  /** It is over, answered or not. */
  readonly onOver: (contender: Contender) => void;
}

export class Contender implements CallReceiver {
  readonly errand: Errand;
  readonly #options: ContenderOptions;
  readonly #prefix: Uint8Array;
  readonly #value: Uint8Array;
  #entrance: Entrance | null = null;
  #watch: KeyWatch | null = null;
  #hasWaited = false;
  #isOver = false;

  constructor(options: ContenderOptions) {
    const { context, call, name, value = EMPTY_BYTES } = options;
    this.#options = options;
    this.#prefix = queuePrefix(name);
    // A view would keep the chunk of the connection that it came in for as long as the call waits.
    this.#value = new Uint8Array(value);
    this.errand = new Errand(context, call, (error) => this.#onRefused(error));
  }

  get value(): Uint8Array {
    return this.#value;
  }

  begin(): void {
    this.#options.call.receiver = this;
    this.errand.lease(this.#options.lease, (lease) => {
      if (!this.#isOver) this.#enter(lease);
    });
  }

  /** Goes on with {@link Steps.onTurn} when all that came before are gone. */
  waitForTurn(): void {
    const { errand } = this;
    const entrance = this.#entrance;
    if (this.#isOver || entrance === null) return;
    this.#hasWaited = true;
    errand.first(predecessorRequest(this.#prefix, entrance.revision), (before, revision) => {
      if (this.#isOver) return;
      if (before === null) return this.#options.steps.onTurn(this, entrance);
      const goneOn = { key: before.key, rangeEnd: null, startRevision: revision + 1, dropsPuts: true };
      this.#watch = new KeyWatch(errand.member, goneOn, {
        onEvent: ({ type }) => {
          if (type !== EventType.DELETE || this.#watch === null) return;
          this.#stopWatching();
          errand.member.clock.defer(() => this.waitForTurn());
        },
        // So much has been compacted since that the key may have been deleted unseen: look again.
        onCompacted: () => {
          this.#stopWatching();
          errand.member.clock.defer(() => this.waitForTurn());
        },
      });
    });
  }

  /** `answer` is to answer the call; null where its client has not waited for it. */
  finish(answer: (entrance: Entrance) => void): void {
    const entrance = this.#entrance;
    if (this.#isOver || entrance === null) return;
    this.#end();
    answer(entrance);
  }

  /** Ends the call with an error of the recipe, which etcd knows no code for; the place is gone already. */
  fail(message: string): void {
    if (this.#isOver) return;
    this.#end();
    this.#options.call.fail(GrpcCode.Unknown, message);
  }

  /** The member is about to stop, or must not tell any more what it has. */
  stop(reason: RpcError): void {
    if (this.#isOver) return;
    this.#end();
    this.#leaveOwn(() => refuse(this.#options.call, reason));
  }

  onCancel(): void {
    if (this.#isOver) return;
    this.#end();
    this.#leaveOwn(() => {});
  }

  #onRefused(error: RpcError): void {
    if (this.#isOver) return;
    this.#end();
    this.#leave(() => this.#options.call.fail(GrpcCode.Unknown, error.message));
  }

  #enter(lease: bigint): void {
    const key = contenderKey(this.#prefix, lease);
    const request = enterRequest(this.#prefix, key, lease, this.#value);
    this.errand.txn(request, (outcome) => {
      this.#entrance = entranceOf(outcome, key, lease);
      if (this.#isOver) return this.#leaveOwn(() => {});
      this.#options.steps.onEntered(this, this.#entrance);
    });
  }

  /** A place that was there before it came may be a lock that is held, or a leader's: it stays, as in etcd, until it is waited for. */
  #leaveOwn(then: () => void): void {
    const isOwn = this.#hasWaited || this.#entrance?.before === null;
    if (isOwn) this.#leave(then);
    else then();
  }

  #leave(then: () => void): void {
    if (this.#entrance === null) return then();
    this.errand.tidyUp(leaveRequest(this.#entrance), then);
  }

  #end(): void {
    this.#isOver = true;
    this.#stopWatching();
    this.#options.onOver(this);
  }

  #stopWatching(): void {
    this.#watch?.close();
    this.#watch = null;
  }
}

function entranceOf(outcome: TxnOutcome, key: Uint8Array, lease: bigint): Entrance {
  const { succeeded, revision: atRevision, pairs } = outcome;
  const before = succeeded ? null : (pairs[0] ?? null);
  const revision = before === null ? atRevision : before.createRevision;
  const first = pairs[1] ?? null;
  const isFirst = first === null || first.createRevision === revision;
  return { key, revision, lease, atRevision, before, isFirst };
}
