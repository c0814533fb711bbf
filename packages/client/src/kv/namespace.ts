/** Puts a namespace's prefix before the keys of requests and takes it from those of answers. Requests are copied, not changed. */
import {
  Compare,
  DeleteRangeRequest,
  type DeleteRangeResponse,
  PutRequest,
  type PutResponse,
  RangeRequest,
  type RangeResponse,
  RequestOp,
  TxnRequest,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { concatBytes, namespaceRange } from '../keys.ts';

export function rangeInNamespace(prefix: Uint8Array, request: RangeRequest): RangeRequest {
  return new RangeRequest({ ...request, ...namespaceRange(prefix, request) });
}

export function putInNamespace(prefix: Uint8Array, request: PutRequest): PutRequest {
  return new PutRequest({ ...request, key: concatBytes(prefix, request.key) });
}

export function deleteInNamespace(prefix: Uint8Array, request: DeleteRangeRequest): DeleteRangeRequest {
  return new DeleteRangeRequest({ ...request, ...namespaceRange(prefix, request) });
}

export function txnInNamespace(prefix: Uint8Array, request: TxnRequest): TxnRequest {
  const inBranch = (operation: RequestOp): RequestOp => operationInNamespace(prefix, operation);
  return new TxnRequest({
    compare: request.compare.map(
      (condition) => new Compare({ ...condition, ...namespaceRange(prefix, condition) }),
    ),
    success: request.success.map(inBranch),
    failure: request.failure.map(inBranch),
  });
}

function operationInNamespace(prefix: Uint8Array, operation: RequestOp): RequestOp {
  const { requestRange, requestPut, requestDeleteRange, requestTxn } = operation;
  return new RequestOp({
    requestRange: requestRange === null ? null : rangeInNamespace(prefix, requestRange),
    requestPut: requestPut === null ? null : putInNamespace(prefix, requestPut),
    requestDeleteRange: requestDeleteRange === null ? null : deleteInNamespace(prefix, requestDeleteRange),
    requestTxn: requestTxn === null ? null : txnInNamespace(prefix, requestTxn),
  });
}

/** Takes the prefix of `length` bytes from the pair's key. */
function stripPair(length: number, pair: KeyValue | null): void {
  if (pair !== null) pair.key = pair.key.subarray(length);
}

export function stripRange(length: number, response: RangeResponse): RangeResponse {
  for (const pair of response.kvs) stripPair(length, pair);
  return response;
}

export function stripPut(length: number, response: PutResponse): PutResponse {
  stripPair(length, response.prevKv);
  return response;
}

export function stripDelete(length: number, response: DeleteRangeResponse): DeleteRangeResponse {
  for (const pair of response.prevKvs) stripPair(length, pair);
  return response;
}

export function stripTxn(length: number, response: TxnResponse): TxnResponse {
  for (const { responseRange, responsePut, responseDeleteRange, responseTxn } of response.responses) {
    if (responseRange !== null) stripRange(length, responseRange);
    if (responsePut !== null) stripPut(length, responsePut);
    if (responseDeleteRange !== null) stripDelete(length, responseDeleteRange);
    if (responseTxn !== null) stripTxn(length, responseTxn);
  }
  return response;
}
