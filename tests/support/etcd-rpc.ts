/**
 * A raw etcd client on `@grpc/grpc-js`: no retries, no reconnection logic of its own, nothing hidden. A request is a
 * plain object with the field names of the `.proto` texts, an answer likewise (see `proto.ts`).
 */
import { readFileSync } from 'node:fs';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodName, Responses } from './messages.ts';
import { decode, encode, methodInfo } from './proto.ts';
import { PATIENCE_MS } from './run.ts';

/** A failed call: `code` is the gRPC status number, `details` etcd's text. */
export class RpcError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(method: string, code: number, details: string) {
    super(`${method}: code ${code}: ${details}`);
    this.code = code;
    this.details = details;
  }
}

/** How a call ended, for tests that compare failures like answers. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: number; readonly details: string };

/** Files of a client that speaks TLS. */
export interface RpcFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

function credentialsOf(files: RpcFiles | null): ChannelCredentials {
  if (files === null) return credentials.createInsecure();
  const { caFile, keyFile, certFile } = files;
  return credentials.createSsl(readFileSync(caFile), readFileSync(keyFile), readFileSync(certFile));
}

export class EtcdRpc {
  readonly #client: Client;
  readonly #metadata: Metadata;

  constructor(
    address: string,
    metadata: Readonly<Record<string, string>> = {},
    files: RpcFiles | null = null,
  ) {
    this.#client = new Client(address, credentialsOf(files), {
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      // Every client of a test has a connection of its own.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    });
    this.#metadata = new Metadata();
    for (const [key, value] of Object.entries(metadata)) this.#metadata.set(key, value);
  }

  close(): void {
    this.#client.close();
  }

  /** A unary call. Rejects with {@link RpcError}. */
  call<M extends MethodName>(method: M, request: object, deadlineMs?: number): Promise<Responses[M]> {
    const info = methodInfo(method);
    return this.callRaw(info.path, encode(info.request, request), deadlineMs).then(
      (bytes) => decode(info.response, bytes) as Responses[M],
    );
  }

  /** A unary call whose failure is a value. */
  outcome<M extends MethodName>(
    method: M,
    request: object,
    deadlineMs?: number,
  ): Promise<Outcome<Responses[M]>> {
    return this.call(method, request, deadlineMs).then(
      (value) => ({ ok: true as const, value }),
      (error: unknown) => {
        if (error instanceof RpcError)
          return { ok: false as const, code: error.code, details: error.details };
        throw error;
      },
    );
  }

  /** A unary call of any path with any bytes. */
  callRaw(path: string, request: Uint8Array, deadlineMs = PATIENCE_MS): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        Buffer.from(request.buffer, request.byteOffset, request.byteLength),
        this.#metadata,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, response?: Buffer) => {
          if (error !== null) reject(new RpcError(path, error.code, error.details));
          else resolve(response!);
        },
      );
    });
  }

  /** All messages of a server-streaming call, until it ends. Rejects if it fails. */
  async collect<M extends MethodName>(method: M, request: object): Promise<Responses[M][]> {
    const stream = this.serverStream(method, request);
    const messages: Responses[M][] = [];
    for (;;) {
      const message = await stream.next(60_000);
      if (message === null) return messages;
      messages.push(message);
    }
  }

  serverStream<M extends MethodName>(method: M, request: object): RpcStream<Responses[M]> {
    const info = methodInfo(method);
    const call = this.#client.makeServerStreamRequest(
      info.path,
      (message: object) => encode(info.request, message),
      (bytes: Buffer) => decode(info.response, bytes) as Responses[M],
      request,
      this.#metadata,
    );
    return new RpcStream(method, call, null);
  }

  /** A bidirectional call: Watch, LeaseKeepAlive. */
  stream<M extends MethodName>(
    method: M,
    metadata: Readonly<Record<string, string>> = {},
    options: CallOptions = {},
  ): RpcStream<Responses[M]> {
    const info = methodInfo(method);
    const merged = this.#metadata.clone();
    for (const [key, value] of Object.entries(metadata)) merged.set(key, value);
    const call = this.#client.makeBidiStreamRequest(
      info.path,
      (message: object) => encode(info.request, message),
      (bytes: Buffer) => decode(info.response, bytes) as Responses[M],
      merged,
      options,
    );
    return new RpcStream(method, call, call);
  }

  /** A bidirectional call of any path whose messages are bytes, each given to `onMessage` as it comes. */
  streamRaw(path: string, receiver: RawReceiver, metadata: Readonly<Record<string, string>> = {}): RawStream {
    const merged = this.#metadata.clone();
    for (const [key, value] of Object.entries(metadata)) merged.set(key, value);
    const asItIs = (bytes: Buffer): Buffer => bytes;
    const call = this.#client.makeBidiStreamRequest(path, asItIs, asItIs, merged);
    call.on('data', (bytes: Buffer) => receiver.onMessage(bytes));
    call.on('error', () => {});
    call.on('status', () => receiver.onEnd());
    return {
      send: (bytes) => void call.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
      cancel: () => call.cancel(),
    };
  }
}

export interface RawReceiver {
  readonly onMessage: (bytes: Buffer) => void;
  /** It has ended, well or not. */
  readonly onEnd: () => void;
}

export interface RawStream {
  send(bytes: Uint8Array): void;
  cancel(): void;
}

/** A stream whose answers can be taken one by one, or looked at as a list. */
export class RpcStream<T> {
  /** Everything received so far, taken or not. */
  readonly received: T[] = [];
  readonly #method: string;
  readonly #readable: ClientReadableStream<T>;
  readonly #writable: ClientDuplexStream<object, T> | null;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  #failure: RpcError | null = null;
  #isEnded = false;

  constructor(
    method: string,
    readable: ClientReadableStream<T>,
    writable: ClientDuplexStream<object, T> | null,
  ) {
    this.#method = method;
    this.#readable = readable;
    this.#writable = writable;
    readable.on('data', (message: T) => {
      this.received.push(message);
      this.#wake();
    });
    readable.on('error', (error: ServiceError) => {
      this.#failure = new RpcError(method, error.code, error.details);
      this.#wake();
    });
    readable.on('end', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  get failure(): RpcError | null {
    return this.#failure;
  }

  /** Messages received but not taken yet. */
  get pending(): number {
    return this.received.length - this.#taken;
  }

  send(request: object): void {
    if (this.#writable === null) throw new Error(`${this.#method} takes one request`);
    this.#writable.write(request);
  }

  /** Half-closes: no more requests. */
  end(): void {
    this.#writable?.end();
  }

  cancel(): void {
    this.#readable.cancel();
  }

  /** Stops reading, so that flow control must hold the server back. */
  pause(): void {
    this.#readable.pause();
  }

  resume(): void {
    this.#readable.resume();
  }

  /** The next answer; null when the stream has ended well. Rejects if it failed, or if none comes in time. */
  async next(timeoutMs = PATIENCE_MS): Promise<T | null> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (this.#taken < this.received.length) return this.received[this.#taken++]!;
      if (this.#failure !== null) throw this.#failure;
      if (this.#isEnded) return null;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`${this.#method}: no answer in ${timeoutMs} ms`);
      await this.#change(leftMs);
    }
  }

  /** The next answer, which must come. */
  async take(timeoutMs?: number): Promise<T> {
    const message = await this.next(timeoutMs);
    if (message === null) throw new Error(`${this.#method}: the stream ended`);
    return message;
  }

  /** Takes answers until one satisfies the condition, and returns that one. */
  async takeUntil(condition: (message: T) => boolean, timeoutMs?: number): Promise<T> {
    for (;;) {
      const message = await this.take(timeoutMs);
      if (condition(message)) return message;
    }
  }

  /** Asserts by waiting that nothing comes for a while. */
  async expectSilence(durationMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    if (this.pending > 0) throw new Error(`${this.#method}: an unexpected answer`);
    if (this.#failure !== null) throw this.#failure;
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
