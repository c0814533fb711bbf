/** What another member's answer to a POST of a message means. */
import type { MemberId } from '@etcd/api';
import { formatId } from '@etcd/storage/membership';
import type { PeerEnvironment } from './peer-environment.ts';
import { CLUSTER_ID_MISMATCH, INCOMPATIBLE_VERSION } from './peer-headers.ts';
import type { PeerResponse } from './peer-network.ts';

/** Why the message was not taken; null when it was. */
export function postProblem(
  environment: PeerEnvironment,
  response: PeerResponse,
  path: string,
): string | null {
  const text = Buffer.from(response.body).toString('latin1');
  switch (response.status) {
    case 204:
      return null;
    case 403:
      // The same status says that the message was for somebody else, say when a URL has changed hands.
      if (!text.includes('removed member')) return 'the message was for another member';
      environment.onRemoved();
      return 'the member has been permanently removed from the cluster';
    case 412: {
      const reason = text.replace(/\n$/, '');
      if (reason === INCOMPATIBLE_VERSION || reason === CLUSTER_ID_MISMATCH) return reason;
      return `unhandled error ${JSON.stringify(text)} when precondition failed`;
    }
    default:
      return `unexpected http status ${response.status} while posting to ${JSON.stringify(path)}`;
  }
}

/** The refusals that an operator has to do something about. */
export function logPostProblem(
  environment: PeerEnvironment,
  to: MemberId,
  response: PeerResponse,
  problem: string,
): void {
  if (problem === INCOMPATIBLE_VERSION) {
    environment.lines.warn('request sent was ignored by peer', () => ({ 'remote-peer-id': formatId(to) }));
  } else if (problem === CLUSTER_ID_MISMATCH) {
    environment.lines.warn('request sent was ignored due to cluster ID mismatch', () => ({
      'remote-peer-id': formatId(to),
      'remote-peer-cluster-id': response.headers?.['x-etcd-cluster-id'] ?? '',
      'local-member-cluster-id': formatId(environment.self.clusterId),
    }));
  }
}
