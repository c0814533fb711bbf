/** The store's results as messages, for tests that compare them with what others answer. */
import {
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  ResponseOp,
  TxnResponse,
} from '@etcd/api/etcdserverpb';
import { decodeKeyValue, type KeyValue } from '@etcd/api/mvccpb';
import {
  DELETE_RANGE,
  type DeleteRangeResult,
  type OpResult,
  PUT,
  type PutResult,
  RANGE,
  type RangeResult,
  TXN,
  type TxnResult,
} from '../results.ts';
import type { Slices } from '../slices.ts';

/** The pairs, decoded from copies. */
export function keyValues(pairs: Slices | null): KeyValue[] {
  const found: KeyValue[] = [];
  for (let i = 0; pairs !== null && i < pairs.count; i++) {
    found.push(decodeKeyValue(Uint8Array.from(pairs.buffer(i).subarray(pairs.start(i), pairs.end(i)))));
  }
  return found;
}

export function rangeResponse({ revision, kvs, more, count }: RangeResult): RangeResponse {
  return new RangeResponse({ header: new ResponseHeader({ revision }), kvs: keyValues(kvs), more, count });
}

export function putResponse({ revision, prevKv }: PutResult): PutResponse {
  return new PutResponse({ header: new ResponseHeader({ revision }), prevKv: keyValues(prevKv)[0] ?? null });
}

export function deleteRangeResponse({ revision, deleted, prevKvs }: DeleteRangeResult): DeleteRangeResponse {
  const header = new ResponseHeader({ revision });
  return new DeleteRangeResponse({ header, deleted, prevKvs: keyValues(prevKvs) });
}

/** Nested transactions have an empty header. */
export function txnResponse({ revision, succeeded, responses }: TxnResult): TxnResponse {
  const header = new ResponseHeader({ revision });
  return new TxnResponse({ header, succeeded, responses: responses.map(responseOp) });
}

function responseOp(result: OpResult): ResponseOp {
  if (result.kind === RANGE) return new ResponseOp({ responseRange: rangeResponse(result) });
  if (result.kind === PUT) return new ResponseOp({ responsePut: putResponse(result) });
  if (result.kind === DELETE_RANGE)
    return new ResponseOp({ responseDeleteRange: deleteRangeResponse(result) });
  return result.kind === TXN ? new ResponseOp({ responseTxn: txnResponse(result) }) : new ResponseOp();
}
