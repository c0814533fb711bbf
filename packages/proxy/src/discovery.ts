/** Members from the SRV records of a domain, those with TLS first, with priority and weight. */
import { lookUpSrv, type SrvRecord, srvName } from '@etcd/host/net';

export interface DiscoveredEndpoint extends SrvRecord {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
}

/** Throws when neither kind of record is there. */
export async function discoverEndpoints(domain: string, suffix: string): Promise<DiscoveredEndpoint[]> {
  const [secure, plain] = await Promise.allSettled([
    lookUpSrv(srvName('etcd-client', 'https', suffix, domain)),
    lookUpSrv(srvName('etcd-client', 'http', suffix, domain)),
  ]);
  if (secure.status === 'rejected' && plain.status === 'rejected') {
    throw new Error(`dns lookup errors: ${secure.reason.message} and ${plain.reason.message}`);
  }
  return [...endpointsOf(secure, 'https'), ...endpointsOf(plain, 'http')];
}

function endpointsOf(
  answer: PromiseSettledResult<readonly SrvRecord[]>,
  scheme: string,
): DiscoveredEndpoint[] {
  if (answer.status === 'rejected') return [];
  return answer.value.map((record) => ({ ...record, url: `${scheme}://${record.host}:${record.port}` }));
}
