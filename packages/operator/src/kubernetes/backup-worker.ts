/** The worker of a backup. */
import type { V1Pod } from '@kubernetes/client-node';
import { secretName } from '../cluster/certificates.ts';
import type { BackupSpec } from '../resources/backup-spec.ts';
import {
  CLIENT_TLS_MOUNT,
  IDENTITY_MOUNT,
  PASSPHRASE_MOUNT,
  RESULT_FILE,
  SCRATCH_MOUNT,
} from '../work/work.ts';
import { type OwnObject, ownerReference } from './backup-objects.ts';
import { workerPod } from './worker-pods.ts';

/** How the members of the cluster are reached. */
export interface BackedUpCluster {
  readonly endpoints: readonly string[];
  readonly isSecure: boolean;
}

export function backupWorker(
  backup: OwnObject,
  spec: BackupSpec,
  attempt: number,
  { endpoints, isSecure }: BackedUpCluster,
  image: string,
): V1Pod {
  const { name = '', namespace = '' } = backup.metadata ?? {};
  const { store, encryption, compression, verify, retention } = spec;
  const { recipients, passphraseSecret, identitySecret } = encryption;
  return workerPod({
    name: `${name}-${attempt}`,
    namespace,
    owner: ownerReference('EtcdBackup', backup),
    attempt,
    work: {
      kind: 'backup',
      resultFile: RESULT_FILE,
      store: store.address,
      endpoints,
      tlsDirectory: isSecure ? CLIENT_TLS_MOUNT : null,
      recipients,
      passphraseFile: passphraseSecret === null ? null : `${PASSPHRASE_MOUNT}/passphrase`,
      identityFile: identitySecret === null ? null : `${IDENTITY_MOUNT}/identity`,
      compression,
      verify,
      scratch: SCRATCH_MOUNT,
      retention,
    },
    image,
    store,
    passphraseSecret,
    identitySecret,
    tlsSecret: isSecure ? secretName(spec.clusterName, 'operator') : null,
    data: null,
  });
}
