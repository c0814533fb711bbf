/**
 * Leases: granted, revoked and attached to keys by what raft applies, the same on every member; renewed and found expired by
 * the primary alone, which is the leader. Expiry is never acted on here: expired leases are handed out, and come back as
 * revocations through raft.
 *
 * Order of calls: a {@link Lessor} is made on the backend, which loads its leases; the store is made with it and restored,
 * which attaches the keys; `setStore` gives the lessor the store to delete with. From then on grants, revocations and
 * checkpoints are applied as raft hands them out, between transactions of the store. `promote` and `demote` follow leadership.
 * When a snapshot replaces the backend, `recover` comes before the store's `replaceThen`. `stop` ends it.
 *
 * TTLs are seconds; times are milliseconds of the injected clock, read only on the primary. Ids are BigInts, any but 0n.
 * Leases and their keys lie outside the V8 heap; a key without a lease costs nothing.
 */
export {
  type Checkpointer,
  type LeaseCheckpoint,
  type LeaseInfo,
  type LeaseStore,
  Lessor,
  type LessorOptions,
  MAX_LEASE_TTL,
  type RenewCallback,
} from './lessor.ts';
