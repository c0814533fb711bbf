/**
 * From committed entries to state: {@link StateMachine} has the store, leases, alarms and the quota, and the applier that
 * changes them, one entry after the other, on every member alike. Nothing here knows whether this member leads.
 *
 * Before {@link StateMachine.restoreThen} is done nothing may be applied, watched or read. A snapshot from the leader
 * ({@link StateMachine.replaceThen}) takes the place of all state at once; who only reads waits meanwhile.
 */
export type { Access } from './access.ts';
export type { Alarms } from './alarms.ts';
export type { ApplierHost } from './applier.ts';
export { countTxn } from './kv-counts.ts';
export { openMemberBackend } from './member-backend.ts';
export { LEASE_COST_BYTES, putCost, type Quota, txnCost } from './quota.ts';
export { requestText } from './request-text.ts';
export { StateMachine } from './state-machine.ts';
