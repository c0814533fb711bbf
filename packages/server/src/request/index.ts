/**
 * What travels between an RPC and the log: the kinds of requests ({@link KINDS}), ids of requests ({@link RequestIds}), the envelope that they are put into
 * ({@link RequestEncoder}, {@link RequestEnvelope}), those who wait for the result ({@link Waiter}, {@link PendingRequests}) or for
 * the moment to read ({@link Reader}), and what applying gives.
 *
 * A waiter hears exactly once. Its methods run inside the raft loop: they answer, and start nothing that changes state.
 */
export { type EntryForm, type EntryFormFacts, entryForm, FIRST_WITHOUT_V2 } from './entry-form.ts';
export { canRead, ENTRY_KINDS, type EntryKind, isReadByAll, V2_FIELD } from './entry-kinds.ts';
export { type AnyKind, type Encoded, KINDS, type Kind, type RequestOf, type ResultOf } from './kinds.ts';
export { RequestEncoder, RequestEnvelope } from './raft-request.ts';
export type { Reader } from './reader.ts';
export { drawRequestIdStart, RequestIds } from './request-ids.ts';
export {
  type AlarmResult,
  type AuthenticateResult,
  CompactionResult,
  type DoneResult,
  type LeaseGrantResult,
  type MembersResult,
} from './results.ts';
export { isUndecided } from './undecided.ts';
export { lastV2Index } from './v2-entries.ts';
export { PendingRequests, type PendingWaiter, type Propose, type Waiter, waiterOf } from './waiter.ts';
