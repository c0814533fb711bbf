/**
 * A cluster from a backup. Its members are stopped; a worker puts the restored data into the place of the first one's, which stays beside it; and the
 * cluster is founded by that member again. The volumes of the others go when it serves: up to then everything that was there is there.
 *
 * Once begun, a restore goes on to its end by the record, whatever becomes of the resource that has asked for it.
 */
import { MAX_ATTEMPTS, parseRestoreResult, retryAtMs, type SeenWorker } from '../backup/worker.ts';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { act, type Decision, wait } from './action.ts';
import { firstRecord } from './first-record.ts';
import type { ClusterRecord, Observed, RecordedRestore, SeenRestore, SeenRestoreWorker } from './observed.ts';

/** null: there is nothing to restore now. */
export function restore(seen: Observed, spec: EtcdClusterSpec): Decision | null {
  const { record, restore: wanted } = seen;
  const recorded = record?.restore ?? null;
  if (record !== null && recorded !== null && !recorded.isFailed)
    return proceed(seen, spec, record, recorded);
  const settling = wanted === null ? null : settle(seen, wanted);
  if (settling !== null) return settling;
  const isNew = wanted !== null && record?.lastRestore?.uid !== wanted.uid;
  if (wanted !== null && (isNew || isVoid(seen))) return begin(seen, spec, wanted);
  if (recorded === null) return null;
  const problem = `${recorded.name} failed; the cluster waits for another EtcdRestore`;
  return wait('Degraded', 'RestoreFailed', problem);
}

/** The record has what came of it, its resource not yet; a member that serves shows that it was of use. */
function settle({ record }: Observed, { name, uid }: SeenRestore): Decision | null {
  const last = record?.lastRestore;
  if (last == null || last.uid !== uid || (last.isOk && record?.isFounded !== true)) return null;
  const { isOk, message } = last;
  return act({ kind: 'settle-restore', name, uid, isOk, message }, 'Restoring', message);
}

/** Whether what was restored has gone with its volume before a member was seen to serve it. */
function isVoid({ record, volumes }: Observed): boolean {
  const last = record?.lastRestore;
  if (last == null || !last.isOk || record?.isFounded !== false) return false;
  return volumes.find(({ ordinal }) => ordinal === 0)?.uid !== last.volumeUid;
}

function begin(seen: Observed, spec: EtcdClusterSpec, wanted: SeenRestore): Decision {
  const { name, uid, source } = wanted;
  const refuse = (message: string): Decision =>
    act({ kind: 'settle-restore', name, uid, isOk: false, message }, 'RestoreRefused', message);
  if (source === null) return refuse(wanted.problem);
  if (spec.storage === null) return refuse('members without volumes have nothing to restore into');
  if (hasData(seen) && !wanted.replacesData)
    return refuse('the cluster has data; replacesData says that it may be given up');
  const next: ClusterRecord = {
    ...(seen.record ?? firstRecord(seen, spec)),
    mayStartEmpty: null,
    restore: { uid, name, source, isFailed: false },
    changedMs: seen.nowMs,
  };
  return act({ kind: 'write-record', record: next }, 'Restoring', `${name} begins`);
}

/** Without a record nobody knows what is on volumes, as a cluster of that name may have left them. */
function hasData({ record, workload, volumes }: Observed): boolean {
  return record === null ? workload !== null || volumes.length > 0 : record.isFounded;
}

function proceed(
  seen: Observed,
  spec: EtcdClusterSpec,
  record: ClusterRecord,
  recorded: RecordedRestore,
): Decision {
  const { workload, pods } = seen;
  const reason = 'Restoring';
  if (workload !== null)
    return act({ kind: 'delete-workload', uid: workload.uid }, reason, 'the members are stopped');
  if (pods.length > 0) return wait('Progressing', reason, 'the members are being stopped');
  const volume = seen.volumes.find(({ ordinal }) => ordinal === 0);
  if (volume === undefined) return act({ kind: 'create-volume', ordinal: 0 }, reason, 'a volume is made');
  if (volume.isTerminating) return wait('Progressing', reason, 'an old volume is being given up');
  if (volume.isLost) {
    const { name, uid } = volume;
    return act({ kind: 'delete-volume', name, uid }, reason, `the storage behind ${name} is gone`);
  }
  // One that has worked on another volume has done nothing.
  const workers = seen.restoreWorkers.filter(
    ({ restoreUid, volumeUid }) => restoreUid === recorded.uid && volumeUid === volume.uid,
  );
  const done = workers.find(({ phase, message }) => phase === 'Succeeded' && parseRestoreResult(message));
  if (done !== undefined) return adopt(seen, spec, record, recorded, done);
  const active = workers.find(({ phase }) => phase === 'Pending' || phase === 'Running');
  if (active !== undefined)
    return wait('Progressing', reason, `${active.name} works${active.message && `: ${active.message}`}`);
  return retry(seen, record, recorded, workers, volume.uid);
}

function retry(
  seen: Observed,
  record: ClusterRecord,
  recorded: RecordedRestore,
  workers: readonly SeenWorker[],
  volumeUid: string,
): Decision {
  const last = workers.reduce<SeenWorker | null>(
    (a, b) => (a === null || b.attempt > a.attempt ? b : a),
    null,
  );
  const attempt = (last?.attempt ?? 0) + 1;
  if (attempt > MAX_ATTEMPTS) return giveUp(record, recorded, last!.message);
  if (last !== null && retryAtMs(last) > seen.nowMs)
    return wait('Progressing', 'Restoring', `tried again soon: ${last.message}`);
  const action = { kind: 'create-restore-worker', attempt, restore: recorded, volumeUid } as const;
  return act(action, 'Restoring', `a worker restores ${recorded.source.backupName || 'the newest backup'}`);
}

/** What was there comes back, where there was something. */
function giveUp(record: ClusterRecord, recorded: RecordedRestore, message: string): Decision {
  const next: ClusterRecord = {
    ...record,
    restore: record.isFounded ? null : { ...recorded, isFailed: true },
    lastRestore: { uid: recorded.uid, isOk: false, volumeUid: '', message },
  };
  return act({ kind: 'write-record', record: next }, 'RestoreFailed', message);
}

function adopt(
  seen: Observed,
  spec: EtcdClusterSpec,
  record: ClusterRecord,
  recorded: RecordedRestore,
  { message, volumeUid }: SeenRestoreWorker,
): Decision {
  const backupName = parseRestoreResult(message)!.backupName;
  const next: ClusterRecord = {
    ...firstRecord(seen, spec),
    resourceVersion: record.resourceVersion,
    initialClusterState: 'existing',
    // Its data is there. On any other disk it must not start.
    mayStartEmpty: null,
    lastRestore: { uid: recorded.uid, isOk: true, volumeUid, message: `restored from ${backupName}` },
  };
  return act({ kind: 'write-record', record: next }, 'Restoring', 'the first member starts with its data');
}
