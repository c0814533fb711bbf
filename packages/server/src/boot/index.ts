/**
 * From a data directory to the parts of a member ({@link bootstrap}): a cluster is founded or joined, a log is opened again, or
 * goes on alone with `--force-new-cluster`. Nothing that exists is overwritten. What does not fit together is a
 * `MemberStartError` that says what and where, before anything is written.
 */
export { type BootstrapOptions, bootstrap, type MemberParts } from './bootstrap.ts';
export type { Discover } from './founding.ts';
export { IMPLEMENTATION_HEADER, RemoteMembers } from './remote-cluster.ts';
