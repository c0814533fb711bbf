/** Restores as Kubernetes has them, and the workers that do them. */
import type { V1Pod } from '@kubernetes/client-node';
import { DATA_MOUNT, metadataOf, type Owner } from '../cluster/manifests.ts';
import { memberName, peerUrl, volumeName } from '../cluster/names.ts';
import type { RecordedRestore, SeenRestore } from '../cluster/observed.ts';
import { parseBackupSpec } from '../resources/backup-spec.ts';
import { API_VERSION } from '../resources/group.ts';
import { parseRestoreSpec, type RestoreSource, type WantedSource } from '../resources/restore-spec.ts';
import { IDENTITY_MOUNT, PASSPHRASE_MOUNT, RESULT_FILE } from '../work/work.ts';
import { fieldsOf, type OwnObject, PURPOSE_ANNOTATION } from './backup-objects.ts';
import { timeOf } from './times.ts';
import { workerPod } from './worker-pods.ts';

const FINAL_PHASES: readonly unknown[] = ['Succeeded', 'Failed'];

export const isSettled = ({ status }: OwnObject): boolean => FINAL_PHASES.includes(fieldsOf(status)['phase']);

/** Of those of a cluster that have not come to an end, the first that was asked for; null: there is none. */
export function firstRestore(
  cluster: string,
  restores: readonly OwnObject[],
  backups: readonly OwnObject[],
): SeenRestore | null {
  const open = restores.filter(
    (restore) =>
      fieldsOf(restore.spec)['clusterName'] === cluster &&
      restore.metadata?.deletionTimestamp === undefined &&
      !isSettled(restore),
  );
  const order = ({ metadata }: OwnObject): number => timeOf(metadata?.creationTimestamp);
  open.sort((a, b) => order(a) - order(b) || ((a.metadata?.name ?? '') < (b.metadata?.name ?? '') ? -1 : 1));
  const [first] = open;
  return first === undefined ? null : seenRestore(first, backups);
}

function seenRestore({ metadata, spec }: OwnObject, backups: readonly OwnObject[]): SeenRestore {
  const parsed = parseRestoreSpec(spec);
  const named = { uid: metadata?.uid ?? '', name: metadata?.name ?? '' };
  if (!parsed.ok) {
    const problems = parsed.problems.map(({ field, problem }) => `${field} ${problem}`);
    return { ...named, source: null, problem: problems.join('; '), replacesData: false };
  }
  const { source, replacesData } = parsed.spec;
  const found = source.kind === 'store' ? source.source : sourceOf(source, backups);
  return typeof found === 'string'
    ? { ...named, source: null, problem: found, replacesData }
    : { ...named, source: found, problem: '', replacesData };
}

/** Where a backup went by its resource; a text: why it can't be restored. */
function sourceOf(
  { name, toTime }: Extract<WantedSource, { kind: 'backup' }>,
  backups: readonly OwnObject[],
): RestoreSource | string {
  const backup = backups.find(({ metadata }) => metadata?.name === name);
  if (backup === undefined) return `there is no EtcdBackup ${name}`;
  const { phase, backupName } = fieldsOf(backup.status);
  const parsed = parseBackupSpec(backup.spec);
  if (phase !== 'Succeeded' || typeof backupName !== 'string' || !parsed.ok)
    return `the EtcdBackup ${name} has not succeeded`;
  const { store, encryption } = parsed.spec;
  const { passphraseSecret, identitySecret, recipients } = encryption;
  if (recipients.length > 0 && identitySecret === null)
    return `the EtcdBackup ${name} names no identitySecret that would open it; name the store and the secret instead`;
  return { store, passphraseSecret, identitySecret, backupName, toTime };
}

export function restoreWorker(
  owner: Owner,
  { uid, source }: RecordedRestore,
  attempt: number,
  volumeUid: string,
): V1Pod {
  const { name, namespace } = owner;
  const { store, passphraseSecret, identitySecret, backupName, toTime } = source;
  const short = uid.slice(0, 8);
  const [reference] = metadataOf(owner, name).ownerReferences!;
  return workerPod({
    name: `${name}-restore-${short}-${volumeUid.slice(0, 8)}-${attempt}`,
    namespace,
    owner: reference!,
    attempt,
    work: {
      kind: 'restore',
      resultFile: RESULT_FILE,
      store: store.address,
      passphraseFile: passphraseSecret === null ? null : `${PASSPHRASE_MOUNT}/passphrase`,
      identityFile: identitySecret === null ? null : `${IDENTITY_MOUNT}/identity`,
      backupName,
      toTime,
      volume: DATA_MOUNT,
      restoreUid: uid,
      member: memberName(name, 0),
      peerUrl: peerUrl(name, namespace, 0, owner.spec.tls !== null),
      clusterToken: `${namespace}-${name}-${short}`,
    },
    image: owner.gateImage,
    store,
    passphraseSecret,
    identitySecret,
    tlsSecret: null,
    data: { claimName: volumeName(name, 0), mountPath: DATA_MOUNT, volumeUid },
  });
}

/** A restore that the operator asks for by itself. */
export function quorumRestore(
  { name: clusterName, namespace }: Owner,
  name: string,
  backup: string,
): OwnObject {
  return {
    apiVersion: API_VERSION,
    kind: 'EtcdRestore',
    metadata: { name, namespace, annotations: { [PURPOSE_ANNOTATION]: 'quorum lost' } },
    spec: { clusterName, source: { backup }, replacesData: true },
  };
}
