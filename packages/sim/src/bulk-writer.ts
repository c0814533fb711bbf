/**
 * Writes, deletes and reads hundreds of keys at a time, several requests after one another without waiting, and compacts: so that databases have
 * many pages, and compactions empty whole stretches of them.
 */
import {
  CompactionRequest,
  DeleteRangeRequest,
  decodeDeleteRangeResponse,
  decodeRangeResponse,
  decodeTxnResponse,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  type ResponseHeader,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, type SeededRandom } from '@etcd/base';
import { AnswerChecks, type Bounds, type Verdict } from './checks.ts';
import { bytesOf } from './client.ts';
import { Pacer } from './pacer.ts';
import { Session } from './session.ts';
import type { World } from './world.ts';

const TIMEOUT_MS = 8000;
const KEY_COUNT = 600;
/** Of one transaction; etcd's limit is 128. */
const MAX_PUTS = 100;
/** Requests that it has under way at the same time. */
const MAX_UNDER_WAY = 4;
const MEAN_PAUSE_MS = 700;

interface Judged {
  readonly header: ResponseHeader | null;
  readonly verdict: Verdict;
}

type Judge = (answer: Uint8Array, bounds: Bounds) => Judged;

const NOTHING = new Uint8Array(0);
const UNJUDGED: Judge = () => ({ header: null, verdict: null });

export class BulkWriter {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  readonly #checks: AnswerChecks;
  readonly #maxValueBytes: number;
  #sequence = 0;
  #underWay = 0;
  okCount = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.rest(pauseMs, then),
      random,
      maxPauseMs: 2 * MEAN_PAUSE_MS,
      step: () => this.#step(),
    });
    this.#checks = new AnswerChecks(world.model);
    this.#maxValueBytes = random.pick([10, 100, 400, 1500]);
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  start(): void {
    this.#pacer.start();
  }

  stop(): void {
    this.#pacer.stop();
  }

  #step(): void {
    if (this.#random.chance(0.05)) this.#session.leave();
    for (
      let left = 1 + this.#random.below(MAX_UNDER_WAY);
      left > 0 && this.#underWay < MAX_UNDER_WAY;
      left--
    ) {
      this.#draw();
    }
    this.#pacer.next();
  }

  #draw(): void {
    const draw = this.#random.below(100);
    if (draw < 45) this.#fill();
    else if (draw < 60) this.#deleteStretch();
    else if (draw < 75) this.#readStretch();
    else if (draw < 88) this.#compact();
    else this.#ask('/etcdserverpb.Maintenance/Defragment', NOTHING, 'defragments', UNJUDGED);
  }

  /** A stretch of keys in one transaction. */
  #fill(): void {
    const from = this.#random.below(KEY_COUNT);
    const count = 1 + this.#random.below(MAX_PUTS);
    const values = Array.from({ length: count }, () => this.#value());
    const success = values.map(
      (value, i) =>
        new RequestOp({
          requestPut: new PutRequest({ key: bytesOf(keyAt(from + i)), value: bytesOf(value) }),
        }),
    );
    const request = new TxnRequest({ success });
    this.#ask(
      '/etcdserverpb.KV/Txn',
      encodeTxnRequest(request),
      `fills ${count} from ${from} on`,
      (answer, bounds) => {
        const response = decodeTxnResponse(answer);
        const verdicts = values.map((value) => this.#checks.txn(request, value, response, bounds));
        return { header: response.header, verdict: verdicts.find((verdict) => verdict !== null) ?? null };
      },
    );
  }

  #deleteStretch(): void {
    const { key, end } = this.#stretch();
    const prevKv = this.#random.chance(0.3);
    const request = new DeleteRangeRequest({ key: bytesOf(key), rangeEnd: bytesOf(end), prevKv });
    const bytes = encodeDeleteRangeRequest(request);
    this.#ask('/etcdserverpb.KV/DeleteRange', bytes, `deletes [${key}, ${end})`, (answer, bounds) => {
      const response = decodeDeleteRangeResponse(answer);
      return {
        header: response.header,
        verdict: this.#checks.deleteRange(key, end, response, bounds, prevKv),
      };
    });
  }

  #readStretch(): void {
    const { key, end } = this.#stretch();
    const limit = this.#random.chance(0.3) ? 1 + this.#random.below(MAX_PUTS) : 0;
    const serializable = this.#random.chance(0.5);
    const request = new RangeRequest({ key: bytesOf(key), rangeEnd: bytesOf(end), limit, serializable });
    this.#ask(
      '/etcdserverpb.KV/Range',
      encodeRangeRequest(request),
      `reads [${key}, ${end})`,
      (answer, bounds) => {
        const response = decodeRangeResponse(answer);
        return { header: response.header, verdict: this.#checks.range(request, response, bounds) };
      },
    );
  }

  /** Everything that there is to compact, mostly; and often the file is made smaller meanwhile. */
  #compact(): void {
    const { seenRevision } = this.#world;
    const revision = Math.max(1, seenRevision - (this.#random.chance(0.7) ? 0 : this.#random.below(10)));
    const request = encodeCompactionRequest(new CompactionRequest({ revision }));
    this.#ask('/etcdserverpb.KV/Compact', request, `compacts ${revision}`, UNJUDGED);
    if (this.#random.chance(0.6)) {
      this.#ask('/etcdserverpb.Maintenance/Defragment', NOTHING, 'defragments', UNJUDGED);
    }
  }

  #stretch(): { readonly key: string; readonly end: string } {
    const from = this.#random.below(KEY_COUNT);
    const count = 1 + this.#random.below(this.#random.chance(0.5) ? KEY_COUNT : MAX_PUTS);
    return { key: keyAt(from), end: keyAt(from + count) };
  }

  /** No two requests write the same value. */
  #value(): string {
    return `b.${this.#sequence++}.`.padEnd(this.#random.below(this.#maxValueBytes), '.');
  }

  #ask(path: string, request: Uint8Array, what: string, judge: Judge): void {
    const world = this.#world;
    const bounds = { seenRevision: world.seenRevision };
    this.#underWay++;
    world.note(`bulk ${what}`);
    const operation = world.began('bulk', what);
    this.#session.unary(path, request, { timeoutMs: TIMEOUT_MS }, (code, message, answer) => {
      this.#underWay--;
      world.note(`bulk is told ${what}: ${code} ${message}`);
      world.judgeError(what, code, message);
      if (code !== GrpcCode.OK) {
        world.ended(operation, `${code} ${message}`, null);
        if (code !== GrpcCode.OutOfRange) this.#session.leave();
        return;
      }
      this.okCount++;
      const { header, verdict } = judge(answer, bounds);
      world.ended(operation, `ok by ${this.#session.machine?.name}`, verdict);
      world.seenRevision = Math.max(world.seenRevision, header?.revision ?? 0);
    });
  }
}

function keyAt(index: number): string {
  return `b${index.toString().padStart(4, '0')}`;
}
