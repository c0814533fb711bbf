/**
 * How members prove to each other that they have the same data, always, and what happens to one that has not.
 *
 * Every member hashes each transaction as it applies it ({@link ChangeHashes}) and compares with the others every few seconds
 * ({@link StateExchange}); now and then it compares the whole store as it lies on the disk ({@link Scrubber}). The majority of
 * the voters is right. A member that finds itself in the minority fences itself ({@link Fence}): nobody fences another, so
 * a member that is wrong about the others harms only itself. Without a majority nobody is fenced. etcd's own checks, which raise
 * the alarm CORRUPT and so stop the whole cluster, are there beside this, by their flags ({@link CorruptionChecks}).
 *
 * `docs/integrity.md` has the reasons, and what an operator does.
 */
export { Integrity } from './integrity.ts';
export type { IntegrityHost } from './integrity-host.ts';
export { STATE_HASH_PATH } from './state-hash-protocol.ts';
