/** Requests as a line in the log shows them: keys and sizes, never values. */
import {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';

/** Of longer keys, and of more operations, only the beginning is shown. */
const MAX_KEY_BYTES = 256;
const MAX_OPS_SHOWN = 8;

/** null for a request that is not about keys. */
export function requestText(request: object): string | null {
  if (request instanceof PutRequest) return putText(request);
  if (request instanceof TxnRequest) return txnText(request);
  if (request instanceof RangeRequest) return rangeText(request);
  return request instanceof DeleteRangeRequest ? deleteRangeText(request) : null;
}

function putText({ key, value, lease }: PutRequest): string {
  const leaseText = lease === 0n ? '' : ` lease:${lease}`;
  return `put:<key:${keyText(key)} value_size:${value.length}${leaseText} >`;
}

function deleteRangeText({ key, rangeEnd }: DeleteRangeRequest): string {
  return `delete_range:<${keysText(key, rangeEnd)} >`;
}

function rangeText({ key, rangeEnd, limit, revision }: RangeRequest): string {
  const limitText = limit === 0 ? '' : ` limit:${limit}`;
  const revisionText = revision === 0 ? '' : ` revision:${revision}`;
  return `range:<${keysText(key, rangeEnd)}${limitText}${revisionText} >`;
}

function txnText({ compare, success, failure }: TxnRequest): string {
  return `txn:<compare:${compare.length} success:<${opsText(success)}> failure:<${opsText(failure)}> >`;
}

function opsText(ops: readonly RequestOp[]): string {
  const shown = ops.slice(0, MAX_OPS_SHOWN).map(opText).join(' ');
  return ops.length <= MAX_OPS_SHOWN ? shown : `${shown} and ${ops.length - MAX_OPS_SHOWN} more`;
}

function opText({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): string {
  if (requestRange !== null) return rangeText(requestRange);
  if (requestPut !== null) return putText(requestPut);
  if (requestDeleteRange !== null) return deleteRangeText(requestDeleteRange);
  return requestTxn === null ? 'nothing' : `txn:<success:${requestTxn.success.length}>`;
}

function keysText(key: Uint8Array, rangeEnd: Uint8Array): string {
  return rangeEnd.length === 0 ? `key:${keyText(key)}` : `key:${keyText(key)} range_end:${keyText(rangeEnd)}`;
}

function keyText(key: Uint8Array): string {
  const shown = Buffer.from(key.subarray(0, MAX_KEY_BYTES)).toString('utf8');
  return JSON.stringify(key.length <= MAX_KEY_BYTES ? shown : `${shown}…`);
}
