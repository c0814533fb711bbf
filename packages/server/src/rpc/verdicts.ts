/** What the requests of the table need that depends on the request itself. */
import {
  AlarmAction,
  type AlarmRequest,
  type AuthRoleGetRequest,
  type AuthUserGetRequest,
  type LeaseKeepAliveRequest,
  type LeaseLeasesRequest,
  type LeaseRevokeRequest,
  type LeaseTimeToLiveRequest,
  type RangeRequest,
  type TxnRequest,
  type WatchCreateRequest,
  type WatchRequest,
} from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import type { AppliedVerdict, JudgedVerdict, StepsVerdict } from './row.ts';

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

/** Without keys a lease is nobody's in particular, but still not a stranger's. */
export const REVOKES_LEASE: JudgedVerdict<LeaseRevokeRequest> = {
  when: 'called',
  words: "any user; and WRITE on all of the lease's keys when it is applied",
  judge: (access, identity) => access.user(identity),
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

/** The keys themselves, where they are about to be told. */
export const TELLS_LEASE_KEYS: JudgedVerdict<readonly Uint8Array[]> = {
  when: 'read',
  words: 'READ on the keys',
  judge: (access, identity, keys) => {
    for (const key of keys) {
      const refusal = access.range(identity, key, EMPTY_BYTES);
      if (refusal !== null) return refusal;
    }
    return null;
  },
};

export const WATCHES_RANGE: JudgedVerdict<WatchRequest> = {
  when: 'message',
  words: 'READ on the range, for each watcher that is created',
  judge: (access, identity, { createRequest }) =>
    createRequest === null ? null : access.range(identity, watchedKey(createRequest), createRequest.rangeEnd),
};

/** A watch without a key begins at the first that there can be. */
export function watchedKey({ key }: WatchCreateRequest): Uint8Array {
  return key.length === 0 ? SMALLEST_KEY : key;
}

const SMALLEST_KEY = new Uint8Array(1);

/** Whoever sees a lease could ask for its keys: all leases are told to who may read the keys of all. */
export const LISTS_LEASES: JudgedVerdict<LeaseLeasesRequest> = {
  when: 'called',
  words: 'any user, and READ on all keys of all leases',
  judge: (access, identity) => access.user(identity) ?? access.allLeaseKeys(identity),
};

export const CHANGES_AUTH: AppliedVerdict = {
  when: 'applied',
  words: 'an administrator',
};

export const READS_AUTH: JudgedVerdict<object> = {
  when: 'read',
  words: 'an administrator',
  judge: (access, identity) => access.admin(identity),
};

/** What an administrator was granted when it asked, and must still be when it is told. */
export const READS_DATABASE: JudgedVerdict<object> = {
  when: 'read',
  words: 'an administrator',
  judge: (access, identity) => access.admin(identity),
};

export const READS_USER: JudgedVerdict<AuthUserGetRequest> = {
  when: 'read',
  words: 'an administrator, or the user itself',
  judge: (access, identity, { name }) =>
    identity.name !== '' && name === identity.name ? null : access.admin(identity),
};

export const READS_ROLE: JudgedVerdict<AuthRoleGetRequest> = {
  when: 'read',
  words: 'an administrator, or a user that has the role',
  judge: (access, identity, { role }) => (access.hasRole(identity, role) ? null : access.admin(identity)),
};

export const READS_OR_SETS_ALARM: JudgedVerdict<AlarmRequest> = {
  when: 'called',
  words: 'any user for reading, an administrator for raising and disarming',
  judge: (access, identity, { action }) =>
    action === AlarmAction.GET ? access.user(identity) : access.admin(identity),
};

/** The lease that is made where none is given included. */
export const ENTERS_QUEUE: StepsVerdict = {
  when: 'steps',
  words: "WRITE on the key of the caller's lease under the name, READ on all keys under it",
};

export const PUTS_LEADER_KEY: StepsVerdict = {
  when: 'steps',
  words: 'WRITE on the key, READ for its condition',
};

export const DELETES_LOCK_KEY: StepsVerdict = { when: 'steps', words: 'WRITE on the key' };

export const READS_QUEUE: StepsVerdict = { when: 'steps', words: 'READ on all keys under the name' };
