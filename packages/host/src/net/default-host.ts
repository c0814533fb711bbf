/**
 * The address under which other machines reach this one: that of the interface with the default route. It replaces
 * `localhost` in the default advertise URLs of a member that listens on every interface, as etcd does.
 */

/** What is asked of the machine; see {@link DefaultHost}. */
export interface NetworkFacts {
  /** Contents of `/proc/net/route` and `/proc/net/ipv6_route`; empty where there are none. */
  readonly ipv4Routes: string;
  readonly ipv6Routes: string;
  /** Addresses of an interface, in the system's order. */
  addressesOf(
    interfaceName: string,
  ): readonly { readonly family: 'IPv4' | 'IPv6'; readonly address: string }[];
}

export type DefaultHost =
  | { readonly host: string; readonly error?: undefined }
  | { readonly host?: undefined; readonly error: string };

/** IPv4 is preferred. */
export function findDefaultHost(facts: NetworkFacts): DefaultHost {
  const routes = [
    { family: 'IPv4', interfaceName: defaultInterface(facts.ipv4Routes, IPV4_ROUTE) },
    { family: 'IPv6', interfaceName: defaultInterface(facts.ipv6Routes, IPV6_ROUTE) },
  ] as const;
  let routed = false;
  for (const { family, interfaceName } of routes) {
    if (interfaceName === null) continue;
    routed = true;
    const address = facts.addressesOf(interfaceName).find((candidate) => candidate.family === family);
    if (address !== undefined) return { host: address.address };
  }
  return { error: routed ? 'could not find default host' : 'could not find default route' };
}

/** Interface, destination, gateway, flags, counters, metric, mask: a default route has zeros for destination and mask. */
const IPV4_ROUTE = /^(\S+)\s+0{8}\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+0{8}\s/;

/** Destination, prefix length, source, …, interface. Routes through `lo` say that there is no way out. */
const IPV6_ROUTE = /^0{32}\s+00\s+.*\s(?!lo$)(\S+)$/;

function defaultInterface(table: string, route: RegExp): string | null {
  for (const line of table.split('\n')) {
    const match = route.exec(line.trim());
    if (match !== null) return match[1]!;
  }
  return null;
}
