/**
 * The Watch service. A stream's watchers live in the hub; what they are sent is written into the stream with the header of the
 * moment and the watcher's id before the events, which are encoded once for everybody. When the client does not read, the
 * stream pauses its watchers: they fall behind in the hub and are caught up from the store, and nothing piles up here.
 */
import { INTERNAL_ERRORS, type Revision, RPC_ERRORS, type RpcError } from '@etcd/api';
import {
  FilterType,
  type WatchCreateRequest,
  type WatchRequest,
  WatchRequestCodec,
  WatchResponse,
  WatchResponseCodec,
} from '@etcd/api/etcdserverpb';
import { sizeBigInt, writeBigInt } from '@etcd/api/wire';
import { grpcCodeName, type Timer } from '@etcd/base';
import { NO_IDENTITY } from '@etcd/storage/auth';
import { type Slices, Watcher, type WatchSink, type WatchStream } from '@etcd/storage/mvcc';
import type { CallReceiver, PartTrace, ServerCall } from '@etcd/transport';
import { followWatch } from './call-parts.ts';
import { LeaderMonitor } from './leader-monitor.ts';
import type { MemberFacts } from './member.ts';
import type { Call } from './row.ts';
import { decodeRequest, type RpcContext, refuse, send } from './rpc-context.ts';
import { WATCHES_RANGE, watchedKey } from './verdicts.ts';

const { ErrInvalidAuthToken } = INTERNAL_ERRORS.auth;

/** In a response: no watcher. */
const INVALID_ID = -1n;

const WATCH_ID_TAG = 2 << 3;
const FRAGMENT_TAG = 7 << 3;

/** gRPC's own framing and metadata may come on top of the largest request; so may a response's. */
const OVERHEAD_BYTES = 512 * 1024;

export class WatchService {
  readonly context: RpcContext;
  readonly monitor: LeaderMonitor;
  readonly #calls = new Set<ServerCall>();

  constructor(context: RpcContext) {
    this.context = context;
    const { member } = context;
    const hasLeader = (): boolean => member.leader !== 0n;
    this.monitor = new LeaderMonitor(member.clock, member.config.electionTimeoutMs, hasLeader);
  }

  open(call: Call<WatchResponse>): void {
    this.#calls.add(call);
    this.monitor.add(call);
    call.receiver = new WatchCall(call, this);
  }

  get streamCount(): number {
    return this.#calls.size;
  }

  /** Users or roles have changed: what a watcher's owner may not read any more it is not told any more (S01). */
  judgeAgain(): void {
    for (const call of [...this.#calls]) (call.receiver as WatchCall).judgeAgain();
  }

  closed(call: ServerCall): void {
    this.#calls.delete(call);
    this.monitor.remove(call);
  }

  /** Ends all streams: the member is about to stop, or must not tell any more what it has. */
  stop(reason: RpcError = RPC_ERRORS.ErrGRPCStopped): void {
    this.monitor.stop();
    for (const call of [...this.#calls]) {
      refuse(call, reason);
      call.receiver?.onCancel?.(call);
    }
  }
}

/** What a client asked of a watcher that is not the hub's business. */
interface Wishes {
  readonly fragments: boolean;
  /** Whose it is; of somebody without a name, or of a time without authentication: nobody's. */
  readonly owner: string;
  /** Whether progress is reported from time to time. */
  readonly notifies: boolean;
  /** Nothing was sent since the last time. */
  isIdle: boolean;
  /** Who follows the watcher, if anybody does. */
  readonly part: PartTrace | null;
}

class WatchCall implements CallReceiver, WatchSink {
  readonly #call: Call<WatchResponse>;
  readonly #service: WatchService;
  readonly #member: MemberFacts;
  readonly #stream: WatchStream;
  readonly #wishes = new Map<Watcher, Wishes>();
  readonly #fragmentBytes: number;
  #progressTimer: Timer | null = null;
  #isClosed = false;

  constructor(call: Call<WatchResponse>, service: WatchService) {
    this.#call = call;
    this.#service = service;
    this.#member = service.context.member;
    this.#stream = this.#member.watches.newStream(this);
    this.#fragmentBytes = this.#member.config.maxRequestBytes + OVERHEAD_BYTES;
  }

  // --- the client's side

  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, WatchRequestCodec, bytes, start, end);
    if (request === null) {
      this.#member.metrics.handles.serverStreamFailuresTotal.labels('receive', 'watch').inc();
      return this.#close();
    }
    const { createRequest } = request;
    if (createRequest !== null) this.#judgeAndCreate(request, createRequest);
    else if (request.cancelRequest !== null) this.#cancel(request.cancelRequest.watchId);
    else if (request.progressRequest !== null) this.#stream.requestProgressAll();
    else this.#member.logger.info('invalid watch request type received in gRPC stream');
  }

  onWritable(): void {
    if (!this.#isClosed) this.#stream.resume();
  }

  onCancel(): void {
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#progressTimer?.cancel();
    this.#service.closed(this.#call);
    // The connection may have broken while the hub was writing to it.
    this.#member.clock.defer(() => this.#stream.close());
  }

  #judgeAndCreate(request: WatchRequest, createRequest: WatchCreateRequest): void {
    const { context } = this.#service;
    const identity = context.access.isEnabled ? context.callers.identify(this.#call) : NO_IDENTITY;
    const refusal =
      identity === null ? ErrInvalidAuthToken : context.judgeRead(WATCHES_RANGE, identity, request);
    if (identity === null) context.refused.badToken(this.#call);
    if (identity === null || refusal !== null) return this.#refuse(refusal!.rpc);
    this.#create(createRequest, identity.name);
  }

  judgeAgain(): void {
    const { access } = this.#service.context;
    if (!access.isEnabled) return;
    const { revision } = this.#member.auth;
    for (const [watcher, { owner }] of [...this.#wishes]) {
      const identity = owner === '' ? NO_IDENTITY : { name: owner, revision };
      const refusal = access.range(identity, Buffer.from(watcher.key, 'latin1'), rangeEndOf(watcher));
      if (refusal !== null) this.#cancel(watcher.id, cancelReasonOf(refusal.rpc));
    }
  }

  #create(request: WatchCreateRequest, owner: string): void {
    if (request.startRevision < 0) return this.#refuseWith(RPC_ERRORS.ErrGRPCCompacted.message);
    const { rangeEnd, filters } = request;
    const toTheEnd = rangeEnd.length === 1 && rangeEnd[0] === 0;
    const created = this.#stream.watch({
      id: request.watchId,
      key: watchedKey(request),
      end: rangeEnd.length === 0 ? null : toTheEnd ? NO_BYTES : rangeEnd,
      startRevision: request.startRevision,
      dropsPuts: filters.includes(FilterType.NOPUT),
      dropsDeletes: filters.includes(FilterType.NODELETE),
      wantsPrevKv: request.prevKv,
    });
    if (!(created instanceof Watcher)) return this.#refuseWith(created.message);
    this.#wishes.set(created, {
      owner,
      fragments: request.fragment,
      notifies: request.progressNotify,
      isIdle: true,
      part: this.#call.trace === null ? null : followWatch(this.#call.trace, request),
    });
    if (request.progressNotify) this.#scheduleProgress();
    this.#send(new WatchResponse({ header: this.#header(), watchId: created.id, created: true }));
  }

  #refuse(error: RpcError): void {
    this.#refuseWith(cancelReasonOf(error));
  }

  #refuseWith(cancelReason: string): void {
    const header = this.#header();
    this.#send(
      new WatchResponse({ header, watchId: INVALID_ID, created: true, canceled: true, cancelReason }),
    );
  }

  #cancel(watchId: bigint, cancelReason = ''): void {
    const watcher = this.#stream.watcher(watchId);
    if (watcher === null) return;
    this.#stream.cancel(watchId);
    this.#forget(watcher);
    this.#send(new WatchResponse({ header: this.#header(), watchId, canceled: true, cancelReason }));
  }

  #forget(watcher: Watcher): void {
    this.#wishes.get(watcher)?.part?.end();
    this.#wishes.delete(watcher);
  }

  #header(): WatchResponse['header'] {
    return this.#service.context.header.header(this.#member.store.revision);
  }

  /** Answers to the client's own requests, which it makes few of; they don't wait for room. */
  #send(response: WatchResponse): void {
    send(this.#call, WatchResponseCodec, response);
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (!this.#call.hasRoom) this.#stream.pause();
  }

  // --- the hub's side

  sendEvents(watcher: Watcher, events: Slices, revision: Revision): void {
    if (this.#isClosed) return;
    const wishes = this.#wishes.get(watcher)!;
    wishes.isIdle = false;
    this.#member.metrics.handles.eventsTotal.value += events.count;
    if (wishes.fragments && events.count > 1 && events.bytes >= this.#fragmentBytes) {
      this.#sendFragments(watcher.id, events, revision);
    } else {
      this.#sendPart(watcher.id, events, 0, events.count, events.bytes, revision, false);
    }
    this.#pauseIfFull();
  }

  sendProgress(watcher: Watcher | null, revision: Revision): void {
    if (this.#isClosed) return;
    this.#sendPart(watcher === null ? INVALID_ID : watcher.id, null, 0, 0, 0, revision, false);
    this.#pauseIfFull();
  }

  sendCompacted(watcher: Watcher, compactRevision: Revision): void {
    if (this.#isClosed) return;
    this.#forget(watcher);
    const header = this.#service.context.header.header(0);
    this.#send(new WatchResponse({ header, watchId: watcher.id, canceled: true, compactRevision }));
  }

  /** Splits the events of one response; only the last part tells that it is the last. */
  #sendFragments(watchId: bigint, events: Slices, revision: Revision): void {
    let from = 0;
    while (from < events.count) {
      let to = from;
      let bytes = 0;
      while (to < events.count) {
        const next = events.end(to) - events.start(to);
        if (to > from && bytes + next >= this.#fragmentBytes) break;
        bytes += next;
        to++;
      }
      this.#sendPart(watchId, events, from, to, bytes, revision, to < events.count);
      from = to;
    }
  }

  /** Writes a response of header, id and events [from, to) in place. */
  #sendPart(
    watchId: bigint,
    events: Slices | null,
    from: number,
    to: number,
    eventBytes: number,
    revision: Revision,
    isFragment: boolean,
  ): void {
    const call = this.#call;
    const { header } = this.#service.context;
    const idBytes = watchId === 0n ? 0 : 1 + sizeBigInt(watchId);
    let position = call.reserveMessage(header.size(revision) + idBytes + (isFragment ? 2 : 0) + eventBytes);
    const target = call.output;
    position = header.write(target, position, revision);
    if (watchId !== 0n) {
      target[position++] = WATCH_ID_TAG;
      position = writeBigInt(target, position, watchId);
    }
    if (isFragment) {
      target[position++] = FRAGMENT_TAG;
      target[position++] = 1;
    }
    for (let i = from; i < to; i++) position = copyItem(events!, i, target, position);
  }

  // --- progress

  #scheduleProgress(): void {
    if (this.#progressTimer !== null) return;
    const { clock, config, random } = this.#member;
    const intervalMs = config.watchProgressNotifyIntervalMs;
    // Streams that were opened together, as after a reconnect, should not all be written to together.
    const jitterMs = random.below(Math.max(1, Math.ceil(intervalMs / 10)));
    const tick = (): void => {
      for (const [watcher, wishes] of this.#wishes) {
        if (!wishes.notifies) continue;
        if (wishes.isIdle) this.#stream.requestProgress(watcher);
        wishes.isIdle = true;
      }
      if (!this.#isClosed) this.#progressTimer = clock.setTimer(intervalMs + jitterMs, tick);
    };
    this.#progressTimer = clock.setTimer(intervalMs + jitterMs, tick);
  }
}

/** As Go's gRPC prints an error. */
function cancelReasonOf({ code, message }: RpcError): string {
  return `rpc error: code = ${grpcCodeName(code)} desc = ${message}`;
}

/** As a client would write the end of what the watcher watches. */
function rangeEndOf({ end }: Watcher): Uint8Array {
  if (end === null) return NO_BYTES;
  return end.length === 0 ? NO_BOUND : Buffer.from(end, 'latin1');
}

const NO_BOUND = new Uint8Array(1);
const NO_BYTES = new Uint8Array(0);
/** Shorter events are copied faster by hand than by a call. */
const MAX_HAND_COPIED_BYTES = 48;

/** The item that was copied last: the next watcher is mostly sent the same, and a view costs more than the copy. */
let lastBuffer: Uint8Array = NO_BYTES;
let lastStart = 0;
let lastEnd = 0;
let lastItem: Uint8Array = NO_BYTES;

function copyItem(items: Slices, index: number, target: Uint8Array, position: number): number {
  const buffer = items.buffer(index);
  const start = items.start(index);
  const end = items.end(index);
  if (end - start <= MAX_HAND_COPIED_BYTES) {
    for (let at = start; at < end; at++) target[position++] = buffer[at]!;
    return position;
  }
  if (buffer !== lastBuffer || start !== lastStart || end !== lastEnd) {
    lastBuffer = buffer;
    lastStart = start;
    lastEnd = end;
    lastItem = buffer.subarray(start, end);
  }
  target.set(lastItem, position);
  return position + end - start;
}
