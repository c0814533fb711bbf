/** The requests of which locks and elections are made. */
import { prefixEnd, type Revision } from '@etcd/api';
import {
  Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  SortOrder,
  SortTarget,
  TxnRequest,
} from '@etcd/api/etcdserverpb';

/** Whose place in a queue it is: the key, and the revision at which that was created. */
export interface Place {
  readonly key: Uint8Array;
  readonly revision: Revision;
}

/** The key of a lease is put unless it is there; either way the first in the queue is read, as the second answer. */
export function enterRequest(
  prefix: Uint8Array,
  key: Uint8Array,
  lease: bigint,
  value: Uint8Array,
): TxnRequest {
  const first = new RequestOp({ requestRange: firstRequest(prefix) });
  return new TxnRequest({
    compare: [created({ key, revision: 0 })],
    success: [new RequestOp({ requestPut: new PutRequest({ key, value, lease }) }), first],
    failure: [new RequestOp({ requestRange: new RangeRequest({ key }) }), first],
  });
}

/** What a leader says, if it still leads. */
export function proclaimRequest(place: Place, lease: bigint, value: Uint8Array): TxnRequest {
  const put = new PutRequest({ key: place.key, value, lease });
  return new TxnRequest({ compare: [created(place)], success: [new RequestOp({ requestPut: put })] });
}

/** A place is given up, if it is still the same. */
export function leaveRequest(place: Place): TxnRequest {
  const requestDeleteRange = new DeleteRangeRequest({ key: place.key });
  return new TxnRequest({ compare: [created(place)], success: [new RequestOp({ requestDeleteRange })] });
}

/** Who owns the place. */
export function firstRequest(prefix: Uint8Array): RangeRequest {
  return queueRequest(prefix, SortOrder.ASCEND, 0);
}

/** The last of those who came before `revision`. */
export function predecessorRequest(prefix: Uint8Array, revision: Revision): RangeRequest {
  return queueRequest(prefix, SortOrder.DESCEND, revision - 1);
}

function queueRequest(prefix: Uint8Array, sortOrder: number, maxCreateRevision: number): RangeRequest {
  const rangeEnd = prefixEnd(prefix);
  const sortTarget = SortTarget.CREATE;
  return new RangeRequest({ key: prefix, rangeEnd, sortOrder, sortTarget, limit: 1, maxCreateRevision });
}

function created({ key, revision }: Place): Compare {
  return new Compare({
    key,
    result: CompareResult.EQUAL,
    target: CompareTarget.CREATE,
    targetUnion: CompareTargetUnion.createRevision,
    createRevision: revision,
  });
}
