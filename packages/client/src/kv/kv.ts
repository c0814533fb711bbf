/** Reads and writes of keys. Answers are etcd's messages; their byte strings are Buffers that may be kept. */
import { EtcdError } from '@etcd/api';
import {
  CompactionRequest,
  type CompactionResponse,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { KvService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { type Bytes, concatBytes, keyRange } from '../keys.ts';
import { type CallOptions, NO_OPTIONS } from '../options.ts';
import type { Caller } from '../rpc/caller.ts';
import {
  deleteInNamespace,
  putInNamespace,
  rangeInNamespace,
  stripDelete,
  stripPut,
  stripRange,
  stripTxn,
  txnInNamespace,
} from './namespace.ts';
import {
  type DeleteOptions,
  deleteRequest,
  type GetOptions,
  type PutOptions,
  putRequest,
  rangeRequest,
} from './operations.ts';
import { TxnBuilder } from './txn.ts';

const DEFAULT_PAGE_SIZE = 1000;

export interface PageOptions extends GetOptions, CallOptions {
  /** Pairs of a page. */
  readonly pageSize?: number | undefined;
}

export class KV {
  readonly #caller: Caller;
  readonly #prefix: Uint8Array;

  constructor(caller: Caller, prefix: Uint8Array) {
    this.#caller = caller;
    this.#prefix = prefix;
  }

  get(key: Bytes, options: GetOptions & CallOptions = {}): Promise<RangeResponse> {
    return this.range(rangeRequest(key, options), options);
  }

  /** The pair of one key, or null. */
  async getOne(key: Bytes, options: GetOptions & CallOptions = {}): Promise<KeyValue | null> {
    const { kvs } = await this.get(key, options);
    return kvs[0] ?? null;
  }

  put(key: Bytes, value: Bytes, options: PutOptions & CallOptions = {}): Promise<PutResponse> {
    return this.putRequest(putRequest(key, value, options), options);
  }

  delete(key: Bytes, options: DeleteOptions & CallOptions = {}): Promise<DeleteRangeResponse> {
    return this.deleteRange(deleteRequest(key, options), options);
  }

  txn(): TxnBuilder {
    return new TxnBuilder((request, options) => this.transact(request, options));
  }

  /** Forgets what is older than `revision`; `physical` waits until it is off the disk. */
  compact(
    revision: number,
    options: { readonly physical?: boolean | undefined } & CallOptions = {},
  ): Promise<CompactionResponse> {
    const request = new CompactionRequest({ revision, physical: options.physical ?? false });
    return this.#caller.unary(KvService.methods.compact, request, options);
  }

  /**
   * The range page by page, all of one revision, in the order of keys: the first page's unless one is named. Whoever reads
   * slowly may find that revision compacted.
   */
  async *pages(key: Bytes, options: PageOptions = {}): AsyncGenerator<KeyValue[], void, undefined> {
    for await (const { kvs } of this.#pageResponses(key, options)) if (kvs.length > 0) yield kvs;
  }

  /**
   * The range as the server produces it, in the order of keys, all of one revision. Servers before 3.7 are asked page by page.
   */
  async *stream(
    key: Bytes,
    options: GetOptions & CallOptions = {},
  ): AsyncGenerator<RangeResponse, void, undefined> {
    let isFirst = true;
    try {
      for await (const part of this.streamRange(rangeRequest(key, options), options)) {
        isFirst = false;
        yield part;
      }
    } catch (error) {
      const isUnknown = error instanceof EtcdError && error.code === GrpcCode.Unimplemented;
      if (!isFirst || !isUnknown || options.order !== undefined) throw error;
      yield* this.#pageResponses(key, options);
    }
  }

  /** The answer in the parts in which the server sends it; servers before 3.7 do not know how. */
  async *streamRange(
    request: RangeRequest,
    options: CallOptions = NO_OPTIONS,
  ): AsyncGenerator<RangeResponse, void, undefined> {
    const inside = this.#prefix.length === 0 ? request : rangeInNamespace(this.#prefix, request);
    const parts = this.#caller.serverStream(KvService.methods.rangeStream, inside, options);
    for await (const { rangeResponse } of parts) {
      if (rangeResponse !== null) yield stripRange(this.#prefix.length, rangeResponse);
    }
  }

  range(request: RangeRequest, options: CallOptions = NO_OPTIONS): Promise<RangeResponse> {
    const { range } = KvService.methods;
    if (this.#prefix.length === 0) return this.#caller.unary(range, request, options);
    const inside = rangeInNamespace(this.#prefix, request);
    return this.#caller
      .unary(range, inside, options)
      .then((response) => stripRange(this.#prefix.length, response));
  }

  putRequest(request: PutRequest, options: CallOptions = NO_OPTIONS): Promise<PutResponse> {
    const { put } = KvService.methods;
    if (this.#prefix.length === 0) return this.#caller.unary(put, request, options);
    const inside = putInNamespace(this.#prefix, request);
    return this.#caller
      .unary(put, inside, options)
      .then((response) => stripPut(this.#prefix.length, response));
  }

  deleteRange(request: DeleteRangeRequest, options: CallOptions = NO_OPTIONS): Promise<DeleteRangeResponse> {
    const { deleteRange } = KvService.methods;
    if (this.#prefix.length === 0) return this.#caller.unary(deleteRange, request, options);
    const inside = deleteInNamespace(this.#prefix, request);
    return this.#caller
      .unary(deleteRange, inside, options)
      .then((response) => stripDelete(this.#prefix.length, response));
  }

  transact(request: TxnRequest, options: CallOptions = NO_OPTIONS): Promise<TxnResponse> {
    const { txn } = KvService.methods;
    if (this.#prefix.length === 0) return this.#caller.unary(txn, request, options);
    const inside = txnInNamespace(this.#prefix, request);
    return this.#caller
      .unary(txn, inside, options)
      .then((response) => stripTxn(this.#prefix.length, response));
  }

  async *#pageResponses(key: Bytes, options: PageOptions): AsyncGenerator<RangeResponse, void, undefined> {
    const pageSize = options.pageSize ?? DEFAULT_PAGE_SIZE;
    const { key: first, rangeEnd } = keyRange(key, options);
    let from = first;
    let revision = options.revision ?? 0;
    let left = options.limit !== undefined && options.limit > 0 ? options.limit : Number.POSITIVE_INFINITY;
    while (left > 0) {
      const limit = Math.min(pageSize, left);
      const page = { ...options, prefix: false, fromKey: false, rangeEnd, limit, revision };
      const response: RangeResponse = await this.get(from, page);
      yield response;
      const last = response.kvs.at(-1);
      if (!response.more || last === undefined) return;
      left -= response.kvs.length;
      revision = response.header?.revision ?? revision;
      // The next key there can be.
      from = concatBytes(last.key, ZERO);
    }
  }
}

const ZERO: Uint8Array = new Uint8Array(1);
