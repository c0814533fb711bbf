/** What the types of the table and of proposals refuse. */
import { testWrongPrograms } from '@etcd/testing';

const PROPOSAL = `
import { PutRequest, TxnRequest } from '@etcd/api/etcdserverpb';
import { NO_IDENTITY } from '@etcd/storage/auth';
import type { Requests } from 'SERVER/rpc/member.ts';
import type { Encoded, Waiter } from 'SERVER/request/index.ts';

declare const requests: Requests;
declare const putWaiter: Waiter<'put'>;
declare const txnWaiter: Waiter<'txn'>;
declare const putBytes: Encoded<PutRequest>;
declare const txnBytes: Encoded<TxnRequest>;
requests.proposals.propose('put', new PutRequest(), NO_IDENTITY, putWaiter);
requests.proposals.proposeBytes('txn', txnBytes, 0, 1, NO_IDENTITY, txnWaiter);
`;

const ROWS = `
import { LockService } from '@etcd/api/services';
import { NOT_SERVED, type Rows } from 'SERVER/rpc/row.ts';

const RULES = { needs: 'user', onLearner: 'refused', whenFenced: 'refused' } as const;
const rows: Rows<typeof LockService> = { lock: NOT_SERVED, unlock: { ...RULES, run: () => {} } };
export { rows };
`;

const PROGRAMS: Readonly<Record<string, string>> = {
  'a request proposed as another kind': `${PROPOSAL}
! requests.proposals.propose('leaseRevoke', new PutRequest(), NO_IDENTITY, { kind: 'leaseRevoke', request: null, onApplied() {}, onFailed() {} });`,
  'a waiter for another kind': `${PROPOSAL}
! requests.proposals.propose('put', new PutRequest(), NO_IDENTITY, txnWaiter);`,
  'bytes of another request': `${PROPOSAL}
! requests.proposals.proposeBytes('put', txnBytes, 0, 1, NO_IDENTITY, putWaiter);`,
  'a kind that does not exist': `${PROPOSAL}
! requests.proposals.proposeBytes('putt', putBytes, 0, 1, NO_IDENTITY, putWaiter);`,
  'a result that the kind does not give': `${PROPOSAL}
const waiter: Waiter<'leaseGrant'> = {
  kind: 'leaseGrant',
  request: null,
! onApplied: ({ succeeded }) => succeeded,
  onFailed: () => {},
};
export { waiter };`,
  'a missing row': `${ROWS}
! const missing: Rows<typeof LockService> = { lock: NOT_SERVED };
export { missing };`,
  'a misspelt row': `${ROWS}
! const misspelt: Rows<typeof LockService> = { lock: NOT_SERVED, unlock: NOT_SERVED, unlok: NOT_SERVED };
export { misspelt };`,
  'a field that the request does not have': `${ROWS}
! const wrong: Rows<typeof LockService> = { ...rows, lock: { ...RULES, run: (_services, _call, { nam }) => nam } };
export { wrong };`,
  'a verdict on another request': `${ROWS}
import { READS_RANGE } from 'SERVER/rpc/verdicts.ts';
! const wrong: Rows<typeof LockService> = { ...rows, lock: { ...RULES, needs: READS_RANGE, run: () => {} } };
export { wrong };`,
  "another method's answer": `${ROWS}
import { UnlockResponse, UnlockResponseCodec } from '@etcd/api/v3lockpb';
import { answer } from 'SERVER/rpc/rpc-context.ts';
const wrong: Rows<typeof LockService> = {
  ...rows,
! lock: { ...RULES, run: (_services, call) => answer(call, UnlockResponseCodec, new UnlockResponse()) },
};
export { wrong };`,
  'a row without a verdict': `${ROWS}
! const wrong: Rows<typeof LockService> = { ...rows, lock: { onLearner: 'refused', whenFenced: 'refused', run: () => {} } };
export { wrong };`,
};

testWrongPrograms(PROGRAMS);
