/** What `/version` says, to clients and to members. */
import type { BackendReader } from '@etcd/storage/backend';
import { formatVersion, type Membership } from '@etcd/storage/membership';
import { readStorageVersion } from '@etcd/storage/schema';
import { ETCD_VERSION } from '../config/index.ts';

export interface VersionFacts {
  readonly membership: Pick<Membership, 'version'>;
  readonly backend: BackendReader;
}

export function versionJson({ membership, backend }: VersionFacts): string {
  const storage = readStorageVersion(backend);
  return JSON.stringify({
    etcdserver: ETCD_VERSION,
    etcdcluster: membership.version === null ? 'not_decided' : formatVersion(membership.version),
    storage: storage === null ? 'unknown' : `${storage.major}.${storage.minor}.0`,
  });
}
