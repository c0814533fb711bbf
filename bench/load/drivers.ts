/** Sends a source's requests at a given pace, and measures how long each takes. */
import type { ClientCall, ClientReceiver, GrpcChannel } from '@etcd/transport';
import { Latencies } from './latencies.ts';
import type { RequestSource } from './request-source.ts';

/** What came of the requests so far. */
export class Tally {
  readonly latencies = new Latencies();
  operations = 0;
  answerBytes = 0;

  add(sentMs: number, answerBytes: number): void {
    this.latencies.add(performance.now() - sentMs);
    this.operations++;
    this.answerBytes += answerBytes;
  }
}

/** A request at a time: sends it, hands the answer to the source, and tells its owner. */
class Slot implements ClientReceiver {
  readonly index: number;
  readonly #channel: GrpcChannel;
  readonly #source: RequestSource;
  readonly #tally: Tally;
  readonly #onAnswered: (slot: Slot) => void;
  readonly #onFailed: (error: Error) => void;
  #sentMs = 0;
  #answerBytes = 0;

  constructor(
    index: number,
    channel: GrpcChannel,
    source: RequestSource,
    tally: Tally,
    onAnswered: (slot: Slot) => void,
    onFailed: (error: Error) => void,
  ) {
    this.index = index;
    this.#channel = channel;
    this.#source = source;
    this.#tally = tally;
    this.#onAnswered = onAnswered;
    this.#onFailed = onFailed;
  }

  /** `dueMs` is when the request should have left: what it waited for since counts as latency. */
  send(dueMs: number): void {
    this.#sentMs = dueMs;
    this.#answerBytes = 0;
    const request = this.#source.next(this.index);
    const call = this.#channel.call(this.#source.path(this.index), this, this.#source.callOptions);
    call.write(request);
    call.halfClose();
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#answerBytes += end - start;
    try {
      this.#source.answered?.(this.index, bytes, start, end);
    } catch (error) {
      this.#onFailed(error as Error);
    }
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (code !== 0) {
      this.#onFailed(new Error(`${call.path}: code ${code}: ${message}`));
      return;
    }
    this.#tally.add(this.#sentMs, this.#answerBytes);
    this.#onAnswered(this);
  }
}

/** Keeps `inFlight` requests in flight on each channel until `requests` are answered. */
export function driveClosed(
  channels: readonly GrpcChannel[],
  inFlight: number,
  requests: number,
  source: RequestSource,
  tally: Tally,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let unsent = requests;
    let unanswered = requests;
    const send = (slot: Slot): void => {
      if (unsent === 0) return;
      unsent--;
      slot.send(performance.now());
    };
    const onAnswered = (slot: Slot): void => {
      if (--unanswered === 0) resolve();
      else send(slot);
    };
    for (let i = 0; i < channels.length * inFlight; i++) {
      send(new Slot(i, channels[i % channels.length]!, source, tally, onAnswered, reject));
    }
  });
}

const TICK_MS = 1;
/** Requests in flight on one channel before the server counts as unable to keep up. */
const MAX_OPEN_PER_CHANNEL = 2_000;
/** And on all of them: with 5,000 proposals that are not applied, etcd refuses more. */
const MAX_OPEN = 4_000;

/** Sends `perSecond` requests a second for `seconds`, late ones at once. */
export function driveOpen(
  channels: readonly GrpcChannel[],
  perSecond: number,
  seconds: number,
  source: RequestSource,
  tally: Tally,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const total = perSecond * seconds;
    const startMs = performance.now();
    let sent = 0;
    let answered = 0;
    const onAnswered = (slot: Slot): void => {
      free.push(slot);
      if (++answered === total) resolve();
    };
    const slots = openSlots(channels.length, perSecond);
    const free: Slot[] = Array.from(
      { length: slots },
      (_, i) => new Slot(i, channels[i % channels.length]!, source, tally, onAnswered, reject),
    );
    const tick = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1000));
      // Without a free slot the server is far behind; what waits is late and measured as such.
      while (sent < due && free.length > 0) free.pop()!.send(startMs + (sent++ * 1000) / perSecond);
      if (sent < total) setTimeout(tick, TICK_MS);
    };
    tick();
  });
}

/** How many requests can be in flight at a fixed rate: those of a second, or what the channels and the server take. */
export function openSlots(channels: number, perSecond: number): number {
  return Math.min(perSecond, channels * MAX_OPEN_PER_CHANNEL, MAX_OPEN);
}

/**
 * Sends `eachPerSecond` requests a second on every channel for `seconds`, the channels in turn. One whose answer is still out sends
 * its next request behind that, late.
 */
export function driveEach(
  channels: readonly GrpcChannel[],
  eachPerSecond: number,
  seconds: number,
  source: RequestSource,
  tally: Tally,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const perSecond = channels.length * eachPerSecond;
    const total = perSecond * seconds;
    const startMs = performance.now();
    let sent = 0;
    let answered = 0;
    /** By slot: when the requests should have left that wait for its answer; null while none is out. */
    const waiting: (number[] | null)[] = channels.map(() => null);
    const onAnswered = (slot: Slot): void => {
      const dueMs = waiting[slot.index]!.shift();
      if (dueMs === undefined) waiting[slot.index] = null;
      else slot.send(dueMs);
      if (++answered === total) resolve();
    };
    const slots = channels.map((channel, i) => new Slot(i, channel, source, tally, onAnswered, reject));
    const tick = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1000));
      for (; sent < due; sent++) {
        const dueMs = startMs + (sent * 1000) / perSecond;
        const index = sent % slots.length;
        const queue = waiting[index];
        if (queue !== null) {
          queue!.push(dueMs);
          continue;
        }
        waiting[index] = [];
        slots[index]!.send(dueMs);
      }
      if (sent < total) setTimeout(tick, TICK_MS);
    };
    tick();
  });
}
