/**
 * A member without its sockets: {@link EtcdServer} assembles log, raft, state machine and background work from the parts
 * that `boot` has opened, and ends them in order. {@link connectMetrics} has its metrics read.
 */
export { EtcdServer } from './etcd-server.ts';
export type { EtcdServerOptions } from './etcd-server-options.ts';
export { connectMetrics } from './member-metrics.ts';
export { type VersionFacts, versionJson } from './version-json.ts';
