/** For tests: a server on simulated time, and raw peers or channels that are connected with it in memory. */
import type { Clock } from '@etcd/base';
import { type MemoryDuplexOptions, memoryDuplexPair } from '../duplex/memory-duplex.ts';
import { GrpcChannel, type GrpcChannelOptions } from '../grpc/grpc-channel.ts';
import { GrpcServer, type GrpcServerOptions } from '../grpc/grpc-server.ts';
import type { CallReceiver, ServerCall } from '../grpc/server-call.ts';
import { RawPeer } from './raw-peer.ts';

/** What a simulated clock has beyond {@link Clock}. */
export interface SteppedClock extends Clock {
  settle(): void;
  advance(durationMs: number): void;
}

/** Notes what a call hears. */
class NotingReceiver implements CallReceiver {
  readonly messages: string[] = [];
  halfClosedCount = 0;
  cancelCount = 0;
  writableCount = 0;
  echo = false;

  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    this.messages.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
    if (this.echo) call.write(bytes, start, end);
  }

  onHalfClose(call: ServerCall): void {
    this.halfClosedCount++;
    if (this.echo) call.end();
  }

  onCancel(): void {
    this.cancelCount++;
  }

  onWritable(): void {
    this.writableCount++;
  }
}

export class SimServer {
  readonly clock: SteppedClock;
  readonly server: GrpcServer;
  /** Calls of `/test.S/Later`, which is not answered by itself. */
  readonly pending: ServerCall[] = [];
  /** Stream calls, in the order of their beginning. */
  readonly streams: ServerCall[] = [];
  readonly receivers: NotingReceiver[] = [];
  readonly closeReasons: string[] = [];
  echoStreams = true;

  constructor(clock: SteppedClock, options: Partial<GrpcServerOptions> = {}) {
    this.clock = clock;
    this.server = new GrpcServer({
      clock,
      onConnectionClosed: (_info, reason) => this.closeReasons.push(reason),
      ...options,
    });
    this.server.unary('/test.S/Echo', (call, bytes, start, end) => call.respond(bytes, start, end));
    this.server.unary('/test.S/Later', (call) => {
      call.receiver = this.#receiver();
      this.pending.push(call);
    });
    const onCall = (call: ServerCall): void => {
      call.receiver = this.#receiver();
      this.streams.push(call);
    };
    this.server.bidi('/test.S/Bidi', onCall);
    this.server.clientStream('/test.S/Collect', onCall);
    this.server.serverStream('/test.S/List', (call, bytes, start, end) => {
      onCall(call);
      call.write(bytes, start, end);
    });
  }

  #receiver(): NotingReceiver {
    const receiver = new NotingReceiver();
    receiver.echo = this.echoStreams;
    this.receivers.push(receiver);
    return receiver;
  }

  /** A connection whose other end is a raw peer; its preface has been exchanged unless told otherwise. */
  connect(options: Partial<MemoryDuplexOptions> & { noPreface?: boolean } = {}): RawPeer {
    const [ours, theirs] = memoryDuplexPair({ clock: this.clock, ...options });
    this.server.accept(ours);
    const peer = new RawPeer(theirs);
    if (options.noPreface !== true) peer.preface();
    this.clock.settle();
    return peer;
  }

  /** A connection whose other end is a channel. */
  channel(
    duplexOptions: Partial<MemoryDuplexOptions> = {},
    options: Partial<GrpcChannelOptions> = {},
  ): GrpcChannel {
    const [ours, theirs] = memoryDuplexPair({ clock: this.clock, ...duplexOptions });
    this.server.accept(ours);
    return new GrpcChannel(theirs, { clock: this.clock, authority: 'test', ...options });
  }
}
