/**
 * What a part of the network has around it, on simulated time: a host that keeps what it is told, calls that wait for the test to
 * answer them, and connections whose other end is the test.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Message, MessageType, Message as RaftMessage, Snapshot } from '@etcd/api/raftpb';
import { DiskError, type EtcdUrl } from '@etcd/base';
import { createLogger, MemorySink } from '@etcd/host/logging';
import type { Dialer } from '@etcd/host/net';
import type { DbReceiver } from '@etcd/storage/snap';
import { SimClock } from '@etcd/testing';
import { createHandles } from '../../metrics/metric-table.ts';
import { BlockPool } from '../chunk-writer.ts';
import type { HttpCall, HttpCallDone, HttpCaller, OpenCall } from '../http-caller.ts';
import { LineLimiter } from '../line-limiter.ts';
import type { Flushable, PeerEnvironment } from '../peer-environment.ts';
import type { PeerHost, PeerResponse } from '../peer-network.ts';
import { parsePeerUrls } from '../url-picker.ts';

export const LOCAL = 0xan;
export const REMOTE = 0xbn;
export const DIAL_TIMEOUT_MS = 1500;

export function peerUrls(...texts: readonly string[]): readonly EtcdUrl[] {
  return parsePeerUrls(texts)!;
}

export function responseOf(status: number, body = '', headers: Record<string, string> = {}): PeerResponse {
  return { status, body: Buffer.from(body), headers };
}

export function heartbeat(): Message {
  return new RaftMessage({ type: MessageType.MsgHeartbeat, from: LOCAL, to: REMOTE, term: 3 });
}

/** A MsgSnap from the other member, whole or as far as it is asked for. */
export function snapshotMessage(from = REMOTE, to = LOCAL): Message {
  const snapshot = new Snapshot({ data: Buffer.from('{}') });
  snapshot.metadata.index = 7;
  snapshot.metadata.term = 1;
  return new RaftMessage({ type: MessageType.MsgSnap, from, to, term: 1, snapshot });
}

/** A connection, or an answer, that does what the test says. */
export class FakeConnection extends EventEmitter {
  written = Buffer.alloc(0);
  isDestroyed = false;
  isEnded = false;
  writableFinished = false;
  readonly #waiting: (((error?: Error | null) => void) | undefined)[] = [];

  /** As `net.Socket` and as `http.ServerResponse`. */
  asSocket(): Socket {
    return this as EventEmitter as Socket;
  }

  asResponse(): ServerResponse {
    return this as EventEmitter as ServerResponse;
  }

  asRequest(): IncomingMessage {
    return this as EventEmitter as IncomingMessage;
  }

  get writableEnded(): boolean {
    return this.isEnded;
  }

  write(bytes: Uint8Array | string, done?: (error?: Error | null) => void): boolean {
    this.written = Buffer.concat([this.written, Buffer.from(bytes)]);
    this.#waiting.push(done);
    return true;
  }

  /** The kernel has the oldest `count` writes. */
  take(count = Number.POSITIVE_INFINITY, error: Error | null = null): void {
    for (const done of this.#waiting.splice(0, count)) done?.(error);
  }

  end(): void {
    this.isEnded = true;
  }

  pause(): void {
    this.emit('paused');
  }

  resume(): void {
    this.emit('resumed');
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

/** A call that has been made and not been answered. */
export class FakeCall implements OpenCall {
  readonly call: HttpCall;
  readonly connection = new FakeConnection();
  isOver = false;
  readonly #done: HttpCallDone;

  constructor(call: HttpCall, done: HttpCallDone) {
    this.call = call;
    this.#done = done;
  }

  get request(): OpenCall['request'] {
    return this.connection as EventEmitter as OpenCall['request'];
  }

  answer(response: PeerResponse | null, reason = ''): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#done(response, reason);
  }

  cancel(reason: string): void {
    this.answer(null, reason);
  }
}

class FakeReceiver implements Pick<DbReceiver, 'write' | 'finish' | 'abort'> {
  bytes = Buffer.alloc(0);
  isFinished = false;
  isAborted = false;
  problem: DiskError | null = null;
  /** Of the write, or of the finish, that is under way. */
  #done: ((error: DiskError | null) => void) | null = null;

  write(chunk: Uint8Array, done: (error: DiskError | null) => void): void {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    this.#done = done;
  }

  finish(done: (error: DiskError | null) => void): void {
    this.isFinished = true;
    this.#done = done;
  }

  abort(): void {
    this.isAborted = true;
  }

  /** The disk has done what it was asked for. */
  complete(): void {
    const done = this.#done;
    this.#done = null;
    done?.(this.problem);
  }
}

export class PeerWorld implements PeerEnvironment {
  readonly clock = new SimClock();
  readonly sink = new MemorySink();
  readonly logger = createLogger({ level: 'debug', sink: this.sink, clock: this.clock });
  readonly metrics = createHandles();
  readonly self = { memberId: LOCAL, clusterId: 0xc1n, peerUrls: ['http://a:2380', 'http://aa:2380'] };
  readonly lines = new LineLimiter(this.clock, this.logger);
  readonly dialTimeoutMs = DIAL_TIMEOUT_MS;
  readonly pool = new BlockPool();
  /** What the host was told, in words. */
  readonly told: string[] = [];
  readonly received: Message[] = [];
  readonly calls: FakeCall[] = [];
  readonly dialled: { readonly url: string; readonly connection: FakeConnection }[] = [];
  readonly receiver = new FakeReceiver();
  hasDisk = true;
  flushes = 0;
  #onBytes: ((buffer: Uint8Array, length: number) => void)[] = [];

  readonly caller = {
    call: (call: HttpCall, done: HttpCallDone): OpenCall => {
      const made = new FakeCall(call, done);
      this.calls.push(made);
      return made;
    },
  } as Pick<HttpCaller, 'call'> as HttpCaller;

  readonly dialer: Dialer = {
    connect: () => new FakeConnection().asSocket(),
    connectStream: (url, onBytes) => {
      const connection = new FakeConnection();
      this.dialled.push({ url: url.text, connection });
      this.#onBytes.push(onBytes);
      return connection.asSocket();
    },
  };

  readonly host: PeerHost = {
    memberId: LOCAL,
    clusterId: 0xc1n,
    receive: (message) => void this.received.push(message),
    receiveSnapshot: () =>
      this.hasDisk
        ? (this.receiver as Pick<DbReceiver, 'write' | 'finish' | 'abort'> as DbReceiver)
        : new DiskError('ENOSPC', '/snap/tmp-0', 'ENOSPC: no space left on device'),
    isRemoved: () => false,
    reportUnreachable: (id) => void this.told.push(`unreachable ${id.toString(16)}`),
    reportSnapshot: (id, isDelivered) => void this.told.push(`snapshot ${id.toString(16)} ${isDelivered}`),
    onPeerGone: (id) => void this.told.push(`gone ${id.toString(16)}`),
    onRemovedFromCluster: () => void this.told.push('removed'),
    onRequest: () => {},
  };

  // Taken out of the environment by those who use them, so bound to it.
  readonly flushLater = (writer: Flushable): void =>
    this.clock.defer(() => {
      this.flushes++;
      writer.flush();
    });
  readonly reportUnreachable = (id: bigint): void => this.host.reportUnreachable(id);
  readonly onRemoved = (): void => this.host.onRemovedFromCluster();

  /** Calls that wait for an answer. */
  get open(): FakeCall[] {
    return this.calls.filter(({ isOver }) => !isOver);
  }

  logged(text: string): string[] {
    return this.sink.lines().filter((line) => line.includes(text));
  }

  /** What was told since the last time. */
  takeTold(): string[] {
    return this.told.splice(0);
  }

  /** The connection that was dialled last. */
  get connection(): FakeConnection {
    return this.dialled.at(-1)!.connection;
  }

  /** Bytes come on a connection, by default on the one that was dialled last. */
  arrive(bytes: Uint8Array | string, index: number = this.dialled.length - 1): void {
    const copy = Buffer.from(bytes);
    this.#onBytes[index]!(copy, copy.length);
  }
}
