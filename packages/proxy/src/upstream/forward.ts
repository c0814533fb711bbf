/** Calls that are passed on as they are: one message each way, or one there and many back. */
import { GrpcCode } from '@etcd/base';
import type { CallReceiver, ClientCall, ClientReceiver, GrpcChannel, ServerCall } from '@etcd/transport';
import type { BulkLane } from './bulk-lanes.ts';
import type { Caller } from './caller.ts';
import type { Cancelable, Upstream } from './upstream.ts';

/** The client's side of a call whose answer comes later: when the client is gone, so is the question. */
export class Pending implements CallReceiver {
  #question: Cancelable | null = null;
  #isGone = false;

  set question(question: Cancelable) {
    if (this.#isGone) question.cancel();
    else this.#question = question;
  }

  onCancel(): void {
    this.#isGone = true;
    this.#question?.cancel();
  }
}

/** Passes on a unary call. `onAnswered` hears that it went well, before the client does. */
export function forwardUnary(
  upstream: Pick<Upstream, 'unary'>,
  path: string,
  call: ServerCall,
  request: Uint8Array,
  caller: Caller,
  onAnswered?: () => void,
): void {
  const pending = new Pending();
  call.receiver = pending;
  pending.question = upstream.unary(
    path,
    request,
    caller,
    call.deadlineMs,
    (code, message, bytes, start, end) => {
      if (code !== GrpcCode.OK) return call.end(code, message);
      onAnswered?.();
      call.respond(bytes, start, end);
    },
  );
}

/** What becomes of a message on its way back; null drops it. */
export type MessageMap = (bytes: Uint8Array, start: number, end: number) => Uint8Array | null;

/** Passes on a call with many answers, on a connection for such. A slow client slows the member; before the first answer another member may be asked. */
export class StreamForward implements ClientReceiver {
  readonly #upstream: Upstream;
  readonly #path: string;
  readonly #call: ServerCall;
  readonly #request: Uint8Array;
  readonly #caller: Caller;
  readonly #map: MessageMap | null;
  #waiting: Cancelable | null = null;
  #passed: ClientCall | null = null;
  /** As long as the call needs one. */
  #lane: BulkLane | null = null;
  #hasAnswered = false;
  #attempt = 0;

  constructor(
    upstream: Upstream,
    path: string,
    call: ServerCall,
    request: Uint8Array,
    caller: Caller,
    map: MessageMap | null = null,
  ) {
    this.#upstream = upstream;
    this.#path = path;
    this.#call = call;
    this.#request = request;
    this.#caller = caller;
    this.#map = map;
  }

  start(): void {
    this.#call.receiver = {
      onWritable: () => this.#passed?.resume(),
      onCancel: () => {
        this.#waiting?.cancel();
        this.#passed?.cancel();
        this.#leave();
      },
    };
    const { deadlineMs } = this.#call;
    this.#lane ??= this.#upstream.lanes.enter();
    const begin = (channel: GrpcChannel | null, reason: string): void => {
      this.#waiting = null;
      if (channel === null || !this.#call.isAlive) {
        this.#leave();
        return this.#call.end(GrpcCode.Unavailable, reason);
      }
      const { metadata } = this.#caller;
      const leftMs = Math.max(1, deadlineMs - this.#upstream.clock.now());
      const options =
        deadlineMs === Number.POSITIVE_INFINITY ? { metadata } : { metadata, timeoutMs: leftMs };
      this.#passed = channel.call(this.#path, this, options);
      this.#passed.write(this.#request, 0, this.#request.length);
      this.#passed.halfClose();
    };
    this.#waiting = this.#upstream.acquire(deadlineMs, begin, this.#lane.balancer);
  }

  onMessage(passed: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#hasAnswered = true;
    let hasRoom: boolean;
    if (this.#map === null) hasRoom = this.#call.write(bytes, start, end);
    else {
      const mapped = this.#map(bytes, start, end);
      hasRoom = mapped === null || this.#call.write(mapped, 0, mapped.length);
    }
    if (!hasRoom && this.#call.isAlive) passed.pause();
  }

  onEnd(passed: ClientCall, code: number, message: string): void {
    this.#passed = null;
    const mayRepeat = passed.isUnprocessed && !this.#hasAnswered;
    if (mayRepeat && this.#call.isAlive && ++this.#attempt <= this.#upstream.balancer.endpointCount) {
      this.start();
    } else {
      this.#leave();
      this.#call.end(code, message);
    }
  }

  #leave(): void {
    if (this.#lane !== null) this.#upstream.lanes.leave(this.#lane);
    this.#lane = null;
  }
}
