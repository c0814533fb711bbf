/** The endpoints that a domain names for clients. */
import { type LookUpSrv, lookUpSrv, type SrvTarget, srvName } from './srv-records.ts';

export interface ClientEndpoints {
  /** Those with TLS. */
  readonly secure: readonly string[];
  readonly plain: readonly string[];
}

/** Throws when neither kind of record is there. */
export async function lookUpClientEndpoints(
  domain: string,
  suffix: string,
  lookUp: LookUpSrv = lookUpSrv,
): Promise<ClientEndpoints> {
  const [secure, plain] = await Promise.allSettled([
    lookUp(srvName('etcd-client', 'https', suffix, domain)),
    lookUp(srvName('etcd-client', 'http', suffix, domain)),
  ]);
  if (secure.status === 'rejected' && plain.status === 'rejected') {
    throw new Error(`dns lookup errors: ${secure.reason.message} and ${plain.reason.message}`);
  }
  return { secure: endpointsOf(secure, 'https'), plain: endpointsOf(plain, 'http') };
}

function endpointsOf(answer: PromiseSettledResult<readonly SrvTarget[]>, scheme: string): string[] {
  if (answer.status === 'rejected') return [];
  return answer.value.map(({ host, port }) => `${scheme}://${host}:${port}`);
}
