/**
 * A client that is told who leads: now, and whenever somebody comes to lead or says something new. A client that reads slowly is not
 * told all that was said, but always what is said last.
 */
import { prefixEnd, type Revision, RPC_ERRORS, type RpcError } from '@etcd/api';
import { EventType, type KeyValue } from '@etcd/api/mvccpb';
import { LeaderResponse, LeaderResponseCodec } from '@etcd/api/v3electionpb';
import type { CallReceiver } from '@etcd/transport';
import type { Call } from '../row.ts';
import { type RpcContext, refuse, send } from '../rpc-context.ts';
import { Errand } from './errand.ts';
import { KeyWatch, type KeyWatchOptions } from './key-watch.ts';
import { firstRequest } from './queue-requests.ts';

export class Observation implements CallReceiver {
  readonly #context: RpcContext;
  readonly #call: Call<LeaderResponse>;
  readonly #prefix: Uint8Array;
  readonly #errand: Errand;
  readonly #onOver: (observation: Observation) => void;
  #watch: KeyWatch | null = null;
  #isOver = false;

  constructor(
    context: RpcContext,
    call: Call<LeaderResponse>,
    prefix: Uint8Array,
    onOver: (observation: Observation) => void,
  ) {
    this.#context = context;
    this.#call = call;
    this.#prefix = prefix;
    this.#onOver = onOver;
    // Whoever can't be told is told nothing, as by etcd: his stream ends as if there were no more.
    this.#errand = new Errand(context, call, () => {
      this.#end();
      call.end();
    });
  }

  begin(): void {
    this.#call.receiver = this;
    this.#look();
  }

  stop(reason: RpcError): void {
    this.#end();
    refuse(this.#call, reason);
  }

  onWritable(): void {
    this.#watch?.resume();
  }

  onCancel(): void {
    this.#end();
  }

  /** Who leads; where nobody does, who is the first to come. */
  readonly #look = (): void => {
    this.#errand.first(firstRequest(this.#prefix), (leader, revision) => {
      if (this.#isOver) return;
      if (leader === null) return this.#awaitLeader(revision);
      if (this.#tell(leader, revision)) this.#follow(leader.key, revision + 1);
    });
  };

  #awaitLeader(revision: Revision): void {
    const rangeEnd = prefixEnd(this.#prefix);
    const coming = { key: this.#prefix, rangeEnd, startRevision: revision + 1, dropsDeletes: true };
    this.#watchFor(coming, ({ kv }) => {
      this.#stopWatching();
      if (kv === null || !this.#tell(kv, kv.modRevision)) return;
      this.#errand.member.clock.defer(() => this.#follow(kv.key, kv.modRevision + 1));
    });
  }

  /** What a leader says until it leads no more. */
  #follow(key: Uint8Array, startRevision: Revision): void {
    if (this.#isOver) return;
    this.#watchFor({ key, rangeEnd: null, startRevision }, ({ type, kv }, revision) => {
      if (type === EventType.DELETE) this.#lookAgain();
      else if (kv !== null) this.#tell(kv, revision);
    });
    if (!this.#call.hasRoom) this.#watch?.pause();
  }

  #watchFor(
    options: KeyWatchOptions,
    onEvent: (event: { readonly type: number; readonly kv: KeyValue | null }, revision: Revision) => void,
  ): void {
    this.#watch = new KeyWatch(this.#errand.member, options, {
      onEvent,
      onCompacted: () => this.#lookAgain(),
    });
  }

  #lookAgain(): void {
    this.#stopWatching();
    this.#errand.member.clock.defer(this.#look);
  }

  /** False: the call is over. What may not be read any more is not told (S01). */
  #tell(kv: KeyValue, revision: Revision): boolean {
    if (!this.#errand.mayRead(kv.key)) {
      this.#end();
      return refuse(this.#call, RPC_ERRORS.ErrGRPCPermissionDenied);
    }
    const header = this.#context.header.header(revision);
    send(this.#call, LeaderResponseCodec, new LeaderResponse({ header, kv }));
    if (!this.#call.hasRoom) this.#watch?.pause();
    return true;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    this.#onOver(this);
  }

  #stopWatching(): void {
    this.#watch?.close();
    this.#watch = null;
  }
}
