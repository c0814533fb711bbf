/**
 * For tests: servers in memory on simulated time, whose answers a test scripts, and clients that are connected with them. Connections
 * can be cut at any moment.
 */
import type { Method, MethodKind } from '@etcd/api';
import { type Clock, SeededRandom } from '@etcd/base';
import {
  type Duplex,
  type DuplexReceiver,
  GrpcServer,
  memoryDuplexPair,
  type ServerCall,
} from '@etcd/transport';
import { EtcdClient } from '../client.ts';
import type { Endpoint } from '../endpoint.ts';
import type { ClientEvent, ClientOptions } from '../options.ts';

/** What a simulated clock has beyond {@link Clock}. */
export interface SteppedClock extends Clock {
  settle(): void;
  advance(durationMs: number): void;
}

/** Steps of simulated time between which promises get their turn. */
const STEP_MS = 5;

/** A server's end of a connection, which may fall silent. */
class FreezableDuplex implements Duplex {
  readonly #inner: Duplex;
  #isFrozen = false;

  constructor(inner: Duplex) {
    this.#inner = inner;
  }

  freeze(): void {
    this.#isFrozen = true;
    this.#inner.pause();
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes;
  }

  get writesParts(): boolean {
    return this.#inner.writesParts;
  }

  open(receiver: DuplexReceiver): void {
    this.#inner.open(receiver);
  }

  write(parts: readonly Uint8Array[]): void {
    if (!this.#isFrozen) this.#inner.write(parts);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    if (!this.#isFrozen) this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(): void {
    this.#inner.destroy();
  }
}

export class FakeServer {
  readonly name: string;
  readonly #clock: Clock;
  #grpc: GrpcServer;
  #ends: FreezableDuplex[] = [];
  readonly #handlers: ((grpc: GrpcServer) => void)[] = [];
  isUp = true;
  connectionCount = 0;
  /** Calls that a connection may have open at once; for connections to come. */
  maxConcurrentStreams = 1000;

  constructor(name: string, clock: Clock) {
    this.name = name;
    this.#clock = clock;
    this.#grpc = new GrpcServer({ clock });
  }

  /** Restarts with this many calls at once per connection. */
  limitStreams(count: number): void {
    this.maxConcurrentStreams = count;
    this.start();
  }

  /** Answers `method`: the handler gets the decoded request. */
  unary<Request, Response>(
    method: Method<'unary', Request, Response>,
    handler: (request: Request, call: ServerCall) => Response | null,
  ): void {
    this.#add((grpc) =>
      grpc.unary(method.path, (call, bytes, start, end) => {
        const response = handler(method.request.decode(bytes, start, end), call);
        if (response !== null) call.respond(encoded(method, response));
      }),
    );
  }

  serverStream<Request, Response>(
    method: Method<'server-stream', Request, Response>,
    handler: (request: Request, call: ServerCall, send: (response: Response) => boolean) => void,
  ): void {
    this.#add((grpc) =>
      grpc.serverStream(method.path, (call, bytes, start, end) => {
        handler(method.request.decode(bytes, start, end), call, (response) =>
          call.write(encoded(method, response)),
        );
      }),
    );
  }

  bidi<Request, Response>(
    method: Method<'bidi-stream', Request, Response>,
    begin: (
      call: ServerCall,
      send: (response: Response) => void,
    ) => { onRequest(request: Request): void; onCancel?(): void },
  ): void {
    this.#add((grpc) =>
      grpc.bidi(method.path, (call) => {
        const handler = begin(call, (response) => call.write(encoded(method, response)));
        call.receiver = {
          onMessage: (_call, bytes, start, end) =>
            handler.onRequest(method.request.decode(bytes, start, end)),
          onHalfClose: () => call.end(),
          onCancel: () => handler.onCancel?.(),
        };
      }),
    );
  }

  accept(random: SeededRandom | null): Duplex {
    const clock = this.#clock;
    const nextChunkBytes = random === null ? {} : { nextChunkBytes: () => 1 + random.below(200) };
    const [ours, theirs] = memoryDuplexPair({ clock, ...nextChunkBytes });
    this.connectionCount++;
    if (this.isUp) {
      const end = new FreezableDuplex(ours);
      this.#grpc.accept(end);
      this.#ends.push(end);
    } else {
      clock.defer(() => ours.destroy());
    }
    return theirs;
  }

  /** Every connection is gone, without a word. */
  cut(): void {
    for (const end of this.#ends) end.destroy();
    this.#ends = [];
  }

  /** Neither reads nor writes any more on the connections that there are, which stay open: as a machine that has vanished. */
  freeze(): void {
    for (const end of this.#ends) end.freeze();
    this.#ends = [];
  }

  /** As {@link cut}, and none can be made until {@link start}. */
  stop(): void {
    this.isUp = false;
    this.cut();
  }

  start(): void {
    this.isUp = true;
    const limits = { maxConcurrentStreams: this.maxConcurrentStreams };
    this.#grpc = new GrpcServer({ clock: this.#clock, limits });
    for (const add of this.#handlers) add(this.#grpc);
  }

  /** Says on all connections that it takes no more calls there; those that are open go on. */
  drain(): void {
    this.#grpc.drain(() => {});
    this.start();
  }

  #add(register: (grpc: GrpcServer) => void): void {
    this.#handlers.push(register);
    register(this.#grpc);
  }
}

export class FakeCluster {
  readonly clock: SteppedClock;
  readonly servers: readonly FakeServer[];
  readonly events: ClientEvent[] = [];
  readonly #random: SeededRandom;
  /** Whether bytes are cut anywhere on their way. */
  cutsChunks = false;

  constructor(clock: SteppedClock, size = 1, seed = 1) {
    this.clock = clock;
    this.#random = new SeededRandom(seed);
    this.servers = Array.from({ length: size }, (_, i) => new FakeServer(`m${i}:2379`, clock));
  }

  get first(): FakeServer {
    const [first] = this.servers;
    if (first === undefined) throw new Error('a cluster has a server');
    return first;
  }

  client(options: Partial<ClientOptions> = {}): EtcdClient {
    return new EtcdClient({ ...this.options, ...options });
  }

  /** How to reach it. */
  get options(): ClientOptions {
    return {
      endpoints: this.servers.map(({ name }) => name),
      connector: {
        isSecure: false,
        connect: (endpoint: Endpoint) => this.#find(endpoint).accept(this.cutsChunks ? this.#random : null),
      },
      clock: this.clock,
      random: this.#random,
      onEvent: (event) => this.events.push(event),
    };
  }

  /** Lets time pass, and promises settle on the way. */
  async run(durationMs = 0): Promise<void> {
    for (let passed = 0; ; passed += STEP_MS) {
      for (let turn = 0; turn < 4; turn++) {
        this.clock.settle();
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (passed >= durationMs) return;
      this.clock.advance(Math.min(STEP_MS, durationMs - passed));
    }
  }

  /** Runs until `promise` is settled. */
  async until<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    for (let passed = 0; !isSettled && passed < limitMs; passed += STEP_MS) {
      await this.run();
      if (!isSettled) this.clock.advance(STEP_MS);
    }
    if (!isSettled) throw new Error(`not settled in ${limitMs} simulated ms`);
    return promise;
  }

  #find(endpoint: Endpoint): FakeServer {
    const found = this.servers.find(({ name }) => name === endpoint.text);
    if (found === undefined) throw new Error(`no server ${endpoint.text}`);
    return found;
  }
}

function encoded<Request, Response>(
  method: Method<MethodKind, Request, Response>,
  response: Response,
): Uint8Array {
  const bytes = new Uint8Array(method.response.size(response));
  method.response.write(response, bytes, 0);
  return bytes;
}
