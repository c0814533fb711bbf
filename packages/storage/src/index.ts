/**
 * What a member keeps on disk: the write-ahead log, snapshot files, the bbolt backend with its schema, the multi-version
 * store with watches, leases, users and roles, the membership, and a member's data as a whole. Every folder's index.ts states its contract.
 */
export * from './auth/index.ts';
export * from './backend/index.ts';
export * from './data/index.ts';
export * from './lease/index.ts';
export * from './membership/index.ts';
export * from './mvcc/index.ts';
export * from './schema/index.ts';
export * from './snap/index.ts';
export * from './wal/index.ts';
