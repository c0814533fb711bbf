/** The headers by which members know each other, and the check that both ends make. */

import type { IncomingHttpHeaders } from 'node:http';
import type { ClusterId, MemberId } from '@etcd/api';
import { formatId, parseId, parseVersion, type SemanticVersion } from '@etcd/storage/membership';
import { ETCD_VERSION, MIN_CLUSTER_VERSION } from '../config/index.ts';

/** Who a member says that it is. */
export interface PeerIdentity {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  /** Where others reach it. */
  readonly peerUrls: readonly string[];
}

export type Incompatibility = 'incompatible version' | 'cluster ID mismatch';

export const INCOMPATIBLE_VERSION: Incompatibility = 'incompatible version';
export const CLUSTER_ID_MISMATCH: Incompatibility = 'cluster ID mismatch';

/** Members before 2.1 said nothing. */
const UNSAID_VERSION = '2.0.0';
const MAX_PEER_URLS = 16;

/** What every request between members carries. */
export function identityHeaders(self: PeerIdentity): Record<string, string> {
  return {
    'X-Server-From': formatId(self.memberId),
    'X-Server-Version': ETCD_VERSION,
    'X-Min-Cluster-Version': MIN_CLUSTER_VERSION,
    'X-Etcd-Cluster-ID': formatId(self.clusterId),
    'X-PeerURLs': self.peerUrls.join(','),
  };
}

/** Whether a request of another member can be understood, and is meant for this cluster; null when it is. */
export function incompatibility(headers: IncomingHttpHeaders, clusterId: ClusterId): Incompatibility | null {
  const remote = parseVersion(headerText(headers, 'x-server-version') || UNSAID_VERSION);
  const remoteMinimum = parseVersion(headerText(headers, 'x-min-cluster-version') || UNSAID_VERSION);
  if (remote === null || remoteMinimum === null) return INCOMPATIBLE_VERSION;
  if (compareMinor(remote, OWN_MINIMUM) < 0 || compareMinor(remoteMinimum, OWN) > 0)
    return INCOMPATIBLE_VERSION;
  return headerText(headers, 'x-etcd-cluster-id') === formatId(clusterId) ? null : CLUSTER_ID_MISMATCH;
}

/** Who sends a request, and where it can be reached; null when it does not say. */
export function senderOf(headers: IncomingHttpHeaders): { id: MemberId; urls: string[] } | null {
  const id = parseId(headerText(headers, 'x-server-from'));
  const urls = headerText(headers, 'x-peerurls');
  if (id === null || urls === '') return null;
  return { id, urls: urls.split(',').slice(0, MAX_PEER_URLS) };
}

export function headerText(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

/** Whether a member of this version has the streams; those before 2.1 do not. */
export function supportsStreams(versionText: string): boolean {
  const version = parseVersion(versionText || UNSAID_VERSION);
  return version !== null && compareMinor(version, FIRST_WITH_STREAMS) >= 0;
}

const OWN = parseVersion(ETCD_VERSION)!;
const OWN_MINIMUM = parseVersion(MIN_CLUSTER_VERSION)!;
const FIRST_WITH_STREAMS = parseVersion('2.1.0')!;

function compareMinor(a: SemanticVersion, b: SemanticVersion): number {
  return a.major - b.major || a.minor - b.minor;
}
