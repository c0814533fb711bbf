/**
 * Users, roles and what they may do: applied state, in etcd's own buckets, the same on every member after the same
 * entries. Nothing here knows of tokens, passwords in the clear, connections or time: an {@link Identity} is a user's name and
 * the auth revision at which it was established, and travels with a request through the log.
 *
 * Order of calls: an {@link AuthStore} is made on the backend, which gives it the buckets and, to a database that has
 * never had any, the first auth revision. From then on its changes are applied as raft hands them out. When a snapshot
 * replaces the backend, `recover` follows.
 *
 * Whether a request may be done is asked of the functions `authorize…`, with the request as its sender wrote it (S01), of the
 * whole tree of a transaction (S02). The verdict depends on the applied state, the request and the identity alone: every member
 * comes to the same, now or when the entry is replayed (S08). A user's permissions are merged into sorted ranges once for each
 * auth revision, so that a verdict on a key is one binary search.
 */
export {
  type AuthListener,
  AuthStore,
  type AuthStoreOptions,
  type Identity,
  NO_IDENTITY,
} from './auth-store.ts';
export {
  authorizeAdmin,
  authorizeDeleteRange,
  authorizeLeaseKeys,
  authorizePut,
  authorizeRange,
  authorizeTxn,
  authorizeUser,
  type LeaseKeys,
} from './authorize.ts';
export { nameProblem } from './name-limit.ts';
export { UserPermissions } from './user-permissions.ts';
