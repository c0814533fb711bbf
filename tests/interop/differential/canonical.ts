/**
 * Answers in a form in which two servers can be compared: identifiers and terms say only whether they are set, what
 * etcd leaves undefined (the order of equal elements in long lists under its unstable sort, the order of a lease's keys) is put
 * in one order, and the rest stays as it is.
 */
import type {
  Header,
  KeyValue,
  LeaseTimeToLiveResponse,
  MethodName,
  RangeResponse,
  ResponseOp,
  StatusResponse,
  TxnResponse,
} from '../../support/messages.ts';
import type { Request } from './operations.ts';

export function canonicalHeader(header: Header | null): object | null {
  if (header === null) return null;
  return {
    revision: header.revision,
    has_cluster_id: header.cluster_id !== 0n,
    has_member_id: header.member_id !== 0n,
    has_raft_term: header.raft_term !== 0n,
  };
}

/** The canonical form of an answer to `request`. */
export function canonical(method: MethodName, request: Request, response: object): object {
  const answer = response as { header?: Header | null };
  const header = canonicalHeader(answer.header ?? null);
  switch (method) {
    case 'KV.Range':
      return canonicalRange(request, response as RangeResponse);
    case 'KV.Txn':
      return canonicalTxn(request, response as TxnResponse);
    case 'Lease.LeaseTimeToLive': {
      const { ID, TTL, grantedTTL, keys } = response as LeaseTimeToLiveResponse;
      const sorted = keys.map((key) => key.toString('latin1')).sort();
      return { header, ID, isAlive: TTL > 0n, grantedTTL, keys: sorted };
    }
    case 'Lease.LeaseLeases': {
      const { leases } = response as { leases: readonly { ID: bigint }[] };
      return { header, leases: leases.map((lease) => lease.ID).sort() };
    }
    case 'Maintenance.Status': {
      const { errors, isLearner } = response as StatusResponse;
      return { header, errors, isLearner };
    }
    case 'Cluster.MemberList': {
      const { members } = response as { members: readonly { name: string; isLearner: boolean }[] };
      return { header, members: members.map(({ name, isLearner }) => ({ name, isLearner })) };
    }
    default:
      return { ...response, header };
  }
}

function canonicalTxn(request: Request, response: TxnResponse): object {
  const branch = (response.succeeded ? request['success'] : request['failure']) as Request[] | undefined;
  return {
    header: canonicalHeader(response.header),
    succeeded: response.succeeded,
    responses: response.responses.map((op, i) => canonicalOp(branch?.[i] ?? {}, op)),
  };
}

function canonicalOp(request: Request, op: ResponseOp): object {
  if (op.response_range !== undefined) {
    return { range: canonicalRange(request['request_range'] as Request, op.response_range) };
  }
  if (op.response_txn !== undefined) {
    return { txn: canonicalTxn(request['request_txn'] as Request, op.response_txn) };
  }
  const inner = op.response_put ?? op.response_delete_range;
  if (inner === undefined) return { nothing: true };
  return { [op.response!]: { ...inner, header: canonicalHeader(inner.header) } };
}

const GO_STABLE_COUNT = 12n;

/** What the answer was sorted by, by number and by name. */
const SORT_ATTRIBUTE: Readonly<Record<number, keyof KeyValue>> = {
  1: 'version',
  2: 'create_revision',
  3: 'mod_revision',
  4: 'value',
};

function canonicalRange(request: Request, response: RangeResponse): object {
  const header = canonicalHeader(response.header);
  const attribute = SORT_ATTRIBUTE[Number(request['sort_target'] ?? 0)];
  const { kvs, more, count } = response;
  if (attribute === undefined) return { header, kvs, more, count };
  // Equal elements stay in the order of their keys as long as Go's sort inserts one after the other. In longer lists their order,
  // and with it which of them a limit cuts off, is what that sort happens to make of them.
  if (count <= GO_STABLE_COUNT) return { header, kvs, more, count };
  const order = kvs.map((kv) => kv[attribute]);
  const limit = Number(request['limit'] ?? 0);
  if (limit > 0) return { header, order, more, count };
  const byKey = [...kvs].sort((a, b) => Buffer.compare(a.key, b.key));
  return { header, order, kvs: byKey, more, count };
}
