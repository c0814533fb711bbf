/** For tests: what happened to a store, and servers that let it be watched as etcd's do, in batches and fragments of any size. */
import { RPC_ERRORS } from '@etcd/api';
import { ResponseHeader, type WatchCreateRequest, WatchResponse } from '@etcd/api/etcdserverpb';
import { Event, EventType, KeyValue } from '@etcd/api/mvccpb';
import { WatchService } from '@etcd/api/services';
import { compareBytes, type SeededRandom, utf8ToBytes } from '@etcd/base';
import type { FakeServer } from './fake-cluster.ts';

interface Watching {
  readonly id: number;
  readonly request: WatchCreateRequest;
  nextRevision: number;
}

class Session {
  readonly send: (response: WatchResponse) => void;
  readonly watches: Watching[] = [];
  /** Batches and parts of them that are still to be sent. */
  outbox: WatchResponse[] = [];
  nextId = 0;
  isOpen = true;

  constructor(send: (response: WatchResponse) => void) {
    this.send = send;
  }
}

export class FakeHistory {
  /** All events, in order. */
  readonly events: Event[] = [];
  revision = 1;
  compactRevision = 0;
  /** Watches that have been asked for. */
  createCount = 0;
  /** What refuses the next watch; empty for nothing. */
  refusal = '';
  /** Whether progress that was asked for is answered only when the next watch is asked for, just before it. */
  holdsProgress = false;
  readonly #random: SeededRandom;
  readonly #sessions = new Set<Session>();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** Watches that there are now, on all streams. */
  get watchCount(): number {
    return [...this.#sessions].reduce((sum, { watches }) => sum + watches.length, 0);
  }

  /** One revision, with an event for each key. */
  commit(keys: readonly string[], value = ''): void {
    this.revision++;
    for (const [sub, key] of keys.entries()) {
      const type = this.#random.chance(0.2) ? EventType.DELETE : EventType.PUT;
      const kv = new KeyValue({
        key: utf8ToBytes(key),
        modRevision: this.revision,
        version: sub,
        value: utf8ToBytes(value),
      });
      this.events.push(new Event({ type, kv }));
    }
  }

  /** What a watch of `[key, rangeEnd)` from `startRevision` on must see. */
  expected(key: Uint8Array, rangeEnd: Uint8Array, startRevision: number): Event[] {
    return this.events.filter(
      ({ kv }) => kv !== null && kv.modRevision >= startRevision && isInside(kv.key, key, rangeEnd),
    );
  }

  serve(server: FakeServer): void {
    server.bidi(WatchService.methods.watch, (_call, send) => {
      const session = new Session(send);
      this.#sessions.add(session);
      return {
        onRequest: ({ createRequest, cancelRequest, progressRequest }) => {
          if (createRequest !== null) this.#create(session, createRequest);
          if (cancelRequest !== null) this.#cancel(session, Number(cancelRequest.watchId));
          if (progressRequest !== null && !this.holdsProgress) this.#progress(session);
        },
        onCancel: () => {
          session.isOpen = false;
          this.#sessions.delete(session);
        },
      };
    });
  }

  /** Sends some of what is due; all of it when told so. */
  pump(all = false): void {
    for (const session of this.#sessions) {
      for (const watching of session.watches) {
        if (all || this.#random.chance(0.7)) this.#send(session, watching, all);
      }
      const count = all ? session.outbox.length : this.#random.below(session.outbox.length + 1);
      for (const response of session.outbox.splice(0, count)) session.send(response);
    }
  }

  #create(session: Session, request: WatchCreateRequest): void {
    this.createCount++;
    if (this.holdsProgress) session.send(new WatchResponse({ header: this.#header(), watchId: -1n }));
    const header = this.#header();
    const isNegative = request.startRevision < 0;
    if (this.refusal !== '' || isNegative) {
      const cancelReason = isNegative ? RPC_ERRORS.ErrGRPCCompacted.message : this.refusal;
      this.refusal = '';
      session.send(new WatchResponse({ header, watchId: -1n, created: true, canceled: true, cancelReason }));
      return;
    }
    const id = session.nextId++;
    session.send(new WatchResponse({ header, watchId: BigInt(id), created: true }));
    const startRevision = request.startRevision === 0 ? this.revision + 1 : request.startRevision;
    if (startRevision < this.compactRevision) {
      const { compactRevision } = this;
      session.send(new WatchResponse({ header, watchId: BigInt(id), canceled: true, compactRevision }));
      return;
    }
    session.watches.push({ id, request, nextRevision: startRevision });
  }

  #cancel(session: Session, id: number): void {
    const at = session.watches.findIndex((watching) => watching.id === id);
    if (at < 0) return;
    session.watches.splice(at, 1);
    session.send(new WatchResponse({ header: this.#header(), watchId: BigInt(id), canceled: true }));
  }

  #progress(session: Session): void {
    if (
      session.outbox.length === 0 &&
      session.watches.every(({ nextRevision }) => nextRevision > this.revision)
    ) {
      session.send(new WatchResponse({ header: this.#header(), watchId: -1n }));
    }
  }

  #send(session: Session, watching: Watching, all: boolean): void {
    const { id, request } = watching;
    const lastRevision = all
      ? this.revision
      : Math.min(this.revision, watching.nextRevision + this.#random.below(4));
    const due = this.expected(request.key, request.rangeEnd, watching.nextRevision).filter(
      ({ kv }) => (kv?.modRevision ?? 0) <= lastRevision,
    );
    watching.nextRevision = Math.max(watching.nextRevision, lastRevision + 1);
    if (due.length === 0) {
      const isSynced = watching.nextRevision > this.revision && session.outbox.length === 0;
      if (isSynced && request.progressNotify && this.#random.chance(0.3)) {
        session.send(new WatchResponse({ header: this.#header(), watchId: BigInt(id) }));
      }
      return;
    }
    for (let at = 0; at < due.length; ) {
      const count = request.fragment ? 1 + this.#random.below(3) : due.length;
      const events = due.slice(at, at + count);
      at += count;
      const fragment = at < due.length;
      session.outbox.push(
        new WatchResponse({ header: this.#header(), watchId: BigInt(id), events, fragment }),
      );
    }
  }

  #header(): ResponseHeader {
    return new ResponseHeader({ clusterId: 1n, memberId: 2n, revision: this.revision, raftTerm: 3 });
  }
}

function isInside(key: Uint8Array, first: Uint8Array, end: Uint8Array): boolean {
  if (end.length === 0) return compareBytes(key, first) === 0;
  if (compareBytes(key, first) < 0) return false;
  return (end.length === 1 && end[0] === 0) || compareBytes(key, end) < 0;
}
