/**
 * A network that loses, duplicates, delays and so reorders messages, and that can be cut in two. Messages travel
 * encoded, as they do in earnest: what arrives shares nothing with what was sent.
 */
import type { MemberId } from '@etcd/api';
import { decodeMessage, encodeMessage, type Message } from '@etcd/api/raftpb';
import type { SeededRandom } from '@etcd/base';

export interface NetworkFaults {
  /** Probabilities per message. */
  readonly loss: number;
  readonly duplication: number;
  readonly longDelay: number;
}

interface Parcel {
  readonly dueRound: number;
  readonly bytes: Uint8Array;
}

/** Rounds that a message may take when it is not held up. */
const USUAL_ROUNDS = 2;
const LONG_ROUNDS = 30;

export class SimNetwork {
  readonly #random: SeededRandom;
  #parcels: Parcel[] = [];
  #faults: NetworkFaults;
  /** Without faults messages arrive in the next round, in the order in which they were sent. */
  #isOrderly = false;
  /** Ordered pairs that can't reach each other, as `from>to`. */
  readonly #cut = new Set<string>();

  constructor(random: SeededRandom, faults: NetworkFaults) {
    this.#random = random;
    this.#faults = faults;
  }

  /** False if the message is lost for certain. */
  send(message: Message, round: number): boolean {
    if (this.#cut.has(`${message.from}>${message.to}`)) return false;
    if (this.#random.chance(this.#faults.loss)) return false;
    const copies = this.#random.chance(this.#faults.duplication) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const isHeldUp = this.#random.chance(this.#faults.longDelay);
      const delayRounds = this.#isOrderly ? 1 : this.#random.below(isHeldUp ? LONG_ROUNDS : USUAL_ROUNDS);
      this.#parcels.push({ dueRound: round + delayRounds, bytes: encodeMessage(message) });
    }
    return true;
  }

  /** What arrives in this round; in random order while there are faults. */
  arrivals(round: number): Message[] {
    const due = this.#parcels.filter(({ dueRound }) => dueRound <= round);
    this.#parcels = this.#parcels.filter(({ dueRound }) => dueRound > round);
    if (this.#isOrderly) return due.map(({ bytes }) => decodeMessage(bytes));
    const arrived: Message[] = [];
    while (due.length > 0) {
      const i = this.#random.below(due.length);
      arrived.push(decodeMessage(due[i]!.bytes));
      due[i] = due.at(-1)!;
      due.pop();
    }
    return arrived.filter(({ from, to }) => !this.#cut.has(`${from}>${to}`));
  }

  /** Cuts `left` off from the other members, in both directions or in one. */
  partition(ids: readonly MemberId[], left: ReadonlySet<bigint>): void {
    this.#cut.clear();
    const isOneWay = this.#random.chance(0.3);
    for (const a of left) {
      for (const b of ids) {
        if (left.has(b)) continue;
        this.#cut.add(`${a}>${b}`);
        if (!isOneWay) this.#cut.add(`${b}>${a}`);
      }
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  stopFaults(): void {
    this.heal();
    this.#isOrderly = true;
    this.#faults = { loss: 0, duplication: 0, longDelay: 0 };
  }
}
