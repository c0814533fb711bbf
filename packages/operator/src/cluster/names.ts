/** How the parts of a cluster are called. */
export const memberName = (cluster: string, ordinal: number): string => `${cluster}-${ordinal}`;

/** The host name of a member's pod, inside of the Kubernetes cluster. */
export function memberHost(cluster: string, namespace: string, ordinal: number): string {
  return `${memberName(cluster, ordinal)}.${cluster}.${namespace}.svc`;
}

/** @param isSecure whether members speak with TLS. */
export function peerUrl(cluster: string, namespace: string, ordinal: number, isSecure: boolean): string {
  return `${scheme(isSecure)}://${memberHost(cluster, namespace, ordinal)}:2380`;
}

export function clientUrl(cluster: string, namespace: string, ordinal: number, isSecure: boolean): string {
  return `${scheme(isSecure)}://${memberHost(cluster, namespace, ordinal)}:2379`;
}

const scheme = (isSecure: boolean): string => (isSecure ? 'https' : 'http');

export const volumeName = (cluster: string, ordinal: number): string =>
  `data-${memberName(cluster, ordinal)}`;

/** The ordinal in the name of a member or pod of this cluster; null: it is another's. */
export function ordinalOf(cluster: string, name: string): number | null {
  if (!name.startsWith(`${cluster}-`)) return null;
  const digits = name.slice(cluster.length + 1);
  return /^(?:0|[1-9]\d{0,3})$/.test(digits) ? Number(digits) : null;
}
