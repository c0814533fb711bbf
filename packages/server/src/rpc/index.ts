/**
 * What clients call: the gRPC services of a member. `table.ts` has one row for each method, which says what a caller needs,
 * whether a learner and a member with wrong data serve it, and what runs; {@link registerServices} gives every method its
 * place in the gRPC server. From then on each call is decoded, admitted, judged by the table, and run. `docs/rpcs.md` is written from
 * the table by `node packages/server/src/rpc/rpcs-document.ts`.
 *
 * The services see of the member what {@link MemberFacts} and {@link Requests} have. {@link Callers} says who calls, `Access` of the
 * applied state what that caller may do. What goes through the log carries the caller with it, and is judged when it is
 * applied; what is read is judged when it can be read.
 */
export type { Callers } from './callers.ts';
export type { MemberFacts, Requests } from './member.ts';
export { type RunningServices, registerServices, registerUncounted, type ServedMember } from './services.ts';
export { RPC_TABLE } from './table.ts';
