/** What a leader says about a lease. */
import type { LeaseId } from '@etcd/api';
import { LeaseTimeToLiveResponse, ResponseHeader } from '@etcd/api/etcdserverpb';
import type { Lessor } from '@etcd/storage/lease';

/** With an empty header; null when there is no such lease. */
export function leaseTimeToLive(lessor: Lessor, id: LeaseId, keys: boolean): LeaseTimeToLiveResponse | null {
  const lease = lessor.lookup(id);
  if (lease === null) return null;
  return new LeaseTimeToLiveResponse({
    header: new ResponseHeader(),
    id,
    ttl: Number.isFinite(lease.remainingMs) ? Math.trunc(lease.remainingMs / 1000) : lease.ttl,
    grantedTtl: lease.ttl,
    keys: keys ? lessor.keysOf(id) : [],
  });
}
