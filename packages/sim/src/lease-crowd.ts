/**
 * A client that has leases by the hundred: it grants them in bursts, keeps some alive through one stream, attaches keys to some, and lets the rest end
 * together; and it asks which there are.
 */
import {
  decodeLeaseGrantResponse,
  decodeLeaseLeasesResponse,
  decodeLeaseTimeToLiveResponse,
  encodeLeaseGrantRequest,
  encodeLeaseTimeToLiveRequest,
  encodePutRequest,
  LeaseGrantRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, type SeededRandom } from '@etcd/base';
import { bytesOf } from './client.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { Pacer } from './pacer.ts';
import { Session } from './session.ts';
import { drawLeaseFactor } from './tempo.ts';
import { textOf } from './trace.ts';
import type { World } from './world.ts';

const TIMEOUT_MS = 8000;
const MEAN_PAUSE_MS = 1500;
/** Requests that it has under way at the same time. */
const MAX_UNDER_WAY = 8;
const MAX_BURST = 30;
/** Leases that it grants in all; a few worlds have thousands. */
const CROWDS = [150, 150, 300, 300, 300, 2000] as const;
const KEPT_SHARE = 0.2;
const ATTACHED_SHARE = 0.3;
const NOTHING = new Uint8Array(0);

export class LeaseCrowd {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  readonly #keeper: LeaseKeeper;
  readonly #granted: bigint[] = [];
  #left: number;
  #underWay = 0;
  #sequence = 0;
  okCount = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#left = random.pick(CROWDS);
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.pause(pauseMs, then),
      random,
      maxPauseMs: 2 * MEAN_PAUSE_MS,
      step: () => this.#step(),
    });
    this.#keeper = new LeaseKeeper(world, random.fork(), this.#left);
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  start(): void {
    this.#pacer.start();
  }

  stop(): void {
    this.#pacer.stop();
    this.#keeper.stop();
  }

  #step(): void {
    // A burst: the next is asked for as soon as one is there.
    if (this.#underWay < MAX_UNDER_WAY && this.#left > 0) this.#grant(this.#random.below(MAX_BURST));
    if (this.#random.chance(0.5)) this.#list();
    else if (this.#granted.length > 0) this.#askFor(this.#random.pick(this.#granted));
    this.#pacer.next();
  }

  #grant(more: number): void {
    this.#left--;
    const ttl = (3 + this.#random.below(25)) * drawLeaseFactor(this.#random, this.#world.tempo);
    const request = encodeLeaseGrantRequest(new LeaseGrantRequest({ ttl }));
    this.#ask('/etcdserverpb.Lease/LeaseGrant', request, 'grants', (answer) => {
      const { id, ttl: granted } = decodeLeaseGrantResponse(answer);
      if (!this.#world.leases.has(id)) return `lease ${id} is not in the log`;
      this.#granted.push(id);
      if (this.#pacer.isRunning && this.#random.chance(KEPT_SHARE)) this.#keeper.keep(id, granted * 1000);
      if (this.#random.chance(ATTACHED_SHARE)) this.#attach(id);
      if (this.#pacer.isRunning && more > 0 && this.#left > 0) this.#grant(more - 1);
      return null;
    });
  }

  #attach(lease: bigint): void {
    const value = `l.${this.#sequence++}`;
    const key = `l${this.#random.below(200)}`;
    const request = encodePutRequest(new PutRequest({ key: bytesOf(key), value: bytesOf(value), lease }));
    this.#ask('/etcdserverpb.KV/Put', request, `attaches ${key}`, () =>
      this.#world.model.revisionOf(value) === null ? `${value} is not in the log` : null,
    );
  }

  #list(): void {
    this.#ask('/etcdserverpb.Lease/LeaseLeases', NOTHING, 'lists', (answer) => {
      const unknown = decodeLeaseLeasesResponse(answer).leases.find(({ id }) => !this.#world.leases.has(id));
      return unknown === undefined ? null : `there is lease ${unknown.id}, which nobody granted`;
    });
  }

  #askFor(id: bigint): void {
    const request = encodeLeaseTimeToLiveRequest(new LeaseTimeToLiveRequest({ id, keys: true }));
    this.#ask('/etcdserverpb.Lease/LeaseTimeToLive', request, `asks for ${id.toString(16)}`, (answer) => {
      const { ttl, grantedTtl, keys } = decodeLeaseTimeToLiveResponse(answer);
      const stranger = keys.map(textOf).find((key) => !/^[kl]/.test(key));
      if (stranger !== undefined) return `the key ${stranger}, which nobody attached`;
      // A leader that is new gives more time than was granted.
      const isGone = ttl === -1 && grantedTtl === 0;
      return isGone || grantedTtl * 1000 === this.#world.leases.get(id)?.ttlMs
        ? null
        : `it was granted for ${grantedTtl} s`;
    });
  }

  #ask(path: string, request: Uint8Array, what: string, judge: (answer: Uint8Array) => string | null): void {
    const world = this.#world;
    this.#underWay++;
    this.#session.unary(path, request, { timeoutMs: TIMEOUT_MS }, (code, message, answer) => {
      this.#underWay--;
      world.note(`l ${what}: ${code} ${message}`);
      world.judgeError(what, code, message);
      if (code !== GrpcCode.OK) {
        if (code !== GrpcCode.NotFound) this.#session.leave();
        return;
      }
      this.okCount++;
      const verdict = judge(answer);
      if (verdict !== null) world.violate('lease', `l by ${this.#session.machine?.name} ${what}: ${verdict}`);
    });
  }
}
