/**
 * A client's connection to some member, kept up as clients do: when it breaks, or its member does not serve, another member
 * is tried; and when a call is refused for who makes it, the client logs in, so that the next has a token. Calls go through the
 * production gRPC code on both sides.
 */
import {
  AuthenticateRequest,
  decodeAuthenticateResponse,
  encodeAuthenticateRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import { GrpcCode } from '@etcd/base';
import { type CallOptions, type ClientCall, type ClientReceiver, GrpcChannel } from '@etcd/transport';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

export type AnswerCallback = (code: number, message: string, answer: Uint8Array) => void;

interface User {
  readonly name: string;
  readonly password: string;
}

/** May do everything; whom most clients log in as. */
export const ROOT: User = { name: 'root', password: 'root has one' };
/** May do little. */
export const ORDINARY_USER: User = { name: 'user', password: 'so has the user' };

/** What a client is told that should log in (again). */
const REFUSAL = /user name is empty|invalid auth token|revision of auth store is old/;
const LOGIN_TIMEOUT_MS = 8000;

export class Session {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #user: User;
  #channel: GrpcChannel | null = null;
  #token: string | null = null;
  /** Of the token. */
  #clusterNumber = 0;
  #isLoggingIn = false;
  machine: Machine | null = null;

  constructor(world: World, random: SeededRandom, user: User = ROOT) {
    this.#world = world;
    this.#random = random;
    this.#user = user;
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
      (code, message, bytes, start, end) => {
        this.noteRefusal(message);
        done(code, message, bytes.subarray(start, end));
      },
      this.#withToken(options),
    );
  }

  /** A stream; null when no member serves. */
  stream(path: string, receiver: ClientReceiver, options: CallOptions = {}): ClientCall | null {
    const noting: ClientReceiver = {
      onMessage: (...message) => receiver.onMessage(...message),
      onEnd: (call, code, message) => {
        this.noteRefusal(message);
        receiver.onEnd(call, code, message);
      },
    };
    return this.#connected()?.call(path, noting, this.#withToken(options)) ?? null;
  }

  /** The next call goes to a member that is chosen anew. */
  leave(): void {
    this.#channel?.close();
    this.#channel = null;
    this.machine = null;
  }

  /** To be told why a request was refused, where that does not end its call. */
  noteRefusal(reason: string): void {
    if (!REFUSAL.test(reason) || this.#isLoggingIn) return;
    // A connection of its own: whoever is refused may leave the other at once.
    const channel = this.#open()?.channel;
    if (channel === undefined) return;
    this.#isLoggingIn = true;
    this.#token = null;
    const request = encodeAuthenticateRequest(new AuthenticateRequest(this.#user));
    channel.unary(
      '/etcdserverpb.Auth/Authenticate',
      request,
      (code, message, bytes, start, end) => {
        this.#isLoggingIn = false;
        channel.close();
        this.#world.note(`${this.#user.name} logs in: ${code} ${message}`);
        if (code === GrpcCode.OK) this.#token = decodeAuthenticateResponse(bytes.subarray(start, end)).token;
      },
      { timeoutMs: LOGIN_TIMEOUT_MS },
    );
  }

  /**
   * A token names an entry of the log, for which a member waits that is not as far: a restored cluster may be far from it for hours, and who goes on
   * with the token of the one before is not refused, but hears nothing before its time is up. So operators start clients again after a restore.
   */
  #withToken(options: CallOptions): CallOptions {
    const { clusterNumber } = this.#world;
    if (this.#clusterNumber !== clusterNumber) this.#token = null;
    this.#clusterNumber = clusterNumber;
    if (this.#token === null) return options;
    return { ...options, metadata: [...(options.metadata ?? []), ['token', this.#token]] };
  }

  #connected(): GrpcChannel | null {
    if (this.#channel?.isOpen === true) return this.#channel;
    this.leave();
    const opened = this.#open();
    if (opened === null) return null;
    this.machine = opened.machine;
    this.#channel = opened.channel;
    return this.#channel;
  }

  #open(): { readonly machine: Machine; readonly channel: GrpcChannel } | null {
    const serving = this.#world.activeMachines.filter((machine) => machine.isServing);
    if (serving.length === 0) return null;
    const machine = this.#random.pick(serving);
    const duplex = machine.run?.connect() ?? null;
    if (duplex === null) return null;
    return {
      machine,
      channel: new GrpcChannel(duplex, { clock: this.#world.clock, authority: machine.name }),
    };
  }
}

const NOTHING = new Uint8Array(0);
