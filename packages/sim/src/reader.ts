/**
 * A client that does nothing but read everything, one time after the other, as an answer of its own or as a stream. With small slices and
 * turns that take their time, a read is under way nearly always: whatever happens to the member's store happens to a reader.
 */
import {
  decodeRangeResponse,
  decodeRangeStreamResponse,
  encodeRangeRequest,
  RangeRequest,
  RangeResponse,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, type SeededRandom } from '@etcd/base';
import { AnswerChecks, type Bounds } from './checks.ts';
import { bytesOf } from './client.ts';
import { Session } from './session.ts';
import type { World } from './world.ts';

export interface ReaderOptions {
  readonly world: World;
  readonly name: string;
  readonly random: SeededRandom;
  /** It reads what a member has, however far behind it is: who asks for the newest waits, and not there, when the worst happens. */
  readonly isLocal: boolean;
}

const TIMEOUT_MS = 8000;
/** Where a read takes time, the next one follows soon, so that one is nearly always under way. */
const MAX_PAUSE_MS = 40;
const MAX_IDLE_MS = 500;
/** After a read that got nowhere. */
const RETRY_MS = 300;
/** How far back reads of the past go. */
const MAX_AGE = 20;
/** Before the first key: all of them. */
const ALL = { key: bytesOf('\0'), rangeEnd: bytesOf('\0') };

export class Reader {
  readonly #options: ReaderOptions;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #checks: AnswerChecks;
  #isRunning = false;
  #isReading = false;
  readCount = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#random = options.random;
    this.#session = new Session(options.world, options.random);
    this.#checks = new AnswerChecks(options.world.model);
  }

  get name(): string {
    return this.#options.name;
  }

  get isIdle(): boolean {
    return !this.#isReading;
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    if (!this.#isReading) this.#next();
  }

  stop(): void {
    this.#isRunning = false;
  }

  #next(): void {
    if (!this.#isRunning) return;
    this.#isReading = true;
    const serializable = this.#options.isLocal;
    const revision = this.#random.chance(0.2)
      ? Math.max(1, this.#world.seenRevision - this.#random.below(MAX_AGE))
      : 0;
    const request = new RangeRequest({ ...ALL, serializable, revision });
    const bounds = { seenRevision: this.#world.seenRevision };
    if (this.#random.chance(0.03)) this.#session.leave();
    if (this.#random.chance(0.5)) this.#readWhole(request, bounds);
    else this.#readStream(request, bounds);
  }

  #readWhole(request: RangeRequest, bounds: Bounds): void {
    const bytes = encodeRangeRequest(request);
    const options = { timeoutMs: TIMEOUT_MS };
    this.#session.unary('/etcdserverpb.KV/Range', bytes, options, (code, message, answer) => {
      const response = code === GrpcCode.OK ? decodeRangeResponse(answer) : null;
      this.#onEnd(code, message, request, bounds, response);
    });
  }

  /** The pairs come in pieces, and with the last piece what belongs to all of them. */
  #readStream(request: RangeRequest, bounds: Bounds): void {
    const whole = new RangeResponse();
    const receiver = {
      onMessage: (_call: unknown, bytes: Uint8Array, from: number, to: number): void => {
        const { header, kvs, count, more } = decodeRangeStreamResponse(bytes.subarray(from, to))
          .rangeResponse!;
        whole.header = header;
        whole.kvs.push(...kvs);
        whole.count = count;
        whole.more = more;
      },
      onEnd: (_call: unknown, code: number, message: string): void =>
        this.#onEnd(code, message, request, bounds, code === GrpcCode.OK ? whole : null),
    };
    const options = { timeoutMs: TIMEOUT_MS };
    const call = this.#session.stream('/etcdserverpb.KV/RangeStream', receiver, options);
    if (call === null) return this.#onEnd(GrpcCode.Unavailable, 'no member serves', request, bounds, null);
    call.write(encodeRangeRequest(request));
    call.halfClose();
  }

  #onEnd(
    code: number,
    message: string,
    request: RangeRequest,
    bounds: Bounds,
    response: RangeResponse | null,
  ): void {
    const world = this.#world;
    this.#isReading = false;
    const who = `${this.#options.name} by ${this.#session.machine?.name}`;
    if (response !== null) {
      const verdict = this.#checks.range(request, response, bounds);
      if (verdict !== null) world.violate('linearizability', `${who} reads everything: ${verdict}`);
      world.trace.mix(response.header!.revision, response.kvs.length, 0);
      this.readCount++;
      const maxPauseMs = world.pace.turnMs > 0 ? MAX_PAUSE_MS : MAX_IDLE_MS;
      world.pauses.rest(this.#random.below(maxPauseMs), () => this.#next(), this.#session);
      return;
    }
    if (code !== GrpcCode.OutOfRange) this.#session.leave();
    // What is newest when it is asked for can be read to its end, whatever is compacted meanwhile.
    else if (request.revision === 0 || !isRightRefusal(message, request.revision, world)) {
      world.violate('reads', `${who} is refused at revision ${request.revision}: ${message}`);
    }
    world.pauses.pause(RETRY_MS, () => this.#next());
  }
}

function isRightRefusal(message: string, revision: number, { model }: World): boolean {
  // A member that is behind does not have it yet.
  return message.includes('future') || revision < model.compactRevision;
}
