/** What applying requests other than those of the key-value store answers. Headers are filled at the RPC edge. */
import type { AuthRevision, InternalError, LeaseId, Revision } from '@etcd/api';
import type { AlarmMember } from '@etcd/api/etcdserverpb';
import type { Member } from '@etcd/storage/membership';

/** A compaction has been scheduled, or refused. */
export class CompactionResult {
  readonly error: InternalError | null;
  readonly revision: Revision;
  #isDone = false;
  #onDone: (() => void) | null = null;

  constructor(error: InternalError | null, revision: Revision) {
    this.error = error;
    this.revision = revision;
  }

  /** Calls `then` once what is scheduled is also done: at once if it is. */
  whenDone(then: () => void): void {
    if (this.#isDone) then();
    else this.#onDone = then;
  }

  /** For the applier. */
  finish(): void {
    this.#isDone = true;
    this.#onDone?.();
    this.#onDone = null;
  }
}

export interface LeaseGrantResult {
  readonly id: LeaseId;
  readonly ttl: number;
  readonly revision: Revision;
}

/** What is left of an answer that says nothing but "done". */
export interface DoneResult {
  readonly revision: Revision;
}

/** Of a user that has logged in: what its token is made of. */
export interface AuthenticateResult {
  readonly name: string;
  readonly prefix: string;
  /** That the token names. */
  readonly index: number;
  /** Of the auth store, when this was applied. */
  readonly revision: AuthRevision;
}

export interface AlarmResult {
  readonly alarms: readonly AlarmMember[];
}

/** The members after a configuration change. */
export interface MembersResult {
  readonly members: readonly Member[];
}
