/** The endpoints that a domain names for clients. */
import { lookUpSrv, type SrvRecord, srvName } from './srv-records.ts';

export interface ClientEndpoint extends SrvRecord {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
}

/** Those with TLS first. Throws when neither kind of record is there. */
export async function lookUpClientEndpoints(
  domain: string,
  suffix: string,
  lookUp: (name: string) => Promise<readonly SrvRecord[]> = lookUpSrv,
): Promise<ClientEndpoint[]> {
  const [secure, plain] = await Promise.allSettled([
    lookUp(srvName('etcd-client', 'https', suffix, domain)),
    lookUp(srvName('etcd-client', 'http', suffix, domain)),
  ]);
  if (secure.status === 'rejected' && plain.status === 'rejected') {
    throw new Error(`dns lookup errors: ${secure.reason.message} and ${plain.reason.message}`);
  }
  return [...endpointsOf(secure, 'https'), ...endpointsOf(plain, 'http')];
}

function endpointsOf(answer: PromiseSettledResult<readonly SrvRecord[]>, scheme: string): ClientEndpoint[] {
  if (answer.status === 'rejected') return [];
  return answer.value.map((record) => ({ ...record, url: `${scheme}://${record.host}:${record.port}` }));
}
