/** Endpoints from the SRV records of a domain: members with TLS first, then those without. */
import { resolveSrv } from 'node:dns/promises';
import { ExitError, type Invocation } from '@etcd/host/cli';
import { EXIT } from './exit-codes.ts';

export async function discoverEndpoints({ flags, io }: Invocation, domain: string): Promise<string[]> {
  const suffix = flags.text('discovery-srv-name');
  const service = (name: string): string => (suffix === '' ? name : `${name}-${suffix}`);
  const secure = await lookUp(`_${service('etcd-client-ssl')}._tcp.${domain}`, 'https');
  const plain = await lookUp(`_${service('etcd-client')}._tcp.${domain}`, 'http');
  if (secure.error !== '' && plain.error !== '') {
    throw new ExitError(EXIT.ERROR, `dns lookup errors: ${secure.error} and ${plain.error}`);
  }
  if (flags.bool('insecure-discovery')) return [...secure.endpoints, ...plain.endpoints];
  for (const endpoint of plain.endpoints)
    io.error(`ignoring discovered insecure endpoint ${JSON.stringify(endpoint)}`);
  return secure.endpoints;
}

async function lookUp(name: string, scheme: string): Promise<{ endpoints: string[]; error: string }> {
  try {
    const records = await resolveSrv(name);
    records.sort((a, b) => a.priority - b.priority);
    return {
      endpoints: records.map(({ name: host, port }) => `${scheme}://${host.replace(/\.$/, '')}:${port}`),
      error: '',
    };
  } catch (error) {
    return { endpoints: [], error: `lookup ${name}: ${(error as Error).message}` };
  }
}
