/**
 * The data of one member as a whole: where its files are ({@link memberDirectory} and the others), its database opened and
 * checked ({@link openMemberDatabase}) or replaced by a received one ({@link takeReceivedDatabase}), and what the database says
 * about the cluster ({@link membershipReader}, {@link confStateOf}), and whether what a member has left behind is whole
 * ({@link leftDataProblem}). Enough for a tool that works on a data directory without a server.
 */
export { confStateOf } from './conf-state.ts';
export { type MemberDatabaseOptions, openMemberDatabase, takeReceivedDatabase } from './member-database.ts';
export { membershipReader, membershipWriter } from './membership-buckets.ts';
export { backendPath, type DataPlace, memberDirectory, snapDirectory, walDirectory } from './paths.ts';
export { type LeftData, leftDataProblem, pageProblem } from './verify-data.ts';
