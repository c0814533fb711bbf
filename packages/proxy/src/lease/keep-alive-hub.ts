/**
 * Renewals of leases: equal callers share a stream to a member, and those who renew the same lease at the same time share the renewal. An
 * answer that is no older than a small share of the lease's life is given again without asking.
 */
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import {
  decodeLeaseKeepAliveRequest,
  decodeLeaseKeepAliveResponse,
  encodeLeaseKeepAliveRequest,
  LeaseKeepAliveRequest,
} from '@etcd/api/etcdserverpb';
import { LeaseService } from '@etcd/api/services';
import { GrpcCode, type Timer } from '@etcd/base';
import type { CallReceiver, ClientCall, ClientReceiver, GrpcChannel, ServerCall } from '@etcd/transport';
import { decodeProblem } from '../kv/kv-backend.ts';
import type { Caller } from '../upstream/caller.ts';
import type { Cancelable, Upstream } from '../upstream/upstream.ts';

const { path } = LeaseService.methods.leaseKeepAlive;
/** Renewals of one client that may be under way; with more its stream is not read. */
const MAX_UNDER_WAY = 1000;
const MAX_FRESH_MS = 500;
const FRESH_SHARE = 1 / 20;
/** Answers that are kept for being given again. */
const MAX_FRESH = 10_000;
const SECOND_MS = 1000;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
/** How long the stream to a member stays when nobody renews. */
const IDLE_MS = 60_000;
/** Streams to members; with more, one that is idle is given up. */
const MAX_STREAMS = 1000;
const TOO_MANY = 'etcd grpc-proxy: too many callers renew leases at the same time';

export class KeepAliveHub {
  readonly #upstream: Upstream;
  readonly #streams = new Map<string, UpstreamKeepAlive>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  open(call: ServerCall, caller: Caller): void {
    call.receiver = new ClientKeepAlive(call, () => this.#stream(caller));
  }

  /** Streams to members. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Leases have been revoked: what was answered before is not true any more. */
  forget(): void {
    for (const stream of this.#streams.values()) stream.forget();
  }

  close(): void {
    for (const stream of [...this.#streams.values()]) stream.close(GrpcCode.Unavailable, 'the proxy stops');
  }

  /** Null when there are too many. */
  #stream(caller: Caller): UpstreamKeepAlive | null {
    const known = this.#streams.get(caller.key);
    if (known !== undefined) return known;
    if (this.#streams.size >= MAX_STREAMS) {
      const idle = firstIdle(this.#streams.values());
      if (idle === undefined) return null;
      idle.close(GrpcCode.OK, '');
    }
    const stream = new UpstreamKeepAlive(this.#upstream, caller, () => this.#streams.delete(caller.key));
    this.#streams.set(caller.key, stream);
    return stream;
  }
}

/** A client's stream. */
class ClientKeepAlive implements CallReceiver {
  readonly #call: ServerCall;
  readonly #stream: () => UpstreamKeepAlive | null;
  #underWay = 0;
  #isHalfClosed = false;

  constructor(call: ServerCall, stream: () => UpstreamKeepAlive | null) {
    this.#call = call;
    this.#stream = stream;
  }

  get isAlive(): boolean {
    return this.#call.isAlive;
  }

  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    let id: bigint;
    try {
      id = decodeLeaseKeepAliveRequest(bytes, start, end).id;
    } catch (error) {
      const { code, message } = decodeProblem(error);
      return call.end(code, message);
    }
    const stream = this.#stream();
    if (stream === null) return this.fail(GrpcCode.ResourceExhausted, TOO_MANY);
    this.#underWay++;
    stream.renew(id, this);
    if (this.#underWay >= MAX_UNDER_WAY || !call.hasRoom) call.pause();
  }

  onWritable(): void {
    if (this.#underWay < MAX_UNDER_WAY) this.#call.resume();
  }

  answer(message: Uint8Array): void {
    this.#underWay--;
    const hasRoom = this.#call.write(message, 0, message.length);
    if (this.#isHalfClosed && this.#underWay === 0) this.#call.end(GrpcCode.OK);
    else if (hasRoom && this.#underWay < MAX_UNDER_WAY) this.#call.resume();
  }

  fail(code: number, message: string): void {
    this.#call.end(code, message);
  }

  /** A client that has said its last waits for its answers, no longer. */
  onHalfClose(): void {
    this.#isHalfClosed = true;
    if (this.#underWay === 0) this.#call.end(GrpcCode.OK);
  }
}

interface Renewal {
  readonly waiters: ClientKeepAlive[];
}

interface FreshAnswer {
  readonly message: Uint8Array;
  readonly untilMs: number;
}

/** The stream to a member. */
class UpstreamKeepAlive implements ClientReceiver {
  readonly #upstream: Upstream;
  readonly #caller: Caller;
  readonly #onGone: () => void;
  /** By lease. */
  readonly #underWay = new Map<bigint, Renewal>();
  readonly #fresh = new Map<bigint, FreshAnswer>();
  #call: ClientCall | null = null;
  #opening: Cancelable | null = null;
  #timer: Timer | null = null;
  #pauseMs = 0;
  #isClosed = false;

  constructor(upstream: Upstream, caller: Caller, onGone: () => void) {
    this.#upstream = upstream;
    this.#caller = caller;
    this.#onGone = onGone;
  }

  /** Nobody waits for an answer. */
  get isIdle(): boolean {
    return this.#underWay.size === 0;
  }

  renew(id: bigint, client: ClientKeepAlive): void {
    const fresh = this.#fresh.get(id);
    if (fresh !== undefined && this.#upstream.clock.now() < fresh.untilMs)
      return client.answer(fresh.message);
    const underWay = this.#underWay.get(id);
    if (underWay !== undefined) {
      underWay.waiters.push(client);
      return;
    }
    this.#underWay.set(id, { waiters: [client] });
    if (this.#call === null) this.#open();
    else this.#send(id);
  }

  forget(): void {
    this.#fresh.clear();
  }

  close(code: number, message: string): void {
    this.#isClosed = true;
    this.#opening?.cancel();
    this.#timer?.cancel();
    const call = this.#call;
    this.#call = null;
    call?.cancel();
    this.#onGone();
    const clients = new Set([...this.#underWay.values()].flatMap(({ waiters }) => waiters));
    this.#underWay.clear();
    for (const client of clients) client.fail(code, message);
  }

  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (call !== this.#call) return;
    this.#pauseMs = 0;
    const message = Buffer.from(bytes.subarray(start, end));
    const { id, ttl } = decodeLeaseKeepAliveResponse(message);
    const renewal = this.#underWay.get(id);
    this.#underWay.delete(id);
    if (ttl > 0) this.#keep(id, message, ttl);
    for (const client of renewal?.waiters ?? []) client.answer(message);
    this.#closeWhenIdle();
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (call !== this.#call) return;
    this.#call = null;
    this.#onLost(code, message);
  }

  #keep(id: bigint, message: Uint8Array, ttlSeconds: number): void {
    if (this.#fresh.size >= MAX_FRESH) this.#fresh.clear();
    const forMs = Math.min(MAX_FRESH_MS, ttlSeconds * SECOND_MS * FRESH_SHARE);
    this.#fresh.set(id, { message, untilMs: this.#upstream.clock.now() + forMs });
  }

  #open(): void {
    if (this.#isClosed || this.#opening !== null) return;
    this.#timer?.cancel();
    this.#timer = null;
    const opening = this.#upstream.acquire(Number.POSITIVE_INFINITY, (channel, reason) => {
      this.#opening = null;
      if (this.#isClosed) return;
      if (channel === null) this.#onLost(GrpcCode.Unavailable, reason);
      else this.#begin(channel);
    });
    if (this.#call === null) this.#opening = opening;
  }

  #begin(channel: GrpcChannel): void {
    this.#call = channel.call(path, this, { metadata: this.#caller.metadata });
    // A renewal more does no harm.
    for (const id of this.#underWay.keys()) this.#send(id);
  }

  #onLost(code: number, message: string): void {
    this.#fresh.clear();
    for (const [id, { waiters }] of this.#underWay) {
      if (!waiters.some(({ isAlive }) => isAlive)) this.#underWay.delete(id);
    }
    if (this.#underWay.size === 0 || !this.#mayReturn(code, message)) return this.close(code, message);
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2));
    this.#timer = this.#upstream.clock.setTimer(pauseMs, () => this.#open());
  }

  #mayReturn(code: number, message: string): boolean {
    const { entry } = EtcdError.fromStatus(code, message);
    if (this.#caller.requiresLeader && entry === RPC_ERRORS.ErrGRPCNoLeader) return false;
    return code === GrpcCode.Unavailable || code === GrpcCode.Canceled || code === GrpcCode.Internal;
  }

  #closeWhenIdle(): void {
    if (this.#underWay.size > 0) return;
    this.#timer?.cancel();
    this.#timer = this.#upstream.clock.setTimer(IDLE_MS, () => {
      if (this.#underWay.size === 0) this.close(GrpcCode.OK, '');
    });
  }

  #send(id: bigint): void {
    this.#call?.write(encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id })));
  }
}

function firstIdle(streams: Iterable<UpstreamKeepAlive>): UpstreamKeepAlive | undefined {
  for (const stream of streams) if (stream.isIdle) return stream;
  return undefined;
}
