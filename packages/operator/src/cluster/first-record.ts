/** What a cluster begins with. */
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { memberName, peerUrl } from './names.ts';
import type { ClusterRecord, Observed } from './observed.ts';

export function firstRecord(seen: Observed, spec: EtcdClusterSpec): ClusterRecord {
  const name = memberName(seen.name, 0);
  return {
    resourceVersion: null,
    initialCluster: `${name}=${peerUrl(seen.name, seen.namespace, 0, spec.tls !== null)}`,
    initialClusterState: 'new',
    mayStartEmpty: name,
    disks: {},
    isFounded: false,
    isCompacted: false,
    restore: null,
    lastRestore: null,
    changedMs: seen.nowMs,
  };
}
