/**
 * A part of the store for itself (`--namespace`): keys get a prefix on their way to the cluster and lose it on the way back, in every
 * message that has keys. Each mapping takes an encoded message and gives one.
 */
import type { Method, MethodKind } from '@etcd/api';
import { encode } from '@etcd/api';
import { RangeStreamResponse, type RequestOp, type TxnRequest } from '@etcd/api/etcdserverpb';
import { ElectionService, KvService, LeaseService, LockService } from '@etcd/api/services';
import { equalBytes } from '@etcd/base';
import { namespaceRange, stripDelete, stripPut, stripRange, stripTxn } from '@etcd/client/forward';
import type { MessageMap } from '../upstream/forward.ts';

/** How the messages of one method are mapped. */
export interface NamespaceRow {
  readonly request: MessageMap;
  readonly response: MessageMap;
}

/** By the path of the method; those that are not in it have no keys. */
export function namespaceRows(prefix: Uint8Array): ReadonlyMap<string, NamespaceRow> {
  const rows = new Map<string, NamespaceRow>();
  const add = <Request, Response>(
    method: Method<MethodKind, Request, Response>,
    mapRequest: (request: Request) => Request,
    mapResponse: (response: Response) => Response,
  ): void => {
    rows.set(method.path, {
      request: (bytes, start, end) =>
        encode(method.request, mapRequest(method.request.decode(bytes, start, end))),
      response: (bytes, start, end) =>
        encode(method.response, mapResponse(method.response.decode(bytes, start, end))),
    });
  };
  const { length } = prefix;
  const kv = KvService.methods;
  add(
    kv.range,
    (request) => inNamespace(prefix, request),
    (answer) => stripRange(length, answer),
  );
  add(
    kv.put,
    (request) => putInNamespace(prefix, request),
    (answer) => stripPut(length, answer),
  );
  add(
    kv.deleteRange,
    (request) => inNamespace(prefix, request),
    (answer) => stripDelete(length, answer),
  );
  add(
    kv.txn,
    (request) => txnInNamespace(prefix, request),
    (answer) => stripTxn(length, answer),
  );
  add(
    kv.rangeStream,
    (request) => inNamespace(prefix, request),
    (answer) => {
      if (answer.rangeResponse !== null) stripRange(length, answer.rangeResponse);
      return new RangeStreamResponse(answer);
    },
  );
  add(LeaseService.methods.leaseTimeToLive, same, (answer) => {
    // Those of other namespaces are nobody's business here.
    const own = answer.keys.filter((key) => equalBytes(key.subarray(0, length), prefix));
    answer.keys = own.map((key) => key.subarray(length));
    return answer;
  });
  addConcurrency(prefix, add);
  return rows;
}

/** An empty key stays one: whether it is refused, and before what else, is the member's business. */
function inNamespace<T extends { key: Uint8Array; rangeEnd: Uint8Array }>(prefix: Uint8Array, request: T): T {
  return request.key.length === 0 ? request : Object.assign(request, namespaceRange(prefix, request));
}

function putInNamespace<T extends { key: Uint8Array }>(prefix: Uint8Array, request: T): T {
  if (request.key.length > 0) request.key = Buffer.concat([prefix, request.key]);
  return request;
}

function txnInNamespace(prefix: Uint8Array, request: TxnRequest): TxnRequest {
  for (const condition of request.compare) inNamespace(prefix, condition);
  for (const operation of request.success) operationInNamespace(prefix, operation);
  for (const operation of request.failure) operationInNamespace(prefix, operation);
  return request;
}

function operationInNamespace(prefix: Uint8Array, operation: RequestOp): void {
  const { requestRange, requestPut, requestDeleteRange, requestTxn } = operation;
  if (requestRange !== null) inNamespace(prefix, requestRange);
  if (requestPut !== null) putInNamespace(prefix, requestPut);
  if (requestDeleteRange !== null) inNamespace(prefix, requestDeleteRange);
  if (requestTxn !== null) txnInNamespace(prefix, requestTxn);
}

type Add = <Request, Response>(
  method: Method<MethodKind, Request, Response>,
  mapRequest: (request: Request) => Request,
  mapResponse: (response: Response) => Response,
) => void;

/** Locks and elections, whose names are keys. */
function addConcurrency(prefix: Uint8Array, add: Add): void {
  const inside = (key: Uint8Array): Uint8Array => Buffer.concat([prefix, key]);
  const outside = (key: Uint8Array): Uint8Array => key.subarray(prefix.length);
  const { lock, unlock } = LockService.methods;
  add(
    lock,
    (request) => Object.assign(request, { name: inside(request.name) }),
    (answer) => Object.assign(answer, { key: outside(answer.key) }),
  );
  add(unlock, (request) => Object.assign(request, { key: inside(request.key) }), same);
  const { campaign, proclaim, leader, observe, resign } = ElectionService.methods;
  const leaderInside = <T extends { leader: { name: Uint8Array; key: Uint8Array } | null }>(
    request: T,
  ): T => {
    if (request.leader === null) return request;
    Object.assign(request.leader, { name: inside(request.leader.name), key: inside(request.leader.key) });
    return request;
  };
  const pairOutside = <T extends { kv: { key: Uint8Array } | null }>(answer: T): T => {
    if (answer.kv !== null) answer.kv.key = outside(answer.kv.key);
    return answer;
  };
  add(
    campaign,
    (request) => Object.assign(request, { name: inside(request.name) }),
    (answer) => {
      if (answer.leader === null) return answer;
      Object.assign(answer.leader, { name: outside(answer.leader.name), key: outside(answer.leader.key) });
      return answer;
    },
  );
  add(proclaim, leaderInside, same);
  add(resign, leaderInside, same);
  add(leader, (request) => Object.assign(request, { name: inside(request.name) }), pairOutside);
  add(observe, (request) => Object.assign(request, { name: inside(request.name) }), pairOutside);
}

function same<T>(message: T): T {
  return message;
}
