/**
 * A client's connection to some member, kept up as clients do: when it breaks, or its member does not serve, another member
 * is tried. Calls go through the production gRPC code on both sides.
 */
import type { SeededRandom } from '@etcd/base';
import { GrpcCode } from '@etcd/base';
import { type CallOptions, type ClientCall, type ClientReceiver, GrpcChannel } from '@etcd/transport';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

export type AnswerCallback = (code: number, message: string, answer: Uint8Array) => void;

export class Session {
  readonly #world: World;
  readonly #random: SeededRandom;
  #channel: GrpcChannel | null = null;
  machine: Machine | null = null;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** One request, one answer. `done` is called once, not before this returns. */
  unary(path: string, request: Uint8Array, options: CallOptions, done: AnswerCallback): void {
    const channel = this.#connected();
    if (channel === null) {
      this.#world.clock.defer(() => done(GrpcCode.Unavailable, 'no member serves', NOTHING));
      return;
    }
    channel.unary(
      path,
      request,
      (code, message, bytes, start, end) => done(code, message, bytes.subarray(start, end)),
      options,
    );
  }

  /** A stream; null when no member serves. */
  stream(path: string, receiver: ClientReceiver, options: CallOptions = {}): ClientCall | null {
    return this.#connected()?.call(path, receiver, options) ?? null;
  }

  /** The next call goes to a member that is chosen anew. */
  leave(): void {
    this.#channel?.close();
    this.#channel = null;
    this.machine = null;
  }

  #connected(): GrpcChannel | null {
    if (this.#channel?.isOpen === true) return this.#channel;
    this.leave();
    const serving = this.#world.activeMachines.filter((machine) => machine.isServing);
    if (serving.length === 0) return null;
    const machine = this.#random.pick(serving);
    const duplex = machine.run?.connect() ?? null;
    if (duplex === null) return null;
    this.machine = machine;
    this.#channel = new GrpcChannel(duplex, { clock: this.#world.clock, authority: machine.name });
    return this.#channel;
  }
}

const NOTHING = new Uint8Array(0);
