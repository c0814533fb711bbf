/** From a declaration to a first member at work. */
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { act, type Decision, wait } from './action.ts';
import { certify } from './certify.ts';
import { firstRecord } from './first-record.ts';
import { memberName, ordinalOf } from './names.ts';
import type { ClusterRecord, Observed } from './observed.ts';
import { restore } from './restore.ts';
import { diskOf } from './view.ts';

/** The next step of founding the cluster; null: it is founded, and has what it stands on. */
export function found(seen: Observed, spec: EtcdClusterSpec): Decision | null {
  const { workload, record } = seen;
  if (!seen.hasFinalizer) {
    return act({ kind: 'add-finalizer' }, 'Creating', 'so that a deletion waits for the operator');
  }
  if (workload !== null && workload.ownerUid !== seen.uid) {
    return wait('Degraded', 'ForeignWorkload', `the stateful set ${seen.name} belongs to somebody else`);
  }
  if (!seen.hasServices) return act({ kind: 'apply-services' }, 'Creating', 'names for the members');
  const scheme = spec.tls === null ? '=http:' : '=https:';
  if (record?.initialCluster.split(',').every((entry) => entry.includes(scheme)) === false) {
    const problem = 'members that speak with each other can not begin, or cease, to do so with TLS';
    return wait('Degraded', 'TlsChanged', problem);
  }
  const certifying = certify(seen, spec);
  if (certifying !== null) return certifying;
  const restoring = restore(seen, spec);
  if (restoring !== null) return restoring;
  if (record === null) {
    if (workload !== null) {
      return wait(
        'Degraded',
        'RecordMissing',
        `the config map ${seen.name}-state is gone; without it no member may start on an empty disk`,
      );
    }
    return act(
      { kind: 'write-record', record: firstRecord(seen, spec) },
      'Creating',
      'what the first member starts with',
    );
  }
  if (workload === null) return createWorkload(seen, record);
  return record.isFounded ? null : awaitFirstMember(seen, spec, record);
}

function createWorkload(seen: Observed, record: ClusterRecord): Decision {
  // Where somebody has deleted the stateful set of a living cluster, its members come back to their volumes.
  const ordinals = Object.keys(record.disks).map((name) => ordinalOf(seen.name, name) ?? 0);
  const replicas = 1 + Math.max(0, ...ordinals);
  return act({ kind: 'create-workload', replicas }, 'Creating', 'the members are started');
}

function awaitFirstMember(seen: Observed, spec: EtcdClusterSpec, record: ClusterRecord): Decision {
  const member = seen.etcd?.members[0];
  const disk = diskOf(seen, spec, 0);
  if (member === undefined || !member.isHealthy || disk === null) {
    return wait('Creating', 'Creating', 'the first member starts');
  }
  const next: ClusterRecord = {
    ...record,
    initialClusterState: 'existing',
    mayStartEmpty: null,
    disks: { [memberName(seen.name, 0)]: disk },
    isFounded: true,
  };
  return act({ kind: 'write-record', record: next }, 'Creating', 'the first member serves');
}
