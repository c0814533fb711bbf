/** Pods that do a backup or a restore: the operator's own image, with the store and the keys that it needs, and no rights. */
import type {
  V1EnvFromSource,
  V1OwnerReference,
  V1Pod,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import type { SeenWorker, WorkerPhase } from '../backup/worker.ts';
import { RESTRICTED, SECRET_MODE, USER_ID } from '../cluster/manifests.ts';
import { STORE_MOUNT, type StoreSpec } from '../resources/backup-spec.ts';
import {
  CLIENT_TLS_MOUNT,
  IDENTITY_MOUNT,
  PASSPHRASE_MOUNT,
  SCRATCH_MOUNT,
  WORK_VARIABLE,
  type Work,
} from '../work/work.ts';
import { timeOf } from './times.ts';

/** What a worker does: `backup` or `restore`. */
export const WORK_LABEL = 'operator.etcd.io/work';
const ATTEMPT_ANNOTATION = 'operator.etcd.io/attempt';
/** The restore that a worker works for. */
export const RESTORE_ANNOTATION = 'operator.etcd.io/restore';

export const VOLUME_ANNOTATION = 'operator.etcd.io/volume-uid';

export interface WorkerOptions {
  readonly name: string;
  readonly namespace: string;
  readonly owner: V1OwnerReference;
  readonly attempt: number;
  readonly work: Work;
  readonly image: string;
  readonly store: StoreSpec;
  readonly passphraseSecret: string | null;
  readonly identitySecret: string | null;
  /** With what it shows to members; null: nothing. */
  readonly tlsSecret: string | null;
  /** A member's volume, and where it is mounted; null: none. */
  readonly data: {
    readonly claimName: string;
    readonly mountPath: string;
    readonly volumeUid: string;
  } | null;
}

interface Mounted {
  readonly volume: V1Volume;
  readonly mount: V1VolumeMount;
}

export function workerPod(options: WorkerOptions): V1Pod {
  const { name, namespace, owner, attempt, work, image, store } = options;
  const mounted = mountedBy(options);
  const envFrom: V1EnvFromSource[] =
    store.credentialsSecret === null ? [] : [{ secretRef: { name: store.credentialsSecret } }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/managed-by': 'etcd-operator', [WORK_LABEL]: work.kind },
      annotations: {
        [ATTEMPT_ANNOTATION]: String(attempt),
        ...(work.kind === 'restore' ? { [RESTORE_ANNOTATION]: work.restoreUid } : {}),
        ...(options.data === null ? {} : { [VOLUME_ANNOTATION]: options.data.volumeUid }),
      },
      ownerReferences: [owner],
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER_ID,
        runAsGroup: USER_ID,
        fsGroup: USER_ID,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'worker',
          image,
          command: ['etcd-operator', 'work'],
          env: [
            { name: WORK_VARIABLE, value: JSON.stringify(work) },
            { name: 'TMPDIR', value: SCRATCH_MOUNT },
            { name: 'HOME', value: SCRATCH_MOUNT },
          ],
          envFrom,
          resources: { requests: { cpu: '100m', memory: '200Mi' } },
          securityContext: RESTRICTED,
          terminationMessagePolicy: 'File',
          volumeMounts: mounted.map(({ mount }) => mount),
        },
      ],
      volumes: mounted.map(({ volume }) => volume),
    },
  };
}

function mountedBy(options: WorkerOptions): Mounted[] {
  const { store, passphraseSecret, identitySecret, tlsSecret, data } = options;
  const claim = (name: string, claimName: string, mountPath: string): Mounted => ({
    volume: { name, persistentVolumeClaim: { claimName } },
    mount: { name, mountPath },
  });
  const secret = (name: string, secretName: string | null, mountPath: string): Mounted[] =>
    secretName === null
      ? []
      : [
          {
            volume: { name, secret: { secretName, defaultMode: SECRET_MODE } },
            mount: { name, mountPath, readOnly: true },
          },
        ];
  return [
    {
      volume: { name: 'scratch', emptyDir: {} },
      mount: { name: 'scratch', mountPath: SCRATCH_MOUNT },
    },
    ...(store.claimName === null ? [] : [claim('store', store.claimName, STORE_MOUNT)]),
    ...(data === null ? [] : [claim('data', data.claimName, data.mountPath)]),
    ...secret('passphrase', passphraseSecret, PASSPHRASE_MOUNT),
    ...secret('identity', identitySecret, IDENTITY_MOUNT),
    ...secret('operator-tls', tlsSecret, CLIENT_TLS_MOUNT),
  ];
}

export function seenWorker({ metadata, status }: V1Pod): SeenWorker {
  const container = status?.containerStatuses?.find(({ name }) => name === 'worker');
  const ended = container?.state?.terminated;
  const waiting = container?.state?.waiting;
  const phases: readonly WorkerPhase[] = ['Running', 'Succeeded', 'Failed'];
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    attempt: Number(metadata?.annotations?.[ATTEMPT_ANNOTATION] ?? 1),
    phase: phases.find((phase) => phase === status?.phase) ?? 'Pending',
    isTerminating: metadata?.deletionTimestamp !== undefined,
    createdMs: timeOf(metadata?.creationTimestamp),
    finishedMs: timeOf(ended?.finishedAt),
    message: ended?.message ?? waiting?.message ?? waiting?.reason ?? status?.message ?? status?.reason ?? '',
  };
}
