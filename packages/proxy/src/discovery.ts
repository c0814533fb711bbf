/** Members from the SRV records of a domain, those with TLS first, with priority and weight. */
import { resolveSrv } from 'node:dns/promises';

export interface DiscoveredEndpoint {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Throws when neither kind of record is there. */
export async function discoverEndpoints(domain: string, suffix: string): Promise<DiscoveredEndpoint[]> {
  const service = (name: string): string => `_${suffix === '' ? name : `${name}-${suffix}`}._tcp.${domain}`;
  const secure = await lookUp(service('etcd-client-ssl'), 'https');
  const plain = await lookUp(service('etcd-client'), 'http');
  if (secure.error !== '' && plain.error !== '') {
    throw new Error(`dns lookup errors: ${secure.error} and ${plain.error}`);
  }
  return [...secure.endpoints, ...plain.endpoints];
}

async function lookUp(
  name: string,
  scheme: string,
): Promise<{ endpoints: DiscoveredEndpoint[]; error: string }> {
  try {
    const records = await resolveSrv(name);
    records.sort((a, b) => a.priority - b.priority);
    const endpoints = records.map(({ name: target, port, priority, weight }) => {
      const host = target.replace(/\.$/, '');
      return { url: `${scheme}://${host}:${port}`, host, port, priority, weight };
    });
    return { endpoints, error: '' };
  } catch (error) {
    return { endpoints: [], error: `lookup ${name}: ${(error as Error).message}` };
  }
}
