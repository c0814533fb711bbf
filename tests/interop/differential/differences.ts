/**
 * Everything in which a server that conducts itself as etcd 3.7 may differ from etcd 3.5, each with its reason.
 * Nothing else is tolerated, and nothing at all between two servers of the same release.
 */
import { atLeast } from '../../support/programs.ts';
import type { Operation, Request } from './operations.ts';

export interface Answers {
  readonly ours: object;
  readonly theirs: object;
}

export interface Difference {
  readonly reason: string;
  /** The answers with the difference taken away, or null if it doesn't concern this operation. */
  readonly reconcile: (operation: Operation, answers: Answers) => Answers | null;
}

const FAULTS_OF_A_TXN = [
  'etcdserver: key not found',
  'etcdserver: requested lease not found',
  'etcdserver: mvcc: required revision has been compacted',
  'etcdserver: mvcc: required revision is a future revision',
];

const SINCE_3_6: readonly Difference[] = [
  {
    reason: '3.6: HashKV says at which revision it hashed',
    reconcile: (operation, { ours, theirs }) => {
      if (operation.kind !== 'call' || operation.method !== 'Maintenance.HashKV') return null;
      if ('code' in ours || 'code' in theirs) return null;
      return { ours: { ...ours, hash_revision: 0n }, theirs: { ...theirs, hash_revision: 0n } };
    },
  },
];

const SINCE_3_7: readonly Difference[] = [
  {
    reason: '3.7: keys-only ranges are answered from the index, which knows no lease',
    reconcile: (operation, { ours, theirs }) => {
      if (!mentions(operation, 'keys_only')) return null;
      return { ours: withoutLeaseOfEmptyValues(ours), theirs: withoutLeaseOfEmptyValues(theirs) };
    },
  },
  {
    reason: '3.7: of several faults of one transaction another one is reported',
    reconcile: (operation, { ours, theirs }) => {
      if (operation.kind !== 'call' || operation.method !== 'KV.Txn') return null;
      if (!isFaultOfTxn(ours) || !isFaultOfTxn(theirs)) return null;
      return { ours: theirs, theirs };
    },
  },
];

/** The differences that are legitimate between these two programs. */
export function legitimateDifferences(subject: string, reference: string): readonly Difference[] {
  const between = (minor: number): boolean => atLeast(subject, 3, minor) && !atLeast(reference, 3, minor);
  return [...(between(6) ? SINCE_3_6 : []), ...(between(7) ? SINCE_3_7 : [])];
}

function isFaultOfTxn(answer: object): boolean {
  return 'details' in answer && FAULTS_OF_A_TXN.includes(String(answer.details));
}

function mentions(operation: Operation, field: string): boolean {
  return operation.kind === 'call' && someRequest(operation.request, (request) => field in request);
}

/** True if the condition holds for the request or any inside it. */
function someRequest(request: Request, condition: (request: Request) => boolean): boolean {
  if (condition(request)) return true;
  return Object.values(request).some((value) =>
    Array.isArray(value)
      ? value.some((item) => isObject(item) && someRequest(item, condition))
      : isObject(value) && someRequest(value, condition),
  );
}

function isObject(value: unknown): value is Request {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}

function withoutLeaseOfEmptyValues(value: object): object {
  if (Array.isArray(value))
    return value.map((item) => (isObject(item) ? withoutLeaseOfEmptyValues(item) : item));
  const entries = Object.entries(value).map(([key, inner]) => [
    key,
    isObject(inner) ? withoutLeaseOfEmptyValues(inner) : inner,
  ]);
  const copy = Object.fromEntries(entries) as Record<string, unknown>;
  if (copy['value'] instanceof Uint8Array && copy['value'].length === 0 && 'lease' in copy)
    copy['lease'] = 0n;
  return copy;
}
