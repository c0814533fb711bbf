/** What a cluster, or the way to it, says at one moment and not at another: worth another attempt. A mistake of ours is not. */
import { EtcdError } from '@etcd/api';
import { ClientError } from '@etcd/client';

export function isFromCluster(error: unknown): error is EtcdError | ClientError {
  return error instanceof EtcdError || error instanceof ClientError;
}
