/**
 * Reads without the cluster (`--experimental-leasing-prefix`), by the protocol of etcd's `clientv3/leasing`, so that proxies of etcd may share the
 * prefix: who owns a key, by a key of the same name under the prefix that hangs on his lease, knows its pair; who wants to change it
 * has the owner give it up first. A write succeeds only if nobody else owns a key that it writes, which is a condition of its transaction.
 *
 * S13: whoever comes with a token is answered by the cluster alone, which knows what he may read. What is known here was read without
 * one, and is told to those without one as long as the cluster would.
 */
import { type Codec, encode, type Method } from '@etcd/api';
import {
  type Compare,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
  encodeDeleteRangeResponse,
  encodePutResponse,
  encodeRangeResponse,
  encodeTxnResponse,
  PutRequest,
  RangeRequest,
  type RangeResponse,
  RequestOp,
  ResponseHeader,
  type ResponseOp,
  TxnRequest,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { type Clock, GrpcCode, latin1FromBytes } from '@etcd/base';
import { compare, type Namespace, op, prefixEnd } from '@etcd/client';
import type { KvBackend } from '../kv/kv-backend.ts';
import type { Caller } from '../upstream/caller.ts';
import type { Answer, Cancelable } from '../upstream/upstream.ts';
import { type LeasingSession, REVOKE } from './leasing-session.ts';
import { answerOf, isOwnable, type OwnedKeys } from './owned-keys.ts';

export interface LeasingBackendOptions {
  readonly below: KvBackend;
  readonly session: LeasingSession;
  readonly owned: OwnedKeys;
  /** For waiting until an owner has given a key up. */
  readonly keys: Namespace;
  readonly prefix: string;
  /** The proxy, asking on nobody's behalf. */
  readonly own: Caller;
  readonly clock: Clock;
}

/** A status other than OK. */
class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

interface Asked {
  readonly caller: Caller;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Keys that a request may write, as a member orders them; an empty end is that of a single key. */
interface Written {
  readonly key: Buffer;
  readonly end: Buffer;
}

const { range, put, deleteRange, txn } = KvService.methods;
/** For how long the cluster is believed to answer those without a token. */
const OPEN_MS = 1_000;
const REFUSED_CODES: ReadonlySet<number> = new Set([
  GrpcCode.PermissionDenied,
  GrpcCode.Unauthenticated,
  GrpcCode.InvalidArgument,
]);
const NOTHING = new Uint8Array(0);
const DELETE = 1;

export class LeasingBackend implements KvBackend {
  readonly #options: LeasingBackendOptions;
  readonly #prefix: Buffer;
  #openUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeasingBackendOptions) {
    this.#options = options;
    this.#prefix = Buffer.from(options.prefix);
  }

  unary(path: string, request: Uint8Array, caller: Caller, deadlineMs: number, answer: Answer): Cancelable {
    const { below } = this.#options;
    const controller = new AbortController();
    const asked: Asked = { caller, deadlineMs, signal: controller.signal };
    const work = this.#workOf(path, request, asked);
    if (work === null) return below.unary(path, request, caller, deadlineMs, answer);
    work.then(
      (bytes) => answer(GrpcCode.OK, '', bytes, 0, bytes.length),
      (error: unknown) => {
        if (error instanceof Refusal) answer(error.code, error.message, NOTHING, 0, 0);
        else answer(GrpcCode.Unavailable, (error as Error).message, NOTHING, 0, 0);
      },
    );
    return { cancel: () => controller.abort() };
  }

  /** Null for what the cluster answers as it is. */
  #workOf(path: string, bytes: Uint8Array, asked: Asked): Promise<Uint8Array> | null {
    switch (path) {
      case range.path: {
        const read = decodeRangeRequest(bytes);
        const isPlain = asked.caller.hasToken || read.serializable || !isOwnable(read);
        return isPlain ? null : this.#read(read, asked).then(encodeRangeResponse);
      }
      case put.path: {
        const requestPut = decodePutRequest(bytes);
        return this.#writeOne(new RequestOp({ requestPut }), asked, ({ responsePut }, header) =>
          encodePutResponse(Object.assign(responsePut!, { header })),
        );
      }
      case deleteRange.path: {
        const requestDeleteRange = decodeDeleteRangeRequest(bytes);
        return this.#writeOne(
          new RequestOp({ requestDeleteRange }),
          asked,
          ({ responseDeleteRange }, header) =>
            encodeDeleteRangeResponse(Object.assign(responseDeleteRange!, { header })),
        );
      }
      case txn.path: {
        const requestTxn = decodeTxnRequest(bytes);
        return this.#writeOne(new RequestOp({ requestTxn }), asked, ({ responseTxn }, header) =>
          encodeTxnResponse(Object.assign(responseTxn!, { header })),
        );
      }
      default:
        return null;
    }
  }

  // Reads

  async #read(request: RangeRequest, asked: Asked): Promise<RangeResponse> {
    const { owned, session, clock } = this.#options;
    const key = latin1FromBytes(request.key);
    if (session.leaseId !== null && owned.get(key) !== null && (await this.#isOpen())) {
      const known = owned.get(key);
      if (known !== null && session.leaseId !== null) return answerOf(known, request);
    }
    const { leaseId } = session;
    if (leaseId === null || !owned.mayAcquire(key, clock.now())) return this.#ask(range, request, asked);
    return this.#acquire(request, key, leaseId, asked);
  }

  /** Reads the key and becomes its owner in one go, if it has none, and no lease that may end it. */
  async #acquire(request: RangeRequest, key: string, leaseId: bigint, asked: Asked): Promise<RangeResponse> {
    const { owned, session } = this.#options;
    const leasingKey = this.#leasingKey(request.key);
    const whole = new RequestOp({ requestRange: new RangeRequest({ key: request.key }) });
    const begun = owned.now;
    const response = await this.#ask(
      txn,
      new TxnRequest({
        compare: [compare.notExists(leasingKey), compare.lease(request.key, '=', 0n)],
        success: [whole, op.put(leasingKey, '', { lease: leaseId })],
        failure: [whole, op.get(leasingKey)],
      }),
      asked,
    );
    const header = response.header ?? new ResponseHeader();
    const [pair] = response.responses[0]?.responseRange?.kvs ?? [];
    const [leasing] = response.responses[1]?.responseRange?.kvs ?? [];
    const isOurs = response.succeeded || (leasing !== undefined && leasing.lease === leaseId);
    const known = { header, pair: pair ?? null };
    const isRevoked = leasing !== undefined && latin1FromBytes(leasing.value) === REVOKE;
    if (isOurs && !isRevoked && (pair === undefined || pair.lease === 0n) && session.leaseId === leaseId) {
      owned.claim(key, header.revision);
      owned.add(key, known, begun);
    }
    return answerOf(known, request);
  }

  /** Whether the cluster still answers those without a token. Not being able to ask is no reason to doubt it. */
  async #isOpen(): Promise<boolean> {
    const { clock, owned, own } = this.#options;
    if (clock.now() < this.#openUntilMs) return true;
    const request = new RangeRequest({ key: this.#prefix, serializable: true, countOnly: true });
    const asked = { caller: own, deadlineMs: clock.now() + OPEN_MS, signal: new AbortController().signal };
    try {
      await this.#ask(range, request, asked);
    } catch (error) {
      if (error instanceof Refusal && REFUSED_CODES.has(error.code)) {
        owned.clear();
        return false;
      }
    }
    this.#openUntilMs = clock.now() + OPEN_MS;
    return true;
  }

  // Writes

  /** Null for what writes nothing, or nothing that a member would take. */
  #writeOne(
    operation: RequestOp,
    asked: Asked,
    encodeAnswer: (response: ResponseOp, header: ResponseHeader | null) => Uint8Array,
  ): Promise<Uint8Array> | null {
    const written: Written[] = [];
    const isWhole = collectWritten(operation, written);
    if (!isWhole || written.length === 0) return null;
    return this.#write(written, operation, asked).then((response) =>
      encodeAnswer(response.responses[0]!, response.header),
    );
  }

  async #write(written: readonly Written[], operation: RequestOp, asked: Asked): Promise<TxnResponse> {
    const { owned } = this.#options;
    const ends = written.map(({ key, end }) => owned.beginWrite(latin1FromBytes(key), latin1FromBytes(end)));
    try {
      for (;;) {
        asked.signal.throwIfAborted();
        const conditions: Compare[] = [];
        for (const one of written) conditions.push(await this.#guard(one, asked));
        const failure = written.map(({ key, end }) => this.#leasingRange(key, end));
        const request = new TxnRequest({ compare: conditions, success: [operation], failure });
        const response = await this.#ask(txn, request, asked);
        if (response.succeeded) return response;
        for (const { responseRange } of response.responses) {
          for (const { key } of responseRange?.kvs ?? []) await this.#takeAway(key, asked);
        }
      }
    } finally {
      for (const end of ends) end();
    }
  }

  /** The condition that nobody else owns what is written. Owners of keys of a range give them up before. */
  async #guard({ key, end }: Written, asked: Asked): Promise<Compare> {
    const { owned, session } = this.#options;
    if (end.length === 0) {
      const claim = owned.claimOf(latin1FromBytes(key));
      return compare.createRevision(this.#leasingKey(key), '<', claim + 1);
    }
    const { requestRange } = this.#leasingRange(key, end);
    const { kvs } = await this.#ask(range, requestRange!, asked);
    let newest = 0;
    for (const leasing of kvs) {
      newest = Math.max(newest, leasing.createRevision);
      if (leasing.lease !== session.leaseId) await this.#takeAway(leasing.key, asked);
    }
    const condition = compare.createRevision(this.#leasingKey(key), '<', newest + 1);
    condition.rangeEnd = requestRange!.rangeEnd;
    return condition;
  }

  /** Has the owner of a leasing key give it up, and waits until he has, or his lease has ended. */
  async #takeAway(leasingKey: Uint8Array, asked: Asked): Promise<void> {
    const { keys } = this.#options;
    const request = new TxnRequest({
      compare: [compare.exists(leasingKey)],
      success: [
        new RequestOp({
          requestPut: new PutRequest({ key: leasingKey, value: Buffer.from(REVOKE), ignoreLease: true }),
        }),
      ],
    });
    const { succeeded, header } = await this.#ask(txn, request, asked);
    if (!succeeded) return;
    const startRevision = (header?.revision ?? 0) + 1;
    const watch = keys.watch(leasingKey, { startRevision, signal: asked.signal });
    for await (const { type } of watch.events()) if (type === DELETE) return;
  }

  #leasingKey(key: Uint8Array): Buffer {
    return Buffer.concat([this.#prefix, key]);
  }

  #leasingRange(key: Uint8Array, end: Uint8Array): RequestOp {
    const isOpen = end.length === 1 && end[0] === 0;
    const rangeEnd = end.length === 0 ? NOTHING : isOpen ? prefixEnd(this.#prefix) : this.#leasingKey(end);
    return new RequestOp({ requestRange: new RangeRequest({ key: this.#leasingKey(key), rangeEnd }) });
  }

  /** Asks the cluster as the caller. Rejects with {@link Refusal}. */
  #ask<Request, Response>(
    { path, request: codec, response }: Method<'unary', Request, Response>,
    request: Request,
    { caller, deadlineMs, signal }: Asked,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const asked = this.#options.below.unary(
        path,
        encode(codec, request),
        caller,
        deadlineMs,
        (code, message, bytes, start, end) => {
          signal.removeEventListener('abort', cancel);
          if (code === GrpcCode.OK) resolve(decoded(response, bytes, start, end));
          else reject(new Refusal(code, message));
        },
      );
      const cancel = (): void => {
        asked.cancel();
        reject(new Refusal(GrpcCode.Canceled, 'context canceled'));
      };
      signal.addEventListener('abort', cancel);
    });
  }
}

/** A copy: what is kept of it lives long. */
function decoded<T>(codec: Codec<T>, bytes: Uint8Array, start: number, end: number): T {
  return codec.decode(Buffer.from(bytes.subarray(start, end)));
}

/** Adds what an operation may write. False for one that a member refuses for want of a key. */
function collectWritten(operation: RequestOp, into: Written[]): boolean {
  const { requestPut, requestDeleteRange, requestTxn } = operation;
  if (requestPut !== null) return addWritten(requestPut.key, NOTHING, into);
  if (requestDeleteRange !== null)
    return addWritten(requestDeleteRange.key, requestDeleteRange.rangeEnd, into);
  if (requestTxn === null) return true;
  return [...requestTxn.success, ...requestTxn.failure].every((inner) => collectWritten(inner, into));
}

function addWritten(key: Uint8Array, end: Uint8Array, into: Written[]): boolean {
  if (key.length === 0) return false;
  const isKnown = into.some((one) => one.key.equals(key) && one.end.equals(end));
  if (!isKnown) into.push({ key: Buffer.from(key), end: Buffer.from(end) });
  return true;
}
