/**
 * A client that asks one thing after the other and has every answer judged. An answer that does not come, or an error that
 * does not say whether the request was carried out, leaves both possible; a refusal means that it never will be.
 */
import {
  CompactionRequest,
  Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  decodeDeleteRangeResponse,
  decodeLeaseGrantResponse,
  decodePutResponse,
  decodeRangeResponse,
  decodeTxnResponse,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodeLeaseGrantRequest,
  encodeLeaseRevokeRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  type ResponseHeader,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import { GrpcCode } from '@etcd/base';
import { AnswerChecks, type Bounds, type Verdict } from './checks.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { Operation } from './picture.ts';
import { ORDINARY_USER, ROOT, Session } from './session.ts';
import { drawLeaseFactor } from './tempo.ts';
import { rangeText, textOf } from './trace.ts';
import type { World } from './world.ts';

export interface ClientOptions {
  readonly world: World;
  readonly name: string;
  readonly random: SeededRandom;
  /** Mean time between an answer and the next request. */
  readonly thinkMs: number;
  readonly keyCount: number;
  /** So many requests are made at one moment, and the next when all have been answered. */
  readonly atOnce: number;
  /** So many of its requests are reads of one key for certain; the others are drawn from all kinds. */
  readonly readShare: number;
  /** Whether it is somebody who may do little. */
  readonly isOrdinary: boolean;
}

/** Tag of a length-delimited field 2000. */
const UNKNOWN_FIELD = Uint8Array.of(0x82, 0x7d);
const REQUEST_TIMEOUT_MS = 8000;
/** How far back reads of the past go. */
const MAX_AGE = 40;
/** Errors after which the request was certainly not carried out. */
const REFUSALS: ReadonlySet<number> = new Set([
  GrpcCode.InvalidArgument,
  GrpcCode.NotFound,
  GrpcCode.OutOfRange,
  GrpcCode.FailedPrecondition,
  GrpcCode.PermissionDenied,
  GrpcCode.Unauthenticated,
]);

/** Errors that any member would have answered with. */
const ANSWERS: ReadonlySet<number> = new Set([
  GrpcCode.InvalidArgument,
  GrpcCode.NotFound,
  GrpcCode.OutOfRange,
  GrpcCode.PermissionDenied,
]);

/** A request that has been made: what came of it is told to `judge` or `refused`. */
interface Asked {
  readonly path: string;
  readonly text: string;
  readonly request: Uint8Array;
  /** Decodes and judges an answer. */
  readonly judge: (answer: Uint8Array, bounds: Bounds) => { header: ResponseHeader | null; verdict: Verdict };
  /** What the request would write. */
  readonly value?: string;
}

export class Client {
  readonly #world: World;
  readonly #options: ClientOptions;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #checks: AnswerChecks;
  readonly #keeper: LeaseKeeper;
  readonly #leases: bigint[] = [];
  #sequence = 0;
  #requestCount = 0;
  #isRunning = false;
  /** There is a timer for the next request. */
  #isScheduled = false;
  #underWay = 0;
  /** Some other member may do better, when all have been answered. */
  #isLeaving = false;
  okCount = 0;
  failedCount = 0;
  /** Times that it was told, by a member that could tell, that it may not do what it asked for. */
  deniedCount = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#random = options.random;
    this.#session = new Session(options.world, options.random, options.isOrdinary ? ORDINARY_USER : ROOT);
    this.#checks = new AnswerChecks(options.world.model);
    this.#keeper = new LeaseKeeper(options.world, options.random.fork());
  }

  get name(): string {
    return this.#options.name;
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    if (this.#underWay === 0) this.#scheduleNext();
  }

  /** Asks nothing new, and keeps no lease alive any more. */
  stop(): void {
    this.#isRunning = false;
    this.#keeper.stop();
    this.#leases.length = 0;
  }

  #scheduleNext(): void {
    if (!this.#isRunning || this.#isScheduled) return;
    this.#isScheduled = true;
    const waitMs = -Math.log(1 - this.#random.below(1 << 20) / (1 << 20)) * this.#options.thinkMs;
    this.#world.pauses.pause(waitMs, () => this.#next(), this.#session);
  }

  #next(): void {
    this.#isScheduled = false;
    if (!this.#isRunning) return;
    if (this.#random.chance(0.02)) this.#session.leave();
    for (let i = 0; i < this.#options.atOnce; i++) this.#ask();
  }

  #ask(): void {
    this.#underWay++;
    const asked = this.#draw();
    const bounds = { seenRevision: this.#world.seenRevision };
    this.#world.note(`${this.#options.name} asks ${asked.text}`);
    const operation = this.#world.began(this.#options.name, asked.text);
    this.#session.unary(
      asked.path,
      this.#marked(asked.request),
      { timeoutMs: REQUEST_TIMEOUT_MS },
      (code, message, answer) => {
        this.#underWay--;
        if (code === GrpcCode.OK) this.#onAnswer(asked, answer, bounds, operation);
        else this.#onError(asked, code, message, operation);
        if (this.#underWay === 0) this.#onAllAnswered();
      },
    );
  }

  #onAllAnswered(): void {
    if (this.#isLeaving) this.#session.leave();
    this.#isLeaving = false;
    this.#scheduleNext();
  }

  #onAnswer(asked: Asked, answer: Uint8Array, bounds: Bounds, operation: Operation): void {
    const world = this.#world;
    const { header, verdict } = asked.judge(answer, bounds);
    const revision = header?.revision ?? 0;
    this.okCount++;
    const who = `${this.#options.name} by ${this.#session.machine?.name}`;
    world.note(`${who} is told ${asked.text} ok at ${revision}`);
    world.ended(operation, `ok at ${revision} by ${this.#session.machine?.name}`, verdict);
    if (revision > world.seenRevision) world.seenRevision = revision;
  }

  #onError(asked: Asked, code: number, message: string, operation: Operation): void {
    this.#world.ended(operation, `${code} ${message}`, null);
    this.failedCount++;
    if (code === GrpcCode.PermissionDenied) this.deniedCount++;
    this.#world.note(`${this.#options.name} fails ${asked.text}: ${code} ${message}`);
    this.#world.judgeError(asked.text, code, message);
    if (REFUSALS.has(code) && asked.value !== undefined) this.#world.forbid(asked.value);
    // Some other member may do better: one that is no learner, has a leader, or runs at all.
    if (!ANSWERS.has(code) || this.#random.chance(0.1)) this.#isLeaving = true;
  }

  #draw(): Asked {
    const random = this.#random;
    const { readShare } = this.#options;
    if (readShare > 0 && random.chance(readShare)) return this.#read();
    const draw = random.below(100);
    if (draw < 34) return this.#put();
    if (draw < 54) return this.#range();
    if (draw < 74) return this.#txn();
    if (draw < 82) return this.#deleteRange();
    if (draw < 87) return this.#grant();
    if (draw < 90) return this.#revoke();
    if (draw < 93 && this.#world.tempo.clientsCompact) return this.#compact();
    return this.#range();
  }

  #key(): string {
    return `k${this.#random.below(this.#options.keyCount).toString().padStart(2, '0')}`;
  }

  /** No two requests are the same bytes: each ends with a field that no member knows, as those of later releases do. */
  #marked(request: Uint8Array): Uint8Array {
    const mark = bytesOf(`${this.#options.name}.${this.#requestCount++}`);
    return Buffer.concat([request, UNKNOWN_FIELD, Uint8Array.of(mark.length), mark]);
  }

  /** No two requests write the same value. */
  #value(): string {
    const { name } = this.#options;
    const value = `${name}.${this.#sequence++}`;
    return this.#random.chance(0.05) ? value.padEnd(2000, '.') : value;
  }

  #put(): Asked {
    const key = this.#random.chance(0.2) ? `${this.#key()}x` : this.#key();
    const value = this.#value();
    const lease = this.#leases.length > 0 && this.#random.chance(0.4) ? this.#random.pick(this.#leases) : 0n;
    const prevKv = this.#random.chance(0.3);
    const request = new PutRequest({ key: bytesOf(key), value: bytesOf(value), lease, prevKv });
    return {
      path: '/etcdserverpb.KV/Put',
      text: `put ${key}=${value.slice(0, 20)}${lease === 0n ? '' : ` lease ${lease.toString(16)}`}`,
      request: encodePutRequest(request),
      value,
      judge: (answer, bounds) => {
        const response = decodePutResponse(answer);
        return { header: response.header, verdict: this.#checks.put(value, key, response, bounds) };
      },
    };
  }

  #deleteRange(): Asked {
    const key = this.#key();
    const end = this.#random.chance(0.2) ? `${key.slice(0, 2)}~` : '';
    const prevKv = this.#random.chance(0.5);
    const request = new DeleteRangeRequest({ key: bytesOf(key), rangeEnd: bytesOf(end), prevKv });
    return {
      path: '/etcdserverpb.KV/DeleteRange',
      text: `delete ${rangeText(key, end)}`,
      request: encodeDeleteRangeRequest(request),
      judge: (answer, bounds) => {
        const response = decodeDeleteRangeResponse(answer);
        const verdict = this.#checks.deleteRange(key, end, response, bounds, prevKv);
        return { header: response.header, verdict };
      },
    };
  }

  #range(): Asked {
    const random = this.#random;
    const model = this.#world.model;
    const key = this.#key();
    const rangeEnd = bytesOf(random.pick(['', '', 'k~', '\0', `${key.slice(0, 2)}~`]));
    const past = Math.max(1, this.#world.seenRevision - random.below(MAX_AGE));
    const revision = random.chance(0.2) && past > model.compactRevision ? past : 0;
    const serializable = random.chance(0.3);
    const limit = random.chance(0.2) ? 1 + random.below(3) : 0;
    const request = new RangeRequest({ key: bytesOf(key), rangeEnd, revision, serializable, limit });
    return {
      path: '/etcdserverpb.KV/Range',
      text: `range ${rangeText(key, textOf(rangeEnd))}${revision > 0 ? `@${revision}` : ''}${serializable ? ' serializable' : ''}`,
      request: encodeRangeRequest(request),
      judge: (answer, bounds) => {
        const response = decodeRangeResponse(answer);
        return { header: response.header, verdict: this.#checks.range(request, response, bounds) };
      },
    };
  }

  /** Of one key, the newest. */
  #read(): Asked {
    const key = this.#key();
    const request = new RangeRequest({ key: bytesOf(key) });
    return {
      path: '/etcdserverpb.KV/Range',
      text: `range ${key}`,
      request: encodeRangeRequest(request),
      judge: (answer, bounds) => {
        const response = decodeRangeResponse(answer);
        return { header: response.header, verdict: this.#checks.range(request, response, bounds) };
      },
    };
  }

  /** Compare-and-swap against what the key is, or was a moment ago. */
  #txn(): Asked {
    const key = this.#key();
    const value = this.#value();
    const model = this.#world.model;
    const known = model.get(key, Math.max(1, model.revision - this.#random.below(3)));
    const compare = [this.#compare(key, known?.mod ?? 0, known?.version ?? 0, known?.value ?? null)];
    const put = new PutRequest({ key: bytesOf(key), value: bytesOf(value) });
    const success = [new RequestOp({ requestPut: put })];
    if (this.#random.chance(0.3)) {
      // Some other key: one may not be changed twice.
      const other = new DeleteRangeRequest({ key: bytesOf(`${key}x`) });
      success.push(new RequestOp({ requestDeleteRange: other }));
    }
    const failure = [new RequestOp({ requestRange: new RangeRequest({ key: bytesOf(key) }) })];
    const request = new TxnRequest({ compare, success, failure });
    return {
      path: '/etcdserverpb.KV/Txn',
      text: `txn ${key}=${value.slice(0, 20)} if target ${compare[0]!.target} as at ${known?.mod ?? 0}`,
      request: encodeTxnRequest(request),
      value,
      judge: (answer, bounds) => {
        const response = decodeTxnResponse(answer);
        return { header: response.header, verdict: this.#checks.txn(request, value, response, bounds) };
      },
    };
  }

  #compare(key: string, mod: number, version: number, value: string | null): Compare {
    const common = { key: bytesOf(key), result: CompareResult.EQUAL };
    const draw = this.#random.below(3);
    if (draw === 0 || (draw === 1 && value === null)) {
      const targetUnion = CompareTargetUnion.modRevision;
      return new Compare({ ...common, target: CompareTarget.MOD, targetUnion, modRevision: mod });
    }
    if (draw === 1) {
      const targetUnion = CompareTargetUnion.value;
      return new Compare({ ...common, target: CompareTarget.VALUE, targetUnion, value: bytesOf(value!) });
    }
    const targetUnion = CompareTargetUnion.version;
    return new Compare({ ...common, target: CompareTarget.VERSION, targetUnion, version });
  }

  #grant(): Asked {
    const usualTtl = 2 + this.#random.below(this.#random.chance(0.5) ? 3 : 15);
    const ttl = usualTtl * drawLeaseFactor(this.#random, this.#world.tempo);
    return {
      path: '/etcdserverpb.Lease/LeaseGrant',
      text: `grant ${ttl} s`,
      request: encodeLeaseGrantRequest(new LeaseGrantRequest({ ttl })),
      judge: (answer) => {
        const { header, id, ttl: granted } = decodeLeaseGrantResponse(answer);
        const lease = this.#world.leases.get(id);
        if (lease === undefined) return { header, verdict: `lease ${id} is not in the log` };
        this.#leases.push(id);
        if (this.#random.chance(0.6)) this.#keeper.keep(id, granted * 1000);
        return { header, verdict: null };
      },
    };
  }

  #revoke(): Asked {
    if (this.#leases.length === 0) return this.#grant();
    const at = this.#random.below(this.#leases.length);
    const [id] = this.#leases.splice(at, 1);
    const lease = this.#world.leases.get(id!);
    if (lease !== undefined) lease.isRevocable = true;
    this.#keeper.forget(id!);
    return {
      path: '/etcdserverpb.Lease/LeaseRevoke',
      text: `revoke ${id!.toString(16)}`,
      request: encodeLeaseRevokeRequest(new LeaseRevokeRequest({ id: id! })),
      judge: () => ({
        header: null,
        verdict: this.#world.model.leases.has(id!) ? `lease ${id} was revoked but is there` : null,
      }),
    };
  }

  #compact(): Asked {
    const { seenRevision } = this.#world;
    const revision = Math.max(1, seenRevision - this.#random.below(30));
    const physical = this.#random.chance(0.3);
    return {
      path: '/etcdserverpb.KV/Compact',
      text: `compact ${revision}${physical ? ' physically' : ''}`,
      request: encodeCompactionRequest(new CompactionRequest({ revision, physical })),
      judge: () => ({
        header: null,
        verdict:
          this.#world.model.compactRevision < revision ? `compaction at ${revision} is not in the log` : null,
      }),
    };
  }
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}
