/** The members of a new cluster, from the SRV records of a domain. */
import { type EtcdUrl, isUnixUrl, type Logger, urlTexts } from '@etcd/base';
import { type LookUpSrv, type SrvTarget, srvName } from '@etcd/host/net';
import type { ResolveHost } from '@etcd/storage/membership';
import { DiscoveryError } from './discovery-error.ts';

export interface SrvPeersOptions {
  readonly domain: string;
  /** Tells several clusters of a domain apart; empty: there is one. */
  readonly serviceName: string;
  /** Of this member, which has to be among those that are found: by the place that its advertised URL names. */
  readonly name: string;
  readonly advertisePeerUrls: readonly EtcdUrl[];
  readonly lookUp: LookUpSrv;
  readonly resolveHost: ResolveHost;
  readonly logger: Logger;
}

const SERVICE = 'etcd-server';
const HOST_NAME = /^[\w.:-]+$/;

interface Found {
  readonly members: readonly string[];
  readonly error: Error | null;
}

/**
 * The text of an initial cluster: this member under its name, the others under numbers. Members with and without TLS are looked for,
 * and one service without an answer is no failure. Rejects with {@link DiscoveryError} where this member is not among them.
 */
export async function peersFromSrv(options: SrvPeersOptions): Promise<string> {
  const numbers = { next: 0 };
  const secure = await findPeers(options, 'https', numbers);
  const plain = await findPeers(options, 'http', numbers);
  const members = [...secure.members, ...plain.members];
  const reasons = [secure.error, plain.error].filter((error) => error !== null);
  if (members.length === 0) {
    throw new DiscoveryError(
      reasons.map(({ message }) => message).join('; ') || 'no member is in SRV records',
    );
  }
  if (!members.some((member) => member.startsWith(`${options.name}=`))) {
    const { name } = options;
    throw new DiscoveryError(`cannot find local etcd member ${JSON.stringify(name)} in SRV records`);
  }
  for (const node of members) options.logger.info('got bootstrap from DNS for etcd-server', { node });
  return members.join(',');
}

/** @param numbers names for the members that are not this one. Etcd begins anew for each service, and makes one of two members. */
async function findPeers(
  options: SrvPeersOptions,
  scheme: 'http' | 'https',
  numbers: { next: number },
): Promise<Found> {
  const { domain, serviceName, name, advertisePeerUrls, logger } = options;
  const found = await collectPeers(options, scheme, numbers);
  logger.info(`get cluster for ${scheme === 'https' ? `${SERVICE}-ssl` : SERVICE} SRV`, {
    'service-scheme': scheme,
    'service-name': srvName(SERVICE, scheme, serviceName, domain),
    'server-name': name,
    'discovery-srv': domain,
    'advertise-peer-urls': urlTexts(advertisePeerUrls),
    'found-cluster': found.members,
    ...(found.error === null ? {} : { error: found.error.message }),
  });
  return found;
}

async function collectPeers(
  options: SrvPeersOptions,
  scheme: 'http' | 'https',
  numbers: { next: number },
): Promise<Found> {
  const { domain, serviceName, lookUp, logger } = options;
  const service = srvName(SERVICE, scheme, serviceName, domain);
  const fail = (error: unknown): Found => ({ members: [], error: queryError(service, error) });
  const members: string[] = [];
  let problem: unknown = null;
  let own: ReadonlyMap<string, EtcdUrl>;
  let targets: readonly SrvTarget[];
  try {
    own = await ownPlaces(options);
    targets = await lookUp(service);
  } catch (error) {
    return fail(error);
  }
  for (const target of targets) {
    try {
      members.push(await memberAt(target, scheme, own, options, numbers));
    } catch (error) {
      problem = error;
      logger.warn('an SRV record names no member', { service, ...target, error: (error as Error).message });
    }
  }
  if (members.length > 0 || problem === null) return { members, error: null };
  return fail(problem);
}

async function memberAt(
  { host, port }: SrvTarget,
  scheme: 'http' | 'https',
  own: ReadonlyMap<string, EtcdUrl>,
  { name, resolveHost }: SrvPeersOptions,
  numbers: { next: number },
): Promise<string> {
  // It becomes part of a list: a name server does not put in more members than it has records.
  if (!HOST_NAME.test(host)) throw new Error(`${JSON.stringify(host)} is no host name`);
  const address = await resolveHost(host);
  const self = own.get(`${address} ${port}`);
  const url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (self === undefined) {
    if (String(numbers.next) === name) numbers.next++;
    return `${numbers.next++}=${url}`;
  }
  if (self.scheme === scheme) return `${name}=${url}`;
  throw new Error(`bootstrap at ${url} from DNS has scheme mismatch with expected peer ${self.text}`);
}

/** This member's URLs by address and port. */
async function ownPlaces(options: SrvPeersOptions): Promise<ReadonlyMap<string, EtcdUrl>> {
  const places = new Map<string, EtcdUrl>();
  for (const url of options.advertisePeerUrls) {
    if (isUnixUrl(url)) continue;
    places.set(`${await options.resolveHost(url.hostname)} ${Number(url.port)}`, url);
  }
  return places;
}

function queryError(service: string, error: unknown): Error {
  const label = service.slice(0, service.indexOf('.'));
  const reason = error instanceof Error ? error.message : String(error);
  return new Error(`error querying DNS SRV records for ${label} ${reason}`);
}
