/** What the requests of the table need that depends on the request itself. */
import {
  AlarmAction,
  type AlarmRequest,
  type LeaseKeepAliveRequest,
  type LeaseTimeToLiveRequest,
  type RangeRequest,
  type TxnRequest,
  type WatchRequest,
} from '@etcd/api/etcdserverpb';
import type { AppliedVerdict, JudgedVerdict } from './row.ts';

/** The range as the client wrote it (S01). */
export const READS_RANGE: JudgedVerdict<RangeRequest> = {
  when: 'read',
  words: 'READ on the range',
  judge: (access, identity, { key, rangeEnd }) => access.range(identity, key, rangeEnd),
};

export const WRITES_KEY: AppliedVerdict = {
  when: 'applied',
  words: "WRITE on the key; with `prev_kv` READ, too; with a lease WRITE on all of the lease's keys",
};

export const DELETES_RANGE: AppliedVerdict = {
  when: 'applied',
  words: 'WRITE on the range; with `prev_kv` READ, too',
};

/** All of the transaction, whichever branch will run, however deep (S02). One that writes is judged by the applier. */
export const DOES_TXN: JudgedVerdict<TxnRequest> = {
  when: 'read',
  words: 'what its comparisons and the operations of both branches need; one that writes when it is applied',
  judge: (access, identity, request) => access.txn(identity, request),
};

export const REVOKES_LEASE: AppliedVerdict = {
  when: 'applied',
  words: "any user, and WRITE on all of the lease's keys",
};

export const RENEWS_LEASE: JudgedVerdict<LeaseKeepAliveRequest> = {
  when: 'message',
  words: "WRITE on all of the lease's keys",
  judge: (access, identity, { id }) => access.user(identity) ?? access.leaseKeys(identity, id, 'write'),
};

/** What a lease's keys are called is told only to who may read them (S05). */
export const ASKS_FOR_LEASE: JudgedVerdict<LeaseTimeToLiveRequest> = {
  when: 'called',
  words: "any user; with `keys` READ on all of the lease's keys",
  judge: (access, identity, { id, keys }) =>
    access.user(identity) ?? (keys ? access.leaseKeys(identity, id, 'read') : null),
};

export const WATCHES_RANGE: JudgedVerdict<WatchRequest> = {
  when: 'message',
  words: 'READ on the range, for each watcher that is created',
  judge: (access, identity, { createRequest }) =>
    createRequest === null ? null : access.range(identity, createRequest.key, createRequest.rangeEnd),
};

export const READS_OR_SETS_ALARM: JudgedVerdict<AlarmRequest> = {
  when: 'called',
  words: 'any user for reading, an administrator for raising and disarming',
  judge: (access, identity, { action }) =>
    action === AlarmAction.GET ? access.user(identity) : access.admin(identity),
};
