/**
 * A client of large transactions: comparisons of all kinds and of ranges, reads of the past (which may be compacted, or not be there yet), leases that
 * are gone, transactions within transactions. Its transactions are marked, so that each answer is compared as a whole with what the log made of it.
 */
import {
  Compare,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  decodeTxnResponse,
  encodeTxnRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  type ResponseOp,
  TxnRequest,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { GrpcCode, type SeededRandom } from '@etcd/base';
import { isSamePair, type Verdict } from './checks.ts';
import { bytesOf } from './client.ts';
import { type KeyVersion, TXN_MARK } from './model.ts';
import { Pacer } from './pacer.ts';
import { Session } from './session.ts';
import { textOf } from './trace.ts';
import { evaluateTxn, type OpOutcome, type TxnOutcome } from './txn-model.ts';
import type { World } from './world.ts';

const TIMEOUT_MS = 8000;
const MEAN_PAUSE_MS = 900;
const KEYS = 12;
const MAX_OPS = 4;
const MAX_DEPTH = 2;
/** How far from the newest revision reads are, either way. */
const MAX_DISTANCE = 40;
const NO_LEASE = 0x7777n;
/** Of a transaction that was refused for what is in it, before or after it was in the log. */
const REFUSALS: readonly number[] = [
  GrpcCode.InvalidArgument,
  GrpcCode.OutOfRange,
  GrpcCode.NotFound,
  GrpcCode.PermissionDenied,
];

/** A transaction as it is being put together. */
interface Draft {
  /** Keys that it puts or deletes: a key may be changed once. */
  readonly used: Set<string>;
  readonly values: string[];
}

export class TxnClient {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  #isAsking = false;
  #sequence = 0;
  okCount = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.pause(pauseMs, then),
      random,
      maxPauseMs: 2 * MEAN_PAUSE_MS,
      step: () => this.#ask(),
    });
  }

  get isIdle(): boolean {
    return !this.#isAsking;
  }

  start(): void {
    this.#pacer.start();
  }

  stop(): void {
    this.#pacer.stop();
  }

  #ask(): void {
    const world = this.#world;
    const draft: Draft = { used: new Set(), values: [] };
    const mark = `${TXN_MARK}t.${this.#sequence++}`;
    const request = this.#random.chance(0.15) ? this.#readOnly() : this.#txn(draft, MAX_DEPTH, mark);
    const { seenRevision } = world;
    if (this.#random.chance(0.05)) this.#session.leave();
    this.#isAsking = true;
    world.note(`t asks ${describe(request)}`);
    const operation = world.began('t', describe(request));
    this.#session.unary(
      '/etcdserverpb.KV/Txn',
      encodeTxnRequest(request),
      { timeoutMs: TIMEOUT_MS },
      (code, message, answer) => {
        this.#isAsking = false;
        world.note(`t is told ${code} ${message}`);
        world.judgeError('a transaction', code, message);
        const verdict =
          code === GrpcCode.OK
            ? this.#judge(request, isReadOnly(request) ? null : mark, decodeTxnResponse(answer), seenRevision)
            : this.#judgeRefusal(code, message, mark, draft);
        const outcome = code === GrpcCode.OK ? 'ok' : `${code} ${message}`;
        world.ended(operation, `${outcome} by ${this.#session.machine?.name}`, verdict);
        if (code !== GrpcCode.OK && !REFUSALS.includes(code)) this.#session.leave();
        this.#pacer.next();
      },
    );
  }

  #judge(request: TxnRequest, mark: string | null, response: TxnResponse, seenRevision: number): Verdict {
    const { model } = this.#world;
    const revision = response.header!.revision;
    this.okCount++;
    if (revision > model.revision)
      return `it told of revision ${revision}, the log has come to ${model.revision}`;
    this.#world.seenRevision = Math.max(this.#world.seenRevision, revision);
    if (revision < seenRevision) return `it was done at ${revision}, though ${seenRevision} had been told of`;
    if (mark === null) return sameTxn(response, this.#evaluateAt(request, revision));
    const applied = model.txn(mark);
    if (applied === null) return 'it is not in the log';
    if (typeof applied.outcome === 'string') return `it was done, the log refused it: ${applied.outcome}`;
    if (applied.revision !== revision) return `it told of ${revision}, the log has it at ${applied.revision}`;
    if (applied.hasWritten && revision <= seenRevision)
      return `it has written ${revision}, though ${seenRevision} had been told of`;
    return sameTxn(response, applied.outcome);
  }

  /** One that only reads is not in the log. What was compacted since it was answered is still known to the model. */
  #evaluateAt(request: TxnRequest, revision: number): TxnOutcome | string {
    const { model } = this.#world;
    return evaluateTxn(request, {
      revision,
      compactRevision: -1,
      compares: (compares) => model.compares(compares, revision),
      hasLease: () => true,
      range: (key, end, at) => model.range(key, end, at === 0 ? revision : at),
      put: () => null,
      deleteRange: () => [],
    });
  }

  #judgeRefusal(code: number, message: string, mark: string, { values }: Draft): Verdict {
    if (!REFUSALS.includes(code)) return null;
    for (const value of values) this.#world.forbid(value);
    const applied = this.#world.model.txn(mark);
    if (applied === null || typeof applied.outcome === 'string') return null;
    return `it was refused with ${message}, the log did it at ${applied.revision}`;
  }

  // --- drawing

  #txn(draft: Draft, depth: number, mark: string | null): TxnRequest {
    const compare = Array.from({ length: this.#random.below(3) }, () => this.#compare());
    // Nobody ever writes the key of a mark.
    if (mark !== null) compare.unshift(versionIs(mark, 0));
    return new TxnRequest({ compare, success: this.#ops(draft, depth), failure: this.#ops(draft, depth) });
  }

  /** No more than reads: it is answered without the log. */
  #readOnly(): TxnRequest {
    const ranges = (): RequestOp[] =>
      Array.from({ length: 1 + this.#random.below(MAX_OPS) }, () => this.#range());
    return new TxnRequest({ success: ranges(), failure: ranges() });
  }

  #ops(draft: Draft, depth: number): RequestOp[] {
    return Array.from({ length: 1 + this.#random.below(MAX_OPS) }, () => this.#op(draft, depth));
  }

  #op(draft: Draft, depth: number): RequestOp {
    const draw = this.#random.below(100);
    if (draw < 25 && depth > 0) return new RequestOp({ requestTxn: this.#txn(draft, depth - 1, null) });
    if (draw < 50) return this.#range();
    const key = this.#key();
    if (draft.used.has(key)) return this.#range();
    draft.used.add(key);
    if (draw < 70) {
      const prevKv = this.#random.chance(0.5);
      return new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key: bytesOf(key), prevKv }) });
    }
    const value = `t.${this.#sequence++}`;
    draft.values.push(value);
    const prevKv = this.#random.chance(0.5);
    const put = new PutRequest({ key: bytesOf(key), value: bytesOf(value), prevKv, lease: this.#lease() });
    return new RequestOp({ requestPut: put });
  }

  #range(): RequestOp {
    const random = this.#random;
    const key = this.#key();
    const rangeEnd = bytesOf(random.pick(['', 'k~', `${key.slice(0, 2)}~`]));
    const near = Math.max(1, this.#world.model.revision - random.below(MAX_DISTANCE));
    const edge = Math.max(1, this.#world.model.compactRevision + random.below(3) - 1);
    const revision = random.pick([0, 0, near, near, edge, near + MAX_DISTANCE]);
    const limit = random.chance(0.2) ? 1 + random.below(3) : 0;
    return new RequestOp({
      requestRange: new RangeRequest({ key: bytesOf(key), rangeEnd, revision, limit }),
    });
  }

  #compare(): Compare {
    const random = this.#random;
    const key = this.#key();
    const { model } = this.#world;
    const known = model.get(key, Math.max(1, model.revision - random.below(3)));
    const common = {
      key: bytesOf(key),
      rangeEnd: bytesOf(random.pick(['', '', 'k~'])),
      result: random.below(4),
    };
    const { VERSION, CREATE, MOD, VALUE, LEASE } = CompareTarget;
    const target = random.pick([VERSION, CREATE, MOD, VALUE, LEASE]);
    const { version, createRevision, modRevision, value, lease } = CompareTargetUnion;
    if (target === VERSION)
      return new Compare({ ...common, target, targetUnion: version, version: known?.version ?? 0 });
    if (target === CREATE)
      return new Compare({
        ...common,
        target,
        targetUnion: createRevision,
        createRevision: known?.create ?? 0,
      });
    if (target === MOD)
      return new Compare({ ...common, target, targetUnion: modRevision, modRevision: known?.mod ?? 0 });
    if (target === VALUE)
      return new Compare({ ...common, target, targetUnion: value, value: bytesOf(known?.value ?? '') });
    return new Compare({ ...common, target, targetUnion: lease, lease: known?.lease ?? 0n });
  }

  #key(): string {
    return `k${this.#random.below(KEYS).toString().padStart(2, '0')}`;
  }

  #lease(): bigint {
    const draw = this.#random.below(20);
    if (draw === 0) return NO_LEASE;
    const [first] = this.#world.model.leases.keys();
    return draw < 5 && first !== undefined ? first : 0n;
  }
}

/** Then it is answered without the log. What is nested counts as a write. */
function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ requestRange }) => requestRange !== null);
}

function versionIs(key: string, version: number): Compare {
  const targetUnion = CompareTargetUnion.version;
  return new Compare({ key: bytesOf(key), target: CompareTarget.VERSION, targetUnion, version });
}

function sameTxn(response: TxnResponse, outcome: TxnOutcome | string): Verdict {
  if (typeof outcome === 'string') return `it was done, though it is ${outcome}`;
  if (response.succeeded !== outcome.succeeded)
    return `it says that it ${response.succeeded ? 'succeeded' : 'failed'}`;
  if (response.responses.length !== outcome.ops.length)
    return `${response.responses.length} answers to ${outcome.ops.length} operations`;
  for (const [i, op] of outcome.ops.entries()) {
    const verdict = sameOp(response.responses[i]!, op);
    if (verdict !== null) return `operation ${i}: ${verdict}`;
  }
  return null;
}

function sameOp(response: ResponseOp, { pairs, txn }: OpOutcome): Verdict {
  const { responseRange, responsePut, responseDeleteRange, responseTxn } = response;
  if (txn !== null) return responseTxn === null ? 'no transaction' : sameTxn(responseTxn, txn);
  if (responseRange !== null) return samePairs(responseRange.kvs, pairs);
  // The pairs before come if they were asked for.
  if (responsePut !== null)
    return responsePut.prevKv === null ? null : samePairs([responsePut.prevKv], pairs);
  if (responseDeleteRange === null) return 'no answer of its kind';
  const { deleted, prevKvs } = responseDeleteRange;
  if (deleted !== pairs.length) return `${deleted} deleted, the log has ${pairs.length}`;
  return prevKvs.length === 0 ? null : samePairs(prevKvs, pairs);
}

function samePairs(got: readonly KeyValue[], expected: readonly KeyVersion[]): Verdict {
  const isSame = got.length === expected.length && got.every((pair, i) => isSamePair(pair, expected[i]!));
  if (isSame) return null;
  const has = got.map(({ key, modRevision }) => `${textOf(key)}@${modRevision}`).join(' ');
  return `${has || 'nothing'}, the log has ${expected.map(({ key, mod }) => `${key}@${mod}`).join(' ') || 'nothing'}`;
}

function describe({ compare, success, failure }: TxnRequest): string {
  const conditions = compare.map(
    ({ key, rangeEnd, target, result }) =>
      `${textOf(key)}${rangeEnd.length > 0 ? '..' : ''}:${target}${'=><!'[result]}`,
  );
  return `txn(${conditions.join()} ? ${success.map(describeOp).join()} : ${failure.map(describeOp).join()})`;
}

function describeOp({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): string {
  if (requestTxn !== null) return describe(requestTxn);
  if (requestRange !== null) return `${textOf(requestRange.key)}@${requestRange.revision}`;
  if (requestPut !== null) return `${textOf(requestPut.key)}=${textOf(requestPut.value)}`;
  return `-${textOf(requestDeleteRange?.key ?? new Uint8Array(0))}`;
}
