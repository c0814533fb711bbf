/** Endpoints from the SRV records of a domain: members with TLS first, then those without. */
import { ExitError, type Invocation } from '@etcd/host/cli';
import { type ClientEndpoints, lookUpClientEndpoints } from '@etcd/host/net';
import { EXIT } from './exit-codes.ts';

export async function discoverEndpoints({ flags, io }: Invocation, domain: string): Promise<string[]> {
  const { secure, plain } = await lookUp(domain, flags.text('discovery-srv-name'));
  if (flags.bool('insecure-discovery')) return [...secure, ...plain];
  for (const endpoint of plain) io.error(`ignoring discovered insecure endpoint ${JSON.stringify(endpoint)}`);
  return [...secure];
}

async function lookUp(domain: string, suffix: string): Promise<ClientEndpoints> {
  try {
    return await lookUpClientEndpoints(domain, suffix);
  } catch (error) {
    throw new ExitError(EXIT.ERROR, (error as Error).message);
  }
}
