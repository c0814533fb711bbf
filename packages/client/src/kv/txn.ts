/**
 * A transaction in the making:
 *
 *     const { succeeded } = await kv.txn()
 *       .when(compare.value('lock', '=', 'mine'))
 *       .do(op.put('state', 'done'))
 *       .otherwise(op.get('lock'))
 *       .commit();
 *
 * All conditions must hold for the first branch to run. Nothing is sent before {@link TxnBuilder.commit}.
 */
import { type Compare, type RequestOp, TxnRequest, type TxnResponse } from '@etcd/api/etcdserverpb';
import type { CallOptions } from '../options.ts';

export class TxnBuilder {
  readonly #run: (request: TxnRequest, options: CallOptions) => Promise<TxnResponse>;
  readonly #request = new TxnRequest();

  constructor(run: (request: TxnRequest, options: CallOptions) => Promise<TxnResponse>) {
    this.#run = run;
  }

  /** Further conditions. */
  when(...conditions: readonly Compare[]): this {
    this.#request.compare.push(...conditions);
    return this;
  }

  /** What is done when every condition holds. */
  do(...operations: readonly RequestOp[]): this {
    this.#request.success.push(...operations);
    return this;
  }

  /** What is done when one does not. */
  otherwise(...operations: readonly RequestOp[]): this {
    this.#request.failure.push(...operations);
    return this;
  }

  /** The request as it stands, to be nested into another transaction by `op.txn`. */
  build(): TxnRequest {
    const { compare, success, failure } = this.#request;
    return new TxnRequest({ compare: [...compare], success: [...success], failure: [...failure] });
  }

  commit(options: CallOptions = {}): Promise<TxnResponse> {
    return this.#run(this.build(), options);
  }
}
