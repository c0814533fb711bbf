/**
 * SRV records, by which servers and clients of etcd are found under a domain. The services are `etcd-server`, `etcd-client`, and the
 * same with `-ssl` for those with TLS; what fails is told in the words of Go's resolver, for which people search.
 */
import { getServers, lookup, resolveSrv } from 'node:dns';

export interface SrvTarget {
  /** Without the final dot. */
  readonly host: string;
  readonly port: number;
}

/** What is chosen by: the least priority first, then by weight. Both are 0 to 65,535. */
export interface SrvRecord extends SrvTarget {
  readonly priority: number;
  readonly weight: number;
}

/** Rejects with an {@link Error} that names what was asked. */
export type LookUpSrv = (name: string) => Promise<readonly SrvTarget[]>;

const DNS_PORT = 53;

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such host',
  ENODATA: 'no such host',
  EAI_AGAIN: 'server misbehaving',
  ESERVFAIL: 'server misbehaving',
  EREFUSED: 'server misbehaving',
  ECONNREFUSED: 'connection refused',
  ETIMEOUT: 'i/o timeout',
};

/**
 * The name to ask for.
 *
 * @param service as `etcd-server`
 * @param suffix what tells several clusters of a domain apart; empty: nothing
 */
export function srvName(service: string, scheme: 'http' | 'https', suffix: string, domain: string): string {
  const secure = scheme === 'https' ? '-ssl' : '';
  return `_${service}${secure}${suffix === '' ? '' : `-${suffix}`}._tcp.${domain}`;
}

/** Asks the name servers of this machine. Targets come in the order of their priority. */
export const lookUpSrv = (name: string): Promise<readonly SrvRecord[]> =>
  new Promise((resolve, reject) => {
    resolveSrv(name, (error, records) => {
      if (error !== null) {
        reject(new Error(`lookup ${name}${whereAsked()}: ${reasonOf(error)}`, { cause: error }));
        return;
      }
      const ordered = records.toSorted((a, b) => a.priority - b.priority);
      resolve(ordered.map(({ name: host, ...record }) => ({ ...record, host: host.replace(/\.$/, '') })));
    });
  });

/** The address that a host name stands for, of IPv4 where there is one, as Go prefers them. Rejects in the same words. */
export function lookUpAddress(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    lookup(host, { order: 'ipv4first' }, (error, address) => {
      if (error === null) resolve(address);
      else reject(new Error(`lookup ${host}${whereAsked()}: ${reasonOf(error)}`, { cause: error }));
    });
  });
}

function whereAsked(): string {
  const [server] = getServers();
  if (server === undefined) return '';
  const hasPort = server.startsWith('[') || /^[^:]+:\d+$/.test(server);
  const host = server.includes(':') && !hasPort ? `[${server}]` : server;
  return ` on ${hasPort ? server : `${host}:${DNS_PORT}`}`;
}

function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? message;
}
